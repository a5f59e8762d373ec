public import Foundation

/// A minisign signature over some bytes and over a comment that the signer wrote.
public struct Signature: Sendable, Hashable {
  public enum Algorithm: Sendable, Hashable, CaseIterable {
    /// Ed25519 over the BLAKE2b-512 of the bytes: what minisign and we write.
    case prehashed
    /// Ed25519 over the bytes: read, never written.
    case legacy
  }

  public let algorithm: Algorithm
  /// Of the key that is said to have signed.
  public let keyID: KeyID
  /// Covered by the signature.
  public let trustedComment: String
  /// Covered by nothing.
  public let untrustedComment: String
  /// Over the message.
  let bytes: [UInt8]
  /// Over `bytes` and the trusted comment.
  let globalBytes: [UInt8]

  init(keyID: KeyID, bytes: [UInt8], globalBytes: [UInt8], trustedComment: String, untrustedComment: String) {
    algorithm = .prehashed
    self.keyID = keyID
    self.bytes = bytes
    self.globalBytes = globalBytes
    self.trustedComment = trustedComment
    self.untrustedComment = untrustedComment
  }

  /// Reads a `.minisig` file of four lines.
  public init(parsing data: Data, source: String) throws(BundleError) {
    let lines = try Minisign.lines(data, count: 4, "signature", source)
    untrustedComment = try Minisign.comment(lines[0], after: Minisign.untrusted, source)
    let record = try Minisign.decode(lines[1], count: 74, "signature", source)
    switch Array(record[..<2]) {
    case Minisign.prehashed: algorithm = .prehashed
    case Minisign.legacy: algorithm = .legacy
    default: throw Minisign.malformed(source, "The signature is of an unknown kind.")
    }
    keyID = KeyID(record[2..<10])
    bytes = Array(record[10...])
    trustedComment = try Minisign.comment(lines[2], after: Minisign.trusted, source)
    globalBytes = try Minisign.decode(lines[3], count: 64, "signature of the comment", source)
  }

  /// The `.minisig` file of this signature.
  public var file: String {
    let mark = algorithm == .prehashed ? Minisign.prehashed : Minisign.legacy
    return "\(Minisign.untrusted)\(untrustedComment)\n\(Minisign.encode(mark + keyID.bytes + bytes))\n"
      + "\(Minisign.trusted)\(trustedComment)\n\(Minisign.encode(globalBytes))\n"
  }

  /// Refuses unless `key` signed both `message` and the trusted comment.
  /// - Throws: `wrongKey` for another key's signature, `badSignature` for changed bytes or a changed comment.
  public func verify(_ message: Data, with key: PublicKey, source: String) throws(BundleError) {
    guard keyID == key.id else {
      throw BundleError(
        .wrongKey, at: source, "It is signed by the key \(keyID), not by \(key.id).",
        remedy: "Ask the publisher which key is theirs: `codi trust list` shows those that are known.")
    }
    let message = [UInt8](message)
    guard key.verifies(bytes, of: algorithm == .prehashed ? Minisign.hash(message) : message) else {
      throw Signature.bad(source, "The signature by the key \(keyID) is not one of these bytes.")
    }
    guard key.verifies(globalBytes, of: bytes + Array(trustedComment.utf8)) else {
      throw Signature.bad(source, "The signature by the key \(keyID) is not one of its comment.")
    }
  }

  static func bad(_ source: String, _ reason: String) -> BundleError {
    BundleError(
      .badSignature, at: source, reason, remedy: "Fetch it again; if that does not help, tell its publisher.")
  }
}
