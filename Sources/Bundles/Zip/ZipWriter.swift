internal import Clibzip
public import Foundation

/// Writes zips that are the same bytes on every machine with the same zlib: fixed order, time, mode, and level.
public enum ZipWriter {
  public enum Source: Sendable {
    case data(Data)
    /// Read while the zip is written; must not change meanwhile.
    case file(path: String)
  }

  /// Writes `entries` in the given order; an existing file is replaced only once the new one is complete and on disk.
  ///
  /// Safetensors and PNG are stored, everything else is deflated; names are not checked here.
  /// - Parameter check: Called with the finished file's path before it takes its place.
  public static func write(
    _ entries: [(name: String, source: Source)], to path: String,
    check: (_ path: String) throws(BundleError) -> Void = { _ in }
  ) throws(BundleError) {
    let temporary = Files.temporary(beside: path)
    defer { Files.remove(temporary) }
    var code: Int32 = 0
    guard let archive = zip_open(temporary, ZIP_CREATE | ZIP_EXCL, &code) else {
      var error = zip_error_t()
      zip_error_init_with_code(&error, code)
      defer { zip_error_fini(&error) }
      throw failure(path, String(cString: zip_error_strerror(&error)))
    }
    // `zip_close` frees the archive when it succeeds only.
    var open = true
    defer { if open { zip_discard(archive) } }
    for (name, source) in entries {
      // libzip would notice only at the end, without naming the file.
      if case .file(let path) = source { _ = try MappedFile(path: path) }
      guard add(name, source, to: archive) else {
        throw failure("\(path)/\(name)", String(cString: zip_strerror(archive)))
      }
    }
    guard zip_close(archive) == 0 else { throw failure(path, String(cString: zip_strerror(archive))) }
    open = false
    try check(temporary)
    try Files.publish(temporary, as: path)
  }

  private static func add(_ name: String, _ source: Source, to archive: OpaquePointer) -> Bool {
    let content: OpaquePointer?
    switch source {
    case .file(let path): content = zip_source_file(archive, path, 0, 0)
    case .data(let data):
      // libzip reads the copy when the archive is closed, then frees it.
      guard let copy = malloc(max(data.count, 1)) else { return false }
      data.copyBytes(to: UnsafeMutableRawBufferPointer(start: copy, count: data.count))
      content = zip_source_buffer(archive, copy, UInt64(data.count), 1)
      if content == nil { free(copy) }
    }
    guard let content else { return false }
    let index = zip_file_add(archive, name, content, ZIP_FL_ENC_UTF_8)
    guard index >= 0 else {
      zip_source_free(content)
      return false
    }
    let i = UInt64(index)
    let (method, level) = BundleEntry.isStored(name) ? (ZIP_CM_STORE, UInt32(0)) : (ZIP_CM_DEFLATE, 9)
    // 1980-01-01 00:00 in DOS form, which knows no time zone.
    return zip_set_file_compression(archive, i, method, level) == 0
      && zip_file_set_dostime(archive, i, 0, 0x0021, 0) == 0
      && zip_file_set_external_attributes(archive, i, 0, UInt8(ZIP_OPSYS_UNIX), 0o100644 << 16) == 0
  }

  private static func failure(_ location: String, _ reason: String) -> BundleError {
    BundleError(
      .inputOutput, at: location, "The zip cannot be written: \(reason).",
      remedy: "Check that the files exist and the free space.")
  }
}
