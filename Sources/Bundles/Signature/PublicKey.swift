internal import Clibsodium
public import Foundation

/// A minisign public key: who signed something is known by it.
public struct PublicKey: Sendable, Hashable, LosslessStringConvertible {
  public let id: KeyID
  /// Ed25519, 32 bytes.
  let bytes: [UInt8]

  init(id: KeyID, bytes: [UInt8]) {
    self.id = id
    self.bytes = bytes
  }

  /// Reads the key alone, as in `minisign -P`: 56 characters of base64, "RW…".
  public init(base64 text: String, source: String) throws(BundleError) {
    let record = try Minisign.decode(text, count: 42, "public key", source)
    guard Array(record[..<2]) == Minisign.legacy else {
      throw Minisign.malformed(source, "The public key is not one for Ed25519.")
    }
    self.init(id: KeyID(record[2..<10]), bytes: Array(record[10...]))
  }

  /// Reads a `.pub` file: a comment, and the key.
  public init(parsing data: Data, source: String) throws(BundleError) {
    let lines = try Minisign.lines(data, count: 2, "public key", source)
    _ = try Minisign.comment(lines[0], after: Minisign.untrusted, source)
    try self.init(base64: lines[1], source: source)
  }

  /// Nil unless `text` is a key of 56 characters.
  public init?(_ text: String) {
    guard let key = try? PublicKey(base64: text, source: "") else { return nil }
    self = key
  }

  /// The 56 characters that `init(base64:source:)` reads.
  public var description: String { Minisign.encode(Minisign.legacy + id.bytes + bytes) }

  /// The `.pub` file of this key.
  public var file: String { "\(Minisign.untrusted)minisign public key \(id)\n\(self)\n" }

  /// Whether `signature`, 64 bytes, is this key's over `message`.
  func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
    signature.count == 64 && crypto_sign_verify_detached(signature, message, UInt64(message.count), bytes) == 0
  }
}

extension PublicKey: Codable {
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let key = PublicKey(text) else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "\"\(text)\" is not a minisign public key"))
    }
    self = key
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
