internal import Glibc

/// A tar shard's regular files by name; plain ustar only, so that nothing is guessed.
///
/// Opening reads every header, so a cut or damaged shard is refused at once. Folders are passed over; links and devices
/// too. Extended headers (long names) are refused.
final class TarArchive: Sendable {
  struct Entry: Sendable {
    let name: String
    let offset: Int
    let size: Int
  }

  static let maximumEntrySize = 256 << 20
  static let maximumEntries = 1_000_000

  let path: String
  let entries: [Entry]
  private let file: Int32

  init(_ path: String) throws(DataError) {
    self.path = path
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else {
      throw DataError(
        .missing, at: path, "The shard cannot be opened: \(String(cString: strerror(errno))).",
        remedy: "Check the path and its permissions.")
    }
    do {
      entries = try TarArchive.scan(file, path)
    } catch {
      close(file)
      throw error
    }
    self.file = file
  }

  deinit { close(file) }

  /// The bytes of one entry. May be called from many threads at once.
  func read(_ entry: Entry) throws(DataError) -> [UInt8] {
    try TarArchive.read(file, at: entry.offset, count: entry.size, path)
  }

  private static func scan(_ file: Int32, _ path: String) throws(DataError) -> [Entry] {
    func damaged(_ reason: String, at offset: Int) -> DataError {
      DataError(
        .damaged, at: path, "At byte \(offset): \(reason).",
        remedy: "Fetch the shard again, or pack it with tar --format=ustar.")
    }
    var status = stat()
    guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw damaged("this is not a regular file", at: 0)
    }
    let end = Int(status.st_size)
    var entries: [Entry] = []
    var offset = 0
    while true {
      guard offset + 512 <= end else { throw damaged("the archive has no end mark, it is cut short", at: offset) }
      let header = try read(file, at: offset, count: 512, path)
      if header.allSatisfy({ $0 == 0 }) { return entries }
      // The sum is taken with its own field as blanks.
      let sum = header.enumerated().reduce(0) { $0 + (148..<156 ~= $1.offset ? 32 : Int($1.element)) }
      guard octal(header[148..<156]) == sum, header[257..<262].elementsEqual("ustar".utf8) else {
        throw damaged("this is no tar header", at: offset)
      }
      guard let size = octal(header[124..<136]), size <= maximumEntrySize else {
        throw damaged("the entry is larger than \(maximumEntrySize >> 20) MiB", at: offset)
      }
      guard offset + 512 + size <= end else { throw damaged("the entry goes beyond the end of the file", at: offset) }
      switch header[156] {
      case UInt8(ascii: "0"), 0:
        // GNU archives use the prefix field for other things.
        let prefix = header[262] == 0 ? text(header[345..<500]) : ""
        let name = text(header[0..<100])
        guard !name.isEmpty else { throw damaged("the entry has no name", at: offset) }
        guard entries.count < maximumEntries else {
          throw damaged("there are more than \(maximumEntries) entries", at: offset)
        }
        entries.append(Entry(name: prefix.isEmpty ? name : "\(prefix)/\(name)", offset: offset + 512, size: size))
      case UInt8(ascii: "1")...UInt8(ascii: "6"): break
      default: throw damaged("the entry has an extended header, which this reader does not take", at: offset)
      }
      offset += 512 + (size + 511) / 512 * 512
    }
  }

  private static func read(_ file: Int32, at offset: Int, count: Int, _ path: String) throws(DataError) -> [UInt8] {
    var done = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      while done < count {
        let n = pread(file, buffer.baseAddress.map { $0 + done }, count - done, offset + done)
        if n > 0 { done += n } else if n == 0 || errno != EINTR { break }
      }
      initialized = done
    }
    guard done == count else {
      throw DataError(
        .damaged, at: path, "Only \(done) of \(count) bytes at \(offset) can be read.", remedy: "Fetch the shard again."
      )
    }
    return bytes
  }

  private static func text(_ field: ArraySlice<UInt8>) -> String {
    String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
  }

  /// Octal digits between blanks or zeros; `nil` for anything else, such as GNU's binary sizes.
  private static func octal(_ field: ArraySlice<UInt8>) -> Int? {
    let digits = field.drop { $0 == 32 }.prefix { $0 != 32 && $0 != 0 }
    guard !digits.isEmpty, digits.allSatisfy({ 48...55 ~= $0 }) else { return nil }
    return digits.reduce(0) { $0 * 8 + Int($1 - 48) }
  }
}
