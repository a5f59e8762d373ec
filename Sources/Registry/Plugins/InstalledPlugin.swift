public import Bundles
internal import Foundation

extension PluginLibrary {
  /// Opens the library of an installed adapter for this platform, after comparing it with the bundle's sums.
  ///
  /// - Throws: `PluginError` for a library that does not fit, `BundleError` for files that are not what they were.
  public init(_ bundle: InstalledBundle) throws {
    let manifest = bundle.manifest
    guard let plugin = manifest.plugin, let geometry = manifest.geometry else {
      throw PluginError(
        .library, at: "\(manifest.name)@\(manifest.version)", "A core has no plugin.", remedy: "Name an adapter.")
    }
    let library = try bundle.library()
    try bundle.verify(library)
    try self.init(
      path: library.path, abi: plugin.abi, task: manifest.task, halo: geometry.mode == .tile ? geometry.halo : nil)
  }
}

extension InstalledBundle {
  /// Compares one file with `SHA256SUMS`.
  fileprivate func verify(_ file: URL) throws {
    let path = url(of: BundleEntry.sums).path
    let sums = try SumsFile(parsing: Disk.read(path), source: path)
    let name = String(file.path.dropFirst(directory.path.count).drop { $0 == "/" })
    try sums.check(name, digest: SHA256.hex(ofFile: file.path), source: directory.path)
  }
}

extension TaskPlugin {
  /// An instance for an installed adapter: every parameter of its manifest with the value given or the default.
  ///
  /// - Parameter values: from the user, as ``Bundles/Manifest/Parameter/value(of:)`` reads them; in training also the
  ///   recipe's task section.
  public convenience init(
    _ library: PluginLibrary, manifest: Manifest, values: [String: ParameterValue] = [:], seed: UInt64 = 0,
    isCancelled: @escaping @Sendable () -> Bool = { false }
  ) throws(PluginError) {
    var all = values
    for parameter in manifest.parameters where all[parameter.name] == nil {
      all[parameter.name] = parameter.default.text.flatMap(parameter.value)
    }
    try self.init(library, parameters: all, seed: seed, isCancelled: isCancelled)
  }
}
