internal import Foundation

extension Signature {
  /// How an untrusted comment starts that carries the signer's public key.
  static let offer = "minisign public key "

  /// The public key that came with the signature, if one did: it proves nothing but that the signer had it.
  public var offeredKey: PublicKey? {
    guard untrustedComment.hasPrefix(Signature.offer) else { return nil }
    let key = PublicKey(String(untrustedComment.dropFirst(Signature.offer.count)))
    return key?.id == keyID ? key : nil
  }

  /// Refuses unless `key` signed these sums as those of the bundle that `manifest` describes.
  func verify(sums: Data, of manifest: Manifest, with key: PublicKey, source: String) throws(BundleError) {
    try verify(sums, with: key, source: source)
    guard trustedComment == manifest.identity else {
      throw Signature.bad(
        source, "The signature is for \(trustedComment.debugDescription), the bundle is \(manifest.identity).")
    }
  }
}

extension Manifest {
  /// `publisher/name@version`, which a bundle's signature covers.
  public var identity: String { "\(name)@\(version)" }
}

extension BundleReader {
  /// Refuses unless `key` signed this bundle's sums under its name and version.
  ///
  /// Says nothing about the other entries: `verify` and `extract` compare those with the sums.
  /// - Throws: `missingEntry` when it is not signed, `wrongKey`, `badSignature`.
  public func verifySignature(with key: PublicKey) throws(BundleError) {
    guard let signature else { throw BundleSignature.missing(path) }
    let sums = try archive.read(BundleEntry.sums, atMost: 64 << 10)
    try signature.verify(sums: sums, of: manifest, with: key, source: "\(path)/\(BundleEntry.signature)")
  }
}

extension InstalledBundle {
  /// The signature that came with the bundle, if one did.
  public func signature() throws(BundleError) -> Signature? {
    let path = url(of: BundleEntry.signature).path
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    return try Signature(parsing: Files.read(path, atMost: 16 << 10), source: path)
  }

  /// Refuses unless `key` signed this bundle's sums under its name and version.
  public func verifySignature(with key: PublicKey) throws(BundleError) {
    guard let signature = try signature() else { throw BundleSignature.missing(directory.path) }
    let sums = try Files.read(url(of: BundleEntry.sums).path, atMost: 64 << 10)
    try signature.verify(sums: sums, of: manifest, with: key, source: url(of: BundleEntry.signature).path)
  }
}

extension BundleWriter {
  /// Signs the bundle at `path`, replacing a signature that is there; its other entries stay as they are.
  ///
  /// The same as packing with the key at once. The bundle is verified before and after.
  /// - Parameter target: where the signed bundle goes; in place if left out.
  @discardableResult
  public static func sign(
    _ path: String, with key: SecretKey, to target: String? = nil
  ) throws(BundleError) -> Manifest {
    let target = target ?? path
    let work = URL(filePath: Files.temporary(beside: target))
    defer { try? FileManager.default.removeItem(at: work) }
    let reader = try BundleReader(path: path)
    let bundle = try reader.extract(to: work)
    let names = reader.archive.names.filter { $0 != BundleEntry.signature }
    let files = names.map { (name: $0, source: ZipWriter.Source.file(path: bundle.url(of: $0).path)) }
    let sums = try reader.archive.read(BundleEntry.sums, atMost: 64 << 10)
    let signature = try BundleSignature.entry(sums: sums, of: reader.manifest, by: key)
    try ZipWriter.write(files + [signature], to: target) { (temporary) throws(BundleError) in
      try BundleSignature.check(temporary, key.publicKey)
    }
    return reader.manifest
  }
}

enum BundleSignature {
  /// The last entry of a signed bundle.
  static func entry(
    sums: Data, of manifest: Manifest, by key: SecretKey
  ) throws(BundleError) -> (name: String, source: ZipWriter.Source) {
    let signature = try key.sign(sums, trustedComment: manifest.identity)
    return (BundleEntry.signature, .data(Data(signature.file.utf8)))
  }

  /// Verifies a finished bundle, and its signature if it should have one.
  static func check(_ path: String, _ key: PublicKey?) throws(BundleError) {
    let reader = try BundleReader(path: path)
    try reader.verify()
    if let key { try reader.verifySignature(with: key) }
  }

  static func missing(_ source: String) -> BundleError {
    BundleError(.missingEntry, at: source, "The bundle is not signed.", remedy: "Sign it with `codi sign`.")
  }
}
