internal import Clibcrypto
public import Foundation

/// SHA-256 of bytes that arrive in parts; by libcrypto, which uses the processor's SHA instructions.
public struct SHA256: Sendable {
  /// A hash under way; copied before a change when another value holds it too.
  private final class State: @unchecked Sendable {
    let context: OpaquePointer

    init(copying other: State? = nil) {
      guard let context = EVP_MD_CTX_new() else { preconditionFailure("out of memory") }
      self.context = context
      let status =
        other.map { EVP_MD_CTX_copy_ex(context, $0.context) } ?? EVP_DigestInit_ex(context, EVP_sha256(), nil)
      precondition(status == 1, "libcrypto has no SHA-256")
    }

    deinit { EVP_MD_CTX_free(context) }
  }

  private var state = State()

  public init() {}

  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    if !isKnownUniquelyReferenced(&state) { state = State(copying: state) }
    EVP_DigestUpdate(state.context, base, bytes.count)
  }

  public mutating func update(_ data: Data) {
    for region in data.regions { region.withUnsafeBytes { update($0) } }
  }

  /// The 32 bytes of the digest of everything so far; the state itself goes on.
  public func digest() -> [UInt8] {
    let last = State(copying: state)
    var digest = [UInt8](repeating: 0, count: 32)
    EVP_DigestFinal_ex(last.context, &digest, nil)
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
