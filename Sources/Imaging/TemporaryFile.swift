internal import Glibc

/// A file under a passing name in the folder of its final name: it appears complete or not at all.
final class TemporaryFile {
  let path: String
  private(set) var descriptor: Int32
  private let temporary: [CChar]

  /// - Throws: `ImagingError` when the folder does not exist or cannot be written.
  init(for path: String) throws(ImagingError) {
    // The name is the process's and unique in it, hidden, and short whatever the final name's length.
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    var template = Array("\(folder).codi-XXXXXX".utf8CString)
    descriptor = mkstemp(&template)
    (self.path, temporary) = (path, template)
    guard descriptor >= 0 else { throw Self.failure("created", path) }
  }

  deinit {
    guard descriptor >= 0 else { return }
    close(descriptor)
    unlink(temporary)
  }

  func write(_ bytes: [UInt8]) throws(ImagingError) {
    var written = 0
    while written < bytes.count {
      let n = bytes.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress.map { $0 + written }, bytes.count - written)
      }
      if n > 0 { written += n } else if n == 0 || errno != EINTR { throw Self.failure("written", path) }
    }
  }

  /// Gives the file its name, with the permissions that the user's mask asks for.
  func commit() throws(ImagingError) {
    guard fchmod(descriptor, 0o666 & ~currentMask) == 0 else { throw Self.failure("given its permissions", path) }
    guard fsync(descriptor) == 0 else { throw Self.failure("written", path) }
    let closed = close(descriptor)
    descriptor = -1
    guard closed == 0 else {
      defer { unlink(temporary) }
      throw Self.failure("written", path)
    }
    guard rename(temporary, path) == 0 else {
      defer { unlink(temporary) }
      throw Self.failure("given its name", path)
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
