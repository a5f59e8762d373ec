internal import Foundation
internal import Glibc

/// A file without a name, for readers that take a path.
final class MemoryFile {
  private let descriptor: Int32
  var path: String { "/proc/self/fd/\(descriptor)" }

  init(_ data: Data) throws {
    // The kernel's number of O_TMPFILE, a macro that Swift does not see: a file without a name.
    descriptor = open(ScratchFolder.place, O_RDWR | O_CLOEXEC | O_DIRECTORY | 0o20_000_000, 0o600)
    guard descriptor >= 0 else { throw MemoryFile.error("memory file") }
    let written = data.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    guard written == data.count else { throw MemoryFile.error("memory file") }
  }

  deinit { close(descriptor) }

  static func error(_ what: String) -> CocoaError {
    CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: what, "errno": errno])
  }
}

/// A folder for one run, in memory where the system has such a place.
final class ScratchFolder {
  static let place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NSTemporaryDirectory()
  let path: String

  init() throws {
    path = "\(ScratchFolder.place)/codi-fuzz-\(getpid())-\(UInt64.random(in: .min ... .max))"
    try folder("")
  }

  deinit {
    try? FileManager.default.removeItem(atPath: path)
  }

  func folder(_ name: String) throws {
    guard mkdir("\(path)/\(name)", 0o700) == 0 else { throw MemoryFile.error(name) }
  }

  func write(_ data: Data, _ name: String) throws {
    let file = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw MemoryFile.error(name) }
    defer { close(file) }
    let written = data.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
    guard written == data.count else { throw MemoryFile.error(name) }
  }
}
