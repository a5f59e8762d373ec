internal import Bundles
internal import Foundation

extension Journal {
  /// Hands an existing journal to `body` for reading.
  ///
  /// SQLite has to write even to read what a killed process left, so one that may not be written is read from a copy.
  /// - Throws: `ConversionError`, `busy` when a process works with it.
  static func look(at path: String, _ body: (Journal) throws(ConversionError) -> Void) throws(ConversionError) {
    let folder = PathText.folder(of: path)
    guard access(path, W_OK) != 0 || access(folder.isEmpty ? "." : folder, W_OK) != 0 else {
      let journal = try Journal(path: path)
      defer { journal.close() }
      return try body(journal)
    }
    let files = FileManager.default
    let copies = files.temporaryDirectory.appending(path: "codi-journal-\(UUID().uuidString)")
    defer { try? files.removeItem(at: copies) }
    let copy = copies.appending(path: "journal").path
    do {
      guard try !isBeingWritten(path) else {
        throw ConversionError(
          .busy, at: path, "Another codi works with this journal.", remedy: "Wait until it has ended.")
      }
      try files.createDirectory(at: copies, withIntermediateDirectories: false)
      for end in ["", "-wal"] where end.isEmpty || files.fileExists(atPath: path + end) {
        try Data(contentsOf: URL(filePath: path + end)).write(to: URL(filePath: copy + end))
      }
    } catch let error as ConversionError { throw error } catch {
      throw ConversionError(
        .journal, at: path, "The journal cannot be read: \(error.localizedDescription)",
        remedy: "Check its permissions, and that \(files.temporaryDirectory.path) has room.")
    }
    do {
      let journal = try Journal(path: copy)
      defer { journal.close() }
      try body(journal)
    } catch { throw ConversionError(error.code, at: path, error.reason, remedy: error.remedy) }
  }

  /// Whether a process holds SQLite's lock for writing: https://www.sqlite.org/fileformat2.html, the lock-byte page.
  private static func isBeingWritten(_ path: String) throws -> Bool {
    let file = try FileHandle(forReadingFrom: URL(filePath: path))
    defer { try? file.close() }
    var lock = flock()
    (lock.l_type, lock.l_whence, lock.l_start, lock.l_len) = (Int16(F_RDLCK), Int16(SEEK_SET), 0x4000_0000, 512)
    return fcntl(file.fileDescriptor, F_GETLK, &lock) == 0 && lock.l_type != Int16(F_UNLCK)
  }
}
