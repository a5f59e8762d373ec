internal import Glibc
internal import Synchronization

/// A finished file under a hidden name beside its own, so that it appears complete or not at all.
///
/// While it exists its writer holds a lock on it: what a killed writer left can be told from what is being written.
public final class StagedFile: Sendable {
  /// How hidden names begin; six characters of chance follow.
  public static let prefix = ".codi-"

  /// The name that the file will have.
  public let path: String
  /// Size in bytes, and time of the last change in nanoseconds since 1970; both stay when the file gets its name.
  public let size: Int, time: Int64
  private let temporary: String
  private let descriptor: Int32
  private let isPublished = Atomic(false)

  /// Writes `bytes` to the disk.
  public init(_ bytes: [UInt8], for path: String) throws(ImagingError) {
    // The name is the process's and unique in it, hidden, and short whatever the final name's length.
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    var template = Array("\(folder)\(Self.prefix)XXXXXX".utf8CString)
    let file = mkstemp(&template)
    guard file >= 0 else { throw Self.failure("created", path) }
    _ = flock(file, LOCK_EX | LOCK_NB)
    var problem: ImagingError?
    var written = 0
    while written < bytes.count, problem == nil {
      let n = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress.map { $0 + written }, bytes.count - written) }
      if n > 0 { written += n } else if n == 0 || errno != EINTR { problem = Self.failure("written", path) }
    }
    if problem == nil, fchmod(file, 0o666 & ~currentMask) != 0 { problem = Self.failure("given its permissions", path) }
    if problem == nil, fsync(file) != 0 { problem = Self.failure("written", path) }
    var status = stat()
    if problem == nil, fstat(file, &status) != 0 { problem = Self.failure("written", path) }
    if let problem {
      unlink(template)
      close(file)
      throw problem
    }
    self.path = path
    size = Int(status.st_size)
    time = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
    temporary = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
    descriptor = file
  }

  /// A file that was not published goes with its last reference.
  deinit {
    if !isPublished.load(ordering: .relaxed) { unlink(temporary) }
    close(descriptor)
  }

  /// Gives the file its name; what had the name before is replaced.
  public func publish() throws(ImagingError) {
    guard rename(temporary, path) == 0 else { throw Self.failure("given its name", path) }
    isPublished.store(true, ordering: .relaxed)
  }

  /// Removes from `folder` what killed writers left there.
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
      if flock(file, LOCK_EX | LOCK_NB) == 0 { unlink(path) }
      close(file)
    }
  }

  private static func failure(_ step: String, _ path: String) -> ImagingError {
    ImagingError(
      code: .cannotWrite, location: path, reason: "The file cannot be \(step): \(String(cString: strerror(errno))).",
      remedy: "Check that the folder exists, may be written and has room.")
  }
}

/// `mkstemp` makes private files; results get the permissions the user's mask asks for. Read once: asking sets it.
private let currentMask: mode_t = {
  let mask = umask(0o022)
  umask(mask)
  return mask
}()
