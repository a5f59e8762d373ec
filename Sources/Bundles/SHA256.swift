internal import Clibsodium
public import Foundation

/// SHA-256 of bytes that arrive in parts.
public struct SHA256: Sendable {
  private var state = crypto_hash_sha256_state()

  public init() { crypto_hash_sha256_init(&state) }

  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    crypto_hash_sha256_update(&state, base.assumingMemoryBound(to: UInt8.self), UInt64(bytes.count))
  }

  public mutating func update(_ data: Data) {
    for region in data.regions { region.withUnsafeBytes { update($0) } }
  }

  /// The 32 bytes of the digest of everything so far; the state itself goes on.
  public func digest() -> [UInt8] {
    var state = state
    var digest = [UInt8](repeating: 0, count: 32)
    crypto_hash_sha256_final(&state, &digest)
    return digest
  }

  /// `digest()` in 64 lower-case hexadecimal digits.
  public func hex() -> String {
    digest().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  /// The digest of `data` in hexadecimal digits.
  public static func hex(of data: Data) -> String {
    var hash = SHA256()
    hash.update(data)
    return hash.hex()
  }

  /// The digest of a file in hexadecimal digits; the file is mapped, not loaded.
  public static func hex(ofFile path: String) throws(BundleError) -> String {
    let file = try MappedFile(path: path)
    var hash = SHA256()
    hash.update(file.bytes)
    withExtendedLifetime(file) {}
    return hash.hex()
  }

  /// Whether `text` is a digest as written in manifests and sums: 64 digits, letters in lower case.
  static func isHex(_ text: String) -> Bool {
    text.utf8.count == 64 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }
}

extension SHA256 {
  /// The 32 bytes of the digest of `data`.
  public static func digest(of data: Data) -> [UInt8] {
    var hash = SHA256()
    hash.update(data)
    return hash.digest()
  }
}
