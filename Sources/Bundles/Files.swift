internal import Foundation
internal import Glibc

/// A file being written beside its destination; it takes the destination's place only when it is complete and on
/// disk, and is gone otherwise.
final class AtomicFile {
  private let path: String
  private let temporary: String
  private var descriptor: Int32

  init(replacing path: String) throws(BundleError) {
    self.path = path
    temporary = Files.temporary(beside: path)
    descriptor = FileSystem.create(temporary)
    guard descriptor >= 0, fchmod(descriptor, 0o644) == 0 else { throw Files.error("cannot be written", path) }
  }

  deinit {
    guard descriptor >= 0 else { return }
    close(descriptor)
    Files.remove(temporary)
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws(BundleError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let part = UnsafeRawBufferPointer(rebasing: rest)
      let count = FileSystem.write(descriptor, part, path: temporary)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw Files.error("cannot be written", path) }
      rest = rest.dropFirst(count)
    }
  }

  func write(_ data: Data) throws(BundleError) {
    for region in data.regions {
      // `withUnsafeBytes` rethrows untyped errors, hence the result.
      let result = region.withUnsafeBytes { bytes in
        Result { () throws(BundleError) in try write(bytes) }
      }
      try result.get()
    }
  }

  /// Makes the file durable and visible under its name.
  func finish() throws(BundleError) {
    try Files.publish(temporary, as: path)
    close(descriptor)
    descriptor = -1
  }
}

/// A folder made anew and filled; removed with all it holds unless it is kept.
final class NewFolder {
  private let path: String
  private var subfolders: Set<String> = []
  /// True until the folder is ours to remove: a failing `init` runs `deinit` too.
  private var isKept = true

  init(_ path: String) throws(BundleError) {
    self.path = path
    guard FileSystem.makeDirectory(path) == 0 else { throw Files.error("cannot be made as a new folder", path) }
    isKept = false
  }

  deinit {
    if !isKept { FileSystem.removeTree(path) }
  }

  /// A new file of mode 0644; folders of a checked relative `name` are made as needed.
  func file(_ name: String) throws(BundleError) -> AtomicFile {
    var folder = path
    for part in name.split(separator: "/").dropLast() {
      folder += "/\(part)"
      guard subfolders.insert(folder).inserted else { continue }
      guard FileSystem.makeDirectory(folder) == 0 else { throw Files.error("cannot be made as a new folder", folder) }
    }
    return try AtomicFile(replacing: "\(path)/\(name)")
  }

  /// Makes all names durable and gives the folder up to the caller.
  func keep() throws(BundleError) {
    for folder in subfolders { try Files.sync(directory: folder) }
    try Files.sync(directory: path)
    try Files.sync(directory: PathText.folder(of: path))
    isKept = true
  }
}

/// A regular file mapped read-only and shared; unmapped when the last reference goes.
///
/// The file must not shrink while it is mapped: replace files by renaming, never in place.
final class MappedFile: Sendable {
  nonisolated(unsafe) private let base: UnsafeRawPointer?
  let count: Int

  init(path: String) throws(BundleError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw Files.error("cannot be opened", path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Files.error("cannot be inspected", path) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw BundleError(.inputOutput, at: path, "This is not a regular file.", remedy: "Name a file.")
    }
    count = Int(status.st_size)
    guard count > 0 else {
      base = nil
      return
    }
    guard let address = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, 0), address != MAP_FAILED else {
      throw Files.error("cannot be mapped", path)
    }
    base = UnsafeRawPointer(address)
  }

  deinit {
    if let base { munmap(UnsafeMutableRawPointer(mutating: base), count) }
  }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }
}

/// The few file operations whose failure must be reported with its cause.
enum Files {
  static func error(_ what: String, _ path: String) -> BundleError {
    BundleError(
      .inputOutput, at: path, "The file \(what): \(String(cString: strerror(errno))).",
      remedy: "Check the path, its permissions, and the free space.")
  }

  /// A name for a file that will take the place of `path`.
  static func temporary(beside path: String) -> String {
    "\(path).\(String(UInt64.random(in: .min ... .max), radix: 36)).tmp"
  }

  static func remove(_ path: String) { _ = FileSystem.remove(path) }

  /// Makes the contents of `temporary` durable, then gives it the name `path`.
  static func publish(_ temporary: String, as path: String) throws(BundleError) {
    let descriptor = open(temporary, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw error("cannot be written to disk", path) }
    defer { close(descriptor) }
    guard FileSystem.sync(descriptor, path: temporary) == 0 else { throw error("cannot be written to disk", path) }
    guard FileSystem.rename(temporary, path) == 0 else { throw error("cannot be moved into place", path) }
    try sync(directory: PathText.folder(of: path))
  }

  static func read(_ path: String, atMost limit: Int) throws(BundleError) -> Data {
    let file = try MappedFile(path: path)
    guard file.count <= limit else {
      throw BundleError(
        .limit, at: path, "The file has \(file.count) bytes; at most \(limit) are read.", remedy: "Shorten it.")
    }
    return Data(file.bytes)
  }

  static func write(_ data: Data, to path: String) throws(BundleError) {
    let file = try AtomicFile(replacing: path)
    try file.write(data)
    try file.finish()
  }

  /// Makes renames and new names inside `directory` durable; file systems that cannot are left alone.
  static func sync(directory: String) throws(BundleError) {
    let path = directory.isEmpty ? "." : directory
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    guard FileSystem.sync(descriptor, path: path) == 0 || errno == EINVAL || errno == EROFS else {
      throw error("cannot be written to disk", path)
    }
  }
}
