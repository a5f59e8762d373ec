public import Foundation

/// A `.codi` file open for reading: its zip profile, manifest, and list of sums are checked on opening.
///
/// Not safe to use from two tasks at once.
public final class BundleReader {
  public let path: String
  public let manifest: Manifest
  public let sums: SumsFile
  /// As the bundle holds it, verified by `verifySignature(with:)` only; nil when the bundle is not signed.
  public let signature: Signature?
  public let archive: ZipArchive

  public init(path: String, limits: ZipArchive.Limits = ZipArchive.Limits()) throws(BundleError) {
    self.path = path
    archive = try ZipArchive(path: path, limits: limits)
    manifest = try Manifest(
      parsing: archive.read(BundleEntry.manifest, atMost: 64 << 10), source: "\(path)/\(BundleEntry.manifest)")
    sums = try SumsFile(
      parsing: archive.read(BundleEntry.sums, atMost: 64 << 10), source: "\(path)/\(BundleEntry.sums)")
    signature =
      archive.names.contains(BundleEntry.signature)
      ? try Signature(
        parsing: archive.read(BundleEntry.signature, atMost: 16 << 10), source: "\(path)/\(BundleEntry.signature)")
      : nil
    try manifest.check(names: archive.names, source: path)
    try sums.check(names: archive.names, source: path)
  }

  /// Hashes every entry and compares with `SHA256SUMS` and the manifest.
  public func verify() throws(BundleError) {
    for name in archive.names {
      var hash = SHA256()
      try archive.stream(name) { (bytes) throws(BundleError) in hash.update(bytes) }
      try check(name, hash.hex())
    }
  }

  /// Unpacks into `directory`, which must not exist yet, verifying every file on the way.
  ///
  /// Nothing stays behind on failure; on success all files are on disk.
  @discardableResult
  public func extract(to directory: URL) throws(BundleError) -> InstalledBundle {
    try archive.extract(to: directory) { (name, digest) throws(BundleError) in
      try check(name, digest)
      if name == BundleEntry.weights || name == BundleEntry.proof {
        try SafetensorsFile(path: directory.appending(path: name).path).checkFinite()
      }
    }
    return InstalledBundle(directory: directory, manifest: manifest)
  }

  private func check(_ name: String, _ digest: String) throws(BundleError) {
    if name == BundleEntry.sums || name == BundleEntry.signature { return }
    try sums.check(name, digest: digest, source: path)
    if name == BundleEntry.weights { try manifest.checkWeights(digest: digest, source: path) }
  }
}

extension Manifest {
  /// Refuses a bundle that lacks what the manifest names, or holds libraries that it does not name.
  func check(names: [String], source: String) throws(BundleError) {
    let libraries = Set(plugin?.libraries.values.map { $0 } ?? [])
    for name in [BundleEntry.manifest, BundleEntry.weights] + libraries.sorted() where !names.contains(name) {
      throw BundleError(
        .missingEntry, at: source, "The manifest names \"\(name)\", which is not there.", remedy: "Add the file.")
    }
    for name in names where name.hasPrefix("plugins/") && !libraries.contains(name) {
      throw BundleError(
        .unlistedEntry, at: source, "The manifest does not name \"\(name)\".",
        remedy: "Add it to plugin.libraries, or remove the file.")
    }
  }

  func checkWeights(digest: String, source: String) throws(BundleError) {
    guard weights.sha256 == digest else {
      throw BundleError(
        .checksumMismatch, at: "\(source)/\(BundleEntry.weights)",
        "SHA-256 is \(digest); the manifest says \(weights.sha256).",
        remedy: "Fetch the bundle again; if that does not help, tell its publisher.")
    }
  }
}
