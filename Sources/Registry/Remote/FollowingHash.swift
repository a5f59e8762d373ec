internal import Bundles
internal import Foundation
internal import Glibc

/// SHA-256 of a file that is still being written, on a thread of its own, a step behind the one that receives.
///
/// It reads what was written back from the file, so that the digest is of what is there, bytes from an earlier,
/// interrupted download included. `@unchecked Sendable`: everything that changes is guarded by `condition`.
final class FollowingHash: @unchecked Sendable {
  private let file: Int32
  private let condition = NSCondition()
  /// Bytes that are written.
  private var available = 0
  private var isComplete = false
  private var result: Result<String, RegistryError>?

  /// - Parameter file: a descriptor to read from; it must stay open until `finish` returns.
  init(_ file: Int32, path: String) {
    self.file = file
    let thread = Thread { [self] in
      let result = Result { () throws(RegistryError) in try read(path) }
      condition.withLock {
        self.result = result
        condition.broadcast()
      }
    }
    thread.name = "codi-hash"
    thread.start()
  }

  /// The first `count` bytes are there.
  func advance(to count: Int) {
    condition.withLock {
      available = count
      condition.signal()
    }
  }

  /// Waits until everything that was written is hashed.
  /// - Returns: 64 hexadecimal digits.
  func finish() throws(RegistryError) -> String {
    let result = condition.withLock {
      isComplete = true
      condition.broadcast()
      while self.result == nil { condition.wait() }
      return self.result
    }
    guard let result else { return "" }
    return try result.get()
  }

  private func read(_ path: String) throws(RegistryError) -> String {
    var hash = SHA256()
    var buffer = [UInt8](repeating: 0, count: 256 << 10)
    var offset = 0
    while true {
      let end = condition.withLock {
        while available == offset, !isComplete { condition.wait() }
        return available
      }
      if end == offset { return hash.hex() }
      while offset < end {
        let count = pread(file, &buffer, min(buffer.count, end - offset), off_t(offset))
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { throw Disk.error("cannot be read back", path) }
        buffer.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        offset += count
      }
    }
  }
}
