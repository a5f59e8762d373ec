internal import Bundles
internal import Foundation
internal import Glibc

/// SHA-256 of a file that is still being written, on a thread of its own, a step behind the one that receives.
///
/// It reads what was written back from the file, so that the digest is of what is there, bytes from an earlier,
/// interrupted download included. The thread yields to the one that receives: where the server shares the cores, the
/// download goes on at full speed, and `finish` hashes what is left by then.
/// `@unchecked Sendable`: everything that changes is guarded by `condition`, but for `hash` and `offset`, which are the
/// thread's until `hasEnded` and then the caller's.
final class FollowingHash: @unchecked Sendable {
  private let file: Int32
  private let path: String
  private let condition = NSCondition()
  /// Bytes that are written.
  private var available = 0
  private var isComplete = false
  private var hasEnded = false
  private var failure: RegistryError?
  private var hash = SHA256()
  /// Bytes that are hashed.
  private var offset = 0
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)

  deinit { buffer.deallocate() }

  /// - Parameter file: a descriptor to read from; it must stay open until `finish` returns.
  init(_ file: Int32, path: String) {
    self.file = file
    self.path = path
    let thread = Thread { [self] in
      // On Linux 0 is this thread alone.
      setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
      let result = Result { () throws(RegistryError) in try follow() }
      condition.withLock {
        if case .failure(let error) = result { failure = error }
        hasEnded = true
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

  /// Takes over from the thread and hashes the rest.
  /// - Returns: 64 hexadecimal digits.
  func finish() throws(RegistryError) -> String {
    let (end, failure) = condition.withLock {
      isComplete = true
      condition.broadcast()
      while !hasEnded { condition.wait() }
      return (available, self.failure)
    }
    if let failure { throw failure }
    while offset < end { try step(to: end) }
    return hash.hex()
  }

  private func follow() throws(RegistryError) {
    while true {
      let end = condition.withLock {
        while available == offset, !isComplete { condition.wait() }
        return isComplete ? offset : available
      }
      if end == offset { return }
      try step(to: end)
    }
  }

  /// Hashes at most a buffer's bytes before `end`.
  private func step(to end: Int) throws(RegistryError) {
    let count = pread(file, buffer.baseAddress, min(buffer.count, end - offset), off_t(offset))
    if count < 0, errno == EINTR { return }
    guard count > 0 else { throw Disk.error("cannot be read back", path) }
    hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    offset += count
  }
}
