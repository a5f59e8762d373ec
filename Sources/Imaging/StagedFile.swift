internal import Glibc
internal import Synchronization

/// A finished file under a hidden name beside its own, so that it appears complete or not at all.
///
/// While it exists its writer holds a lock on it: what a killed writer left can be told from what is being written.
public final class StagedFile: Sendable {
  /// How hidden names begin; six characters of chance follow. Nobody would call a file of their own so.
  public static let prefix = ".codi-unfinished-result-"

  /// The name that the file will have.
  public let path: String
  /// Size in bytes, and time of the last change in nanoseconds since 1970; both stay when the file gets its name.
  public let size: Int, time: Int64
  private let temporary: String
  private let descriptor: Int32
  private let isPublished = Atomic(false)

  /// Writes `bytes` to the disk.
  public convenience init(_ bytes: [UInt8], for path: String) throws(ImagingError) {
    let draft = try DraftFile(for: path)
    try draft.write(bytes)
    try self.init(draft)
  }

  /// Takes over a file that is written, and sees to it that it is on the disk.
  init(_ draft: DraftFile) throws(ImagingError) {
    let file = draft.descriptor
    guard fchmod(file, 0o666 & ~currentMask) == 0 else { throw failure("given its permissions", draft.path) }
    guard fsync(file) == 0 else { throw failure("written", draft.path) }
    var status = stat()
    guard fstat(file, &status) == 0 else { throw failure("written", draft.path) }
    path = draft.path
    size = Int(status.st_size)
    time = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
    temporary = draft.temporary
    descriptor = file
    draft.release()
  }

  /// A file that was not published goes with its last reference.
  deinit {
    if !isPublished.load(ordering: .relaxed) { unlink(temporary) }
    close(descriptor)
  }

  /// Gives the file its name; what had the name before is replaced.
  public func publish() throws(ImagingError) {
    guard rename(temporary, path) == 0 else { throw failure("given its name", path) }
    isPublished.store(true, ordering: .relaxed)
  }

  /// Hands out the file's bytes, a megabyte at a time.
  public func read(_ body: (UnsafeRawBufferPointer) -> Void) throws(ImagingError) {
    var part = [UInt8](repeating: 0, count: 1 << 20)
    var done = 0
    while done < size {
      let n = part.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, off_t(done)) }
      if n < 0, errno == EINTR { continue }
      guard n > 0 else { throw failure("read again", path) }
      part.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0.prefix(n))) }
      done += n
    }
  }

  /// Removes from `folder` what this user's killed writers left there: regular files of such names without other names.
  public static func sweep(_ folder: String) {
    guard let list = opendir(folder) else { return }
    defer { closedir(list) }
    while let entry = readdir(list) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard name.utf8.count == prefix.utf8.count + 6, name.hasPrefix(prefix) else { continue }
      let path = "\(folder)/\(name)"
      let file = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
      guard file >= 0 else { continue }
      var status = stat()
      let isOurs =
        fstat(file, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_nlink == 1
        && status.st_uid == geteuid()
      if isOurs, flock(file, LOCK_EX | LOCK_NB) == 0 { unlink(path) }
      close(file)
    }
  }
}

/// A file that is being written under a hidden name, locked by its writer; it goes with its last reference.
final class DraftFile {
  /// The name that the file will have.
  let path: String
  private(set) var descriptor: Int32
  let temporary: String

  /// - Throws: `ImagingError` when the folder does not exist or cannot be written.
  init(for path: String) throws(ImagingError) {
    // The name is the process's and unique in it, hidden, and short whatever the final name's length.
    let folder = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[...$0]) } ?? ""
    var template = Array("\(folder)\(StagedFile.prefix)XXXXXX".utf8CString)
    descriptor = mkstemp(&template)
    guard descriptor >= 0 else { throw failure("created", path) }
    _ = flock(descriptor, LOCK_EX | LOCK_NB)
    self.path = path
    temporary = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
  }

  deinit {
    guard descriptor >= 0 else { return }
    unlink(temporary)
    close(descriptor)
  }

  /// Somebody else looks after descriptor and file from now on.
  func release() { descriptor = -1 }

  func write(_ bytes: [UInt8]) throws(ImagingError) {
    var written = 0
    while written < bytes.count {
      let n = bytes.withUnsafeBytes { buffer in
        Glibc.write(descriptor, buffer.baseAddress.map { $0 + written }, bytes.count - written)
      }
      if n > 0 { written += n } else if n == 0 || errno != EINTR { throw failure("written", path) }
    }
  }
}

private func failure(_ step: String, _ path: String) -> ImagingError {
  ImagingError(
    code: .cannotWrite, location: path, reason: "The file cannot be \(step): \(String(cString: strerror(errno))).",
    remedy: "Check that the folder exists, may be written and has room.")
}

/// `mkstemp` makes private files; results get the permissions the user's mask asks for. Read once: asking sets it.
private let currentMask: mode_t = {
  let mask = umask(0o022)
  umask(mask)
  return mask
}()
