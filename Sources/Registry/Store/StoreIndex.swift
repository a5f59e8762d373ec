public import Bundles
internal import Foundation

/// One installed bundle.
public struct Installed: Codable, Hashable, Sendable {
  public let name: String
  public let version: SemanticVersion
  public let kind: Manifest.Kind
  public let task: String
  public let summary: String
  /// SHA-256 of the zip it came from, `sha256:…`.
  public let digest: String
  /// The core it is, or was made for.
  public let coreDigest: String
  /// Who signed it; nil for an unsigned one that was let through.
  public let signer: PublicKey?

  init(_ manifest: Manifest, digest: String, signer: PublicKey?) throws(RegistryError) {
    guard let coreDigest = manifest.coreDigest else {
      throw RegistryError(
        .corrupt, at: "\(manifest.name)@\(manifest.version)", "The manifest names no core.",
        remedy: "Pack it with `codi pack`.")
    }
    name = manifest.name
    version = manifest.version
    kind = manifest.kind
    task = manifest.task
    summary = manifest.summary
    self.digest = digest
    self.coreDigest = coreDigest
    self.signer = signer
  }

  /// Its folder below `bundles/`.
  var folder: String { digest.replacing(":", with: "-") }
}

/// `index.json`: what is installed, and nothing that a bundle's own manifest does not say.
struct StoreIndex: Codable {
  var version = 1
  /// Counts the changes of the store; the first is 1.
  var generation: Int?
  /// The generation that this one was made from.
  var previous: Int?
  var bundles: [Installed] = []

  /// The generation, 0 for a store in which nothing was installed yet.
  var number: Int { generation ?? 0 }

  static func read(_ path: String) throws(RegistryError) -> StoreIndex {
    guard !Disk.isMissing(path) else { return StoreIndex() }
    let index = try OCI.decode(StoreIndex.self, Disk.read(path, atMost: 64 << 20), at: path)
    guard index.version == 1 else {
      throw RegistryError(
        .unsupported, at: path, "The store has version \(index.version), this program reads 1.", remedy: "Update codi.")
    }
    // Folder names are made of digests, so these must be nothing else.
    for bundle in index.bundles where OCI.hex(bundle.digest) == nil {
      throw RegistryError(
        .corrupt, at: path, "\"\(bundle.digest)\" is not a SHA-256 digest.", remedy: "Restore the file.")
    }
    return index
  }

  func write(_ path: String) throws(RegistryError) {
    var sorted = self
    sorted.bundles.sort { ($0.name, $0.version) < ($1.name, $1.version) }
    try Disk.write(OCI.encode(sorted, pretty: true), to: path)
  }
}
