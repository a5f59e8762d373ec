import Bundles
import Distillation
import Foundation
import Registry

/// What `--from` names, for a run that does not start from fresh weights.
extension StartingPoint {
  /// A `.safetensors` file, an installed `NAME@VERSION`, or `FOLDER/NAME@VERSION` in a registry folder.
  static func open(_ text: String) throws -> StartingPoint {
    if text.hasSuffix(".safetensors") { return try StartingPoint(file: text) }
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    for cut in [2, 1] where parts.count > cut {
      let folder = parts.dropLast(cut).joined(separator: "/")
      guard FileManager.default.fileExists(atPath: "\(folder)/oci-layout") else { continue }
      let layout = try BundleRegistry(path: folder)
      let artifact = try layout.resolve(try Reference(parts.suffix(cut).joined(separator: "/")))
      return try unpacked(artifact, of: layout)
    }
    let store = Locations.store
    return try StartingPoint(try store.open(try store.resolve(try Reference(text))))
  }

  /// The weights of a registry's bundle, through a folder that goes again.
  private static func unpacked(_ artifact: Artifact, of layout: BundleRegistry) throws -> StartingPoint {
    let work = FileManager.default.temporaryDirectory.appending(path: "codi-from-\(UInt64.random(in: 0 ... .max))")
    try FileManager.default.createDirectory(at: work, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: work) }
    let zip = work.appending(path: "bundle.codi").path
    try layout.fetch(artifact, to: zip)
    let bundle = try BundleReader(path: zip).extract(to: work.appending(path: "bundle"))
    return try StartingPoint(bundle)
  }
}
