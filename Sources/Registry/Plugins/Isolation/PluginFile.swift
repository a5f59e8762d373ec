internal import Bundles
internal import CSandbox
internal import Foundation
internal import Glibc

/// A plugin's library as it was verified: a copy in memory that nobody can change between the check and the loading.
public final class PluginFile: Sendable {
  /// Where it was read; for messages only.
  public let path: String
  let file: Int32

  /// Longest library that is loaded, bytes.
  static let limit = 256 << 20

  /// Reads the file and compares it with its digest, if there is one.
  /// - Parameter check: throws when the SHA-256 of the bytes, 64 hexadecimal digits, is not the right one.
  /// - Throws: `library` for a file that cannot be read.
  public init(path: String, check: (_ digest: String) throws -> Void = { _ in }) throws {
    self.path = path
    func failure(_ reason: String) -> PluginError {
      PluginError(.library, at: path, "The library cannot be read: \(reason).", remedy: "Reinstall the adapter.")
    }
    let source = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
    guard source >= 0 else { throw failure(String(cString: strerror(errno))) }
    let handle = FileHandle(fileDescriptor: source, closeOnDealloc: true)
    guard let bytes = try? handle.read(upToCount: Self.limit + 1), !bytes.isEmpty else { throw failure("no bytes") }
    guard bytes.count <= Self.limit else { throw failure("it has more than \(Self.limit) bytes") }
    try check(SHA256.hex(of: bytes))
    file = bytes.withUnsafeBytes { cs_sealed_copy($0.baseAddress, UInt64($0.count)) }
    guard file >= 0 else { throw failure(String(cString: strerror(errno))) }
  }

  /// A copy of bytes that are at hand.
  init(bytes: [UInt8], path: String) throws(PluginError) {
    self.path = path
    file = bytes.withUnsafeBytes { cs_sealed_copy($0.baseAddress, UInt64($0.count)) }
    guard file >= 0 else {
      throw PluginError(
        .outOfMemory, at: path, "There is no memory for a copy: \(String(cString: strerror(errno))).",
        remedy: "Run it again.")
    }
  }

  /// The bytes again.
  func bytes() throws(PluginError) -> [UInt8] {
    func failure() -> PluginError {
      PluginError(
        .library, at: path, "The library cannot be read: \(String(cString: strerror(errno))).",
        remedy: "Reinstall the adapter.")
    }
    let end = lseek(file, 0, SEEK_END)
    guard end >= 0 else { throw failure() }
    var bytes = [UInt8](repeating: 0, count: end)
    var count = 0
    while count < bytes.count {
      let part = bytes.withUnsafeMutableBytes {
        pread(file, $0.baseAddress.map { $0 + count }, $0.count - count, off_t(count))
      }
      if part < 0, errno == EINTR { continue }
      guard part > 0 else { throw failure() }
      count += part
    }
    return bytes
  }

  deinit { close(file) }
}
