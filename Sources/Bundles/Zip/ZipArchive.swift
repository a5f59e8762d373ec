internal import Clibzip
public import Foundation

/// A zip of the strict bundle profile, open for reading; everything but the entries' contents is checked on opening.
///
/// Not safe to use from two tasks at once.
public final class ZipArchive {
  public struct Limits: Sendable, Hashable {
    public var entries: Int
    /// Of all entries, unpacked.
    public var bytes: Int
    /// Unpacked size over packed size of any entry.
    public var ratio: Int

    public init(entries: Int = 64, bytes: Int = 2 << 30, ratio: Int = 200) {
      self.entries = entries
      self.bytes = bytes
      self.ratio = ratio
    }
  }

  public let path: String
  /// In the order of the file.
  public let names: [String]
  private let entries: [ZipDirectory.Entry]
  /// libzip reads from the mapping, so that it sees the bytes that were checked, whatever happens to the path.
  private let map: MappedFile
  private let archive: OpaquePointer

  public init(path: String, limits: Limits = Limits()) throws(BundleError) {
    self.path = path
    map = try MappedFile(path: path)
    entries = try ZipDirectory(map.bytes, path: path, limits: limits).entries
    names = entries.map(\.name)
    var error = zip_error_t()
    zip_error_init(&error)
    defer { zip_error_fini(&error) }
    guard let source = zip_source_buffer_create(map.bytes.baseAddress, UInt64(map.count), 0, &error) else {
      throw ZipArchive.error(path, &error)
    }
    guard let archive = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error) else {
      zip_source_free(source)
      throw ZipArchive.error(path, &error)
    }
    self.archive = archive
  }

  deinit { zip_discard(archive) }

  /// The unpacked size of an entry in bytes, or nil if there is none of that name.
  public func size(of name: String) -> Int? { entries.first { $0.name == name }?.size }

  /// Unpacks one entry of at most `limit` bytes into memory.
  public func read(_ name: String, atMost limit: Int = 64 << 20) throws(BundleError) -> Data {
    guard let size = size(of: name) else { throw missing(name) }
    guard size <= limit else {
      throw BundleError(
        .limit, at: "\(path)/\(name)", "The entry has \(size) bytes; at most \(limit) are read.", remedy: "Shorten it.")
    }
    var data = Data(capacity: size)
    try stream(name) { (bytes) throws(BundleError) in data.append(contentsOf: bytes) }
    return data
  }

  /// Unpacks one entry in parts, checking its length and CRC at the end.
  public func stream(
    _ name: String, _ body: (UnsafeRawBufferPointer) throws(BundleError) -> Void
  ) throws(BundleError) {
    guard let index = names.firstIndex(of: name) else { throw missing(name) }
    guard let file = zip_fopen_index(archive, UInt64(index), 0) else {
      throw failure(name, String(cString: zip_strerror(archive)))
    }
    defer { zip_fclose(file) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    defer { buffer.deallocate() }
    var total = 0
    while true {
      let count = zip_fread(file, buffer.baseAddress!, UInt64(buffer.count))
      guard count >= 0 else { throw failure(name, String(cString: zip_file_strerror(file))) }
      if count == 0 { break }
      total += Int(count)
      guard total <= entries[index].size else { throw failure(name, "It unpacks to more than its size") }
      try body(UnsafeRawBufferPointer(rebasing: buffer[..<Int(count)]))
    }
    guard total == entries[index].size else { throw failure(name, "It unpacks to less than its size") }
  }

  /// Unpacks everything into `directory`, which must not exist yet; nothing stays behind on failure.
  ///
  /// Files get mode 0644 and are on disk when this returns.
  /// - Parameter check: Called after each file with its name and its SHA-256 in hexadecimal digits.
  public func extract(
    to directory: URL, check: (_ name: String, _ digest: String) throws(BundleError) -> Void = { _, _ in }
  ) throws(BundleError) {
    let folder = try NewFolder(directory.path)
    for name in names {
      var hash = SHA256()
      let file = try folder.file(name)
      try stream(name) { (bytes) throws(BundleError) in
        hash.update(bytes)
        try file.write(bytes)
      }
      try file.finish()
      try check(name, hash.hex())
    }
    try folder.keep()
  }

  private func missing(_ name: String) -> BundleError {
    BundleError(
      .missingEntry, at: path, "There is no \"\(name)\"; there are \(names.joined(separator: ", ")).",
      remedy: "Pack the bundle with `codi pack`.")
  }

  private func failure(_ name: String, _ reason: String) -> BundleError {
    BundleError(.badArchive, at: "\(path)/\(name)", "\(reason).", remedy: "Fetch the bundle again.")
  }

  static func error(_ path: String, _ error: inout zip_error_t) -> BundleError {
    BundleError(
      .badArchive, at: path, "Not a usable zip: \(String(cString: zip_error_strerror(&error))).",
      remedy: "Fetch the bundle again, or pack it with `codi pack`.")
  }
}
