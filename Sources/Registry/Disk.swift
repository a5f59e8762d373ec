internal import Bundles
internal import Foundation
internal import Glibc

/// The few file operations that must survive a power cut: written beside, synced, renamed.
enum Disk {
  static func error(_ what: String, _ path: String, remedy: String? = nil) -> RegistryError {
    RegistryError(
      .inputOutput, at: path, "It \(what): \(String(cString: strerror(errno))).",
      remedy: remedy ?? "Check the path, its permissions, and the free space.")
  }

  static func read(_ path: String, atMost limit: Int = 4 << 20) throws(RegistryError) -> Data {
    let file = FileHandle(fileDescriptor: try openFile(path), closeOnDealloc: true)
    guard let data = try? file.read(upToCount: limit + 1) ?? Data() else { throw error("cannot be read", path) }
    guard data.count <= limit else {
      throw RegistryError(
        .corrupt, at: path, "The file is longer than the \(limit) bytes that are read.", remedy: "Restore it.")
    }
    return data
  }

  /// Opens a regular file for reading: a pipe in a stranger's registry would be waited for without end.
  private static func openFile(_ path: String) throws(RegistryError) -> Int32 {
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw error("cannot be opened", path) }
    var status = stat()
    guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(file)
      throw RegistryError(.inputOutput, at: path, "This is not a regular file.", remedy: "Restore it.")
    }
    return file
  }

  /// Writes the file complete or not at all.
  static func write(_ data: Data, to path: String) throws(RegistryError) {
    let temporary = "\(path).\(UInt64.random(in: .min ... .max)).tmp"
    let file = FileSystem.create(temporary)
    guard file >= 0 else { throw error("cannot be written", path) }
    var isOpen = true
    var isMoved = false
    defer {
      if isOpen { close(file) }
      if !isMoved { _ = FileSystem.remove(temporary) }
    }
    guard writeAll(file, Array(data), temporary), FileSystem.sync(file, path: temporary) == 0 else {
      throw error("cannot be written", path)
    }
    isOpen = false
    guard close(file) == 0 else { throw error("cannot be written", path) }
    try move(temporary, to: path)
    isMoved = true
  }

  /// Copies a file of at most `limit` bytes, syncs the copy, and returns the SHA-256 of what was copied in hexadecimal
  /// digits.
  static func copy(_ source: String, to target: String, atMost limit: Int = .max) throws(RegistryError) -> String {
    let from = try openFile(source)
    defer { close(from) }
    let to = FileSystem.create(target)
    guard to >= 0 else { throw error("cannot be written", target) }
    defer { close(to) }
    var hash = SHA256()
    var total = 0
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let count = Glibc.read(from, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw error("cannot be read", source) }
      if count == 0 { break }
      total += count
      guard total <= limit else {
        throw RegistryError(
          .corrupt, at: source, "The file is longer than the \(limit) bytes that were announced.",
          remedy: "Tell the registry's owner.")
      }
      buffer.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
      guard writeAll(to, buffer[..<count], target) else { throw error("cannot be written", target) }
    }
    guard FileSystem.sync(to, path: target) == 0 else { throw error("cannot be written", target) }
    return hash.hex()
  }

  /// Renames and makes the new name durable.
  static func move(_ source: String, to target: String) throws(RegistryError) {
    try rename(source, to: target)
    try sync(directory: PathText.folder(of: target))
  }

  /// Renames; the new name is not durable yet.
  static func rename(_ source: String, to target: String) throws(RegistryError) {
    guard FileSystem.rename(source, target) == 0 else { throw error("cannot be moved into place", target) }
  }

  /// Makes the names in a folder durable.
  static func sync(directory: String) throws(RegistryError) {
    let path = directory.isEmpty ? "." : directory
    let directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw error("cannot be opened", path) }
    defer { close(directory) }
    guard FileSystem.sync(directory, path: path) == 0 || errno == EINVAL else {
      throw error("cannot be written", path)
    }
  }

  /// Makes a folder, and those it lies in, durable; one that is there is left alone.
  static func makeDirectory(_ path: String) throws(RegistryError) {
    if isDirectory(path) { return }
    let parent = PathText.folder(of: path)
    if !parent.isEmpty { try makeDirectory(parent) }
    guard FileSystem.makeDirectory(path) == 0 || errno == EEXIST && isDirectory(path) else {
      throw error("cannot be made as a folder", path)
    }
    try sync(directory: parent)
  }

  /// Whether nothing has this name, for sure: what may not be looked at does not count as missing.
  static func isMissing(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) != 0 && errno == ENOENT
  }

  static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

  static func remove(_ path: String) { FileSystem.removeTree(path) }

  /// The names in a folder; none where there is no folder.
  static func contents(_ path: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
  }

  /// Runs `body` while this process alone holds the lock on `directory`; waits for its turn.
  static func withLock<Result>(on directory: String, _ body: () throws -> Result) throws -> Result {
    let lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard lock >= 0 else { throw error("cannot be opened", directory) }
    // Closing releases the lock.
    defer { close(lock) }
    while flock(lock, LOCK_EX) != 0 {
      guard errno == EINTR else { throw error("cannot be locked", directory) }
    }
    return try body()
  }

  private static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  private static func writeAll(_ file: Int32, _ bytes: some Collection<UInt8>, _ path: String) -> Bool {
    bytes.withContiguousStorageIfAvailable { writeAll(file, UnsafeRawBufferPointer($0), path) } ?? false
  }

  /// Writes all of `bytes` to an open file; false with `errno` when that fails.
  static func writeAll(_ file: Int32, _ bytes: UnsafeRawBufferPointer, _ path: String) -> Bool {
    var rest = bytes
    while !rest.isEmpty {
      let count = FileSystem.write(file, rest, path: path)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
    }
    return true
  }
}
