package import Foundation
internal import Glibc
internal import Synchronization

/// Every change made to files while something is unpacked, installed, or published goes through here, so that a test
/// can count the changes, let one fail, or let none after it reach the disk.
///
/// Results are those of the C functions of the same name, with `errno`.
package enum FileSystem {
  /// What a test does to the changes that its own task makes; nothing otherwise.
  @TaskLocal package static var faults: FileFaults?

  package static func create(_ path: String) -> Int32 {
    attempt(.create(path)) { open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644) }
  }

  package static func write(_ file: Int32, _ bytes: UnsafeRawBufferPointer, path: String) -> Int {
    guard let faults else { return Glibc.write(file, bytes.baseAddress, bytes.count) }
    let count = faults.admits(bytes.count, of: path)
    let part = UnsafeRawBufferPointer(rebasing: bytes.prefix(count))
    return attempt(.write(path, Data(part))) { Glibc.write(file, part.baseAddress, part.count) }
  }

  /// Under faults nothing is synced in truth: what would be lost is then computed from the list of operations.
  package static func sync(_ file: Int32, path: String) -> Int32 {
    attempt(.sync(path)) { faults == nil ? fsync(file) : 0 }
  }

  package static func rename(_ source: String, _ target: String) -> Int32 {
    attempt(.rename(source, target)) { Glibc.rename(source, target) }
  }

  package static func makeDirectory(_ path: String) -> Int32 { attempt(.makeDirectory(path)) { mkdir(path, 0o755) } }

  /// Removes a file, a link, or an empty folder.
  package static func remove(_ path: String) -> Int32 { attempt(.remove(path)) { Glibc.remove(path) } }

  /// Removes a folder with all it holds, or a file; what cannot be removed stays.
  package static func removeTree(_ path: String) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    if status.st_mode & S_IFMT == S_IFDIR {
      for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] { removeTree("\(path)/\(name)") }
    }
    _ = remove(path)
  }

  /// What a path leads to, links not followed; nil where there is nothing.
  ///
  /// `FileManager` would also look up the owner's name, for which the C library asks a service through a socket.
  package static func status(_ path: String) -> FileStatus? {
    var status = stat()
    guard lstat(path, &status) == 0 else { return nil }
    let kind: FileStatus.Kind =
      switch status.st_mode & S_IFMT {
      case S_IFREG: .file
      case S_IFDIR: .folder
      default: .other
      }
    return FileStatus(kind: kind, size: Int(status.st_size), changed: Double(status.st_mtim.tv_sec))
  }

  private static func attempt<Result: SignedInteger>(_ operation: FileFaults.Operation, _ body: () -> Result) -> Result
  {
    guard let faults else { return body() }
    if let code = faults.strike(operation) {
      errno = code
      return -1
    }
    let result = body()
    if result >= 0 { faults.record(operation) }
    return result
  }
}

/// What is known of a file without opening it.
package struct FileStatus: Sendable, Hashable {
  package enum Kind: Sendable { case file, folder, other }

  package let kind: Kind
  /// Bytes.
  package let size: Int
  /// When its contents changed last, in seconds since 1970.
  package let changed: Double
}

/// Faults for the changes that one task makes to files, and the list of those that reached the disk.
package final class FileFaults: Sendable {
  package enum Operation: Sendable, Hashable {
    case create(String)
    case write(String, Data)
    /// Of a file or a folder.
    case sync(String)
    case rename(String, String)
    case makeDirectory(String)
    case remove(String)
  }

  package enum Kind: Sendable, Hashable {
    /// Nothing goes wrong.
    case none
    /// This operation and all after it never happen, not even cleaning up: as when the process is killed.
    case death
    /// This operation fails with an `errno`, the others do not.
    case error(Int32)
    /// From here on the disk takes no new files, folders, or bytes.
    case fullDisk
    /// If it is a write, only a part is written, as the system may.
    case shortWrite
  }

  private struct State {
    var count = 0
    var log: [Operation] = []
    var struck = false
  }

  private let kind: Kind
  private let place: Int
  private let state = Mutex(State())

  /// - Parameter place: the operation at which it happens, from 0.
  package init(_ kind: Kind, at place: Int = 0) {
    self.kind = kind
    self.place = place
  }

  /// What reached the disk, in order.
  package var log: [Operation] { state.withLock { $0.log } }
  /// Operations tried.
  package var count: Int { state.withLock { $0.count } }
  /// Whether the fault happened.
  package var struck: Bool { state.withLock { $0.struck } }

  /// How much of a write to let through.
  func admits(_ count: Int, of path: String) -> Int {
    state.withLock { state in
      guard kind == .shortWrite, state.count == place, count > 1 else { return count }
      state.struck = true
      return count / 2
    }
  }

  /// Counts an operation.
  /// - Returns: the `errno` with which it fails, if it does.
  func strike(_ operation: Operation) -> Int32? {
    state.withLock { state in
      defer { state.count += 1 }
      guard let code = code(for: operation, at: state.count) else { return nil }
      state.struck = true
      return code
    }
  }

  private func code(for operation: Operation, at count: Int) -> Int32? {
    switch kind {
    case .none, .shortWrite: return nil
    case .death: return count >= place ? EIO : nil
    case .error(let code): return count == place ? code : nil
    case .fullDisk:
      guard count >= place else { return nil }
      return switch operation {
      case .create, .write, .makeDirectory: ENOSPC
      case .sync, .rename, .remove: nil
      }
    }
  }

  func record(_ operation: Operation) { state.withLock { $0.log.append(operation) } }
}
