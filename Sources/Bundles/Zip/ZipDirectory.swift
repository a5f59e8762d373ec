/// The structure of a zip, read by hand: what libzip does not check, and what no two readers may see differently.
///
/// Entries lie one after another from byte 0 to the central directory, which ends at the end record, which ends the
/// file. There are no comments, extra fields, data descriptors, disks, or zip64 records.
struct ZipDirectory {
  struct Entry {
    var name: String
    var size: Int
    var compressedSize: Int
  }

  var entries: [Entry] = []
  private let bytes: UnsafeRawBufferPointer
  private let path: String

  init(_ bytes: UnsafeRawBufferPointer, path: String, limits: ZipArchive.Limits) throws(BundleError) {
    self.bytes = bytes
    self.path = path
    let end = bytes.count - 22
    guard end >= 0, u32(end) == 0x0605_4B50, u16(end + 20) == 0 else {
      throw error(
        "The file does not end with the end record of a zip: it is truncated, followed by other bytes, or no zip.")
    }
    let count = u16(end + 10)
    let start = u32(end + 16)
    guard u16(end + 4) == 0, u16(end + 6) == 0, u16(end + 8) == count, start + u32(end + 12) == end else {
      throw error("The end record does not fit the file.")
    }
    guard count > 0, count <= limits.entries else {
      throw error("The zip has \(count) entries; 1 to \(limits.entries) are allowed.", .limit)
    }
    var central = start
    var local = 0
    var total = 0
    for _ in 0..<count {
      let entry = try entry(&central, &local, start: start, end: end, limits: limits)
      total += entry.size
      guard total <= limits.bytes else {
        throw error("The entries unpack to more than \(limits.bytes) bytes.", .limit)
      }
      entries.append(entry)
    }
    guard central == end, local == start else { throw error("There are bytes that belong to no entry.") }
    try checkNames()
  }

  /// Reads the central record at `central` and the local one at `local`, which must agree, and moves both on.
  private func entry(
    _ central: inout Int, _ local: inout Int, start: Int, end: Int, limits: ZipArchive.Limits
  ) throws(BundleError) -> Entry {
    guard central + 46 <= end, u32(central) == 0x0201_4B50 else { throw error("The central directory is damaged.") }
    let length = u16(central + 28)
    guard central + 46 + length <= end else { throw error("The central directory is damaged.") }
    let raw = UnsafeRawBufferPointer(rebasing: bytes[central + 46..<central + 46 + length])
    guard let name = String(validating: raw, as: UTF8.self) else { throw error("An entry's name is not UTF-8.") }
    try check(name: name)

    let flags = u16(central + 8)
    let method = u16(central + 10)
    guard flags & 1 == 0, flags & 0x40 == 0 else { throw error("\"\(name)\" is encrypted.") }
    // UTF-8 names and the two bits in which deflate notes its level.
    guard flags & ~0x0806 == 0 else { throw error("\"\(name)\" has the forbidden flags \(flags).") }
    guard method == 0 || method == 8 else {
      throw error("\"\(name)\" uses compression method \(method); only stored (0) and deflated (8) are allowed.")
    }
    let type = u32(central + 38) >> 16 & 0o170000
    guard type == 0 || type == 0o100000, u32(central + 38) & 0x18 == 0 else {
      throw error("\"\(name)\" is not a regular file.")
    }
    guard u16(central + 30) == 0, u16(central + 32) == 0, u16(central + 34) == 0, u16(central + 6) <= 20 else {
      throw error("\"\(name)\" has extra fields, a comment, another disk, or needs a newer unzip.")
    }
    let entry = Entry(name: name, size: u32(central + 24), compressedSize: u32(central + 20))
    guard method == 8 || entry.size == entry.compressedSize else {
      throw error("\"\(name)\" is stored, but has two sizes.")
    }
    guard entry.size <= limits.ratio * max(entry.compressedSize, 1) else {
      throw error("\"\(name)\" unpacks to more than \(limits.ratio) times its size.", .limit)
    }

    guard u32(central + 42) == local else { throw error("\"\(name)\" does not start where the entry before it ends.") }
    // Local header: version, flags, method, time, date, sums, sizes, and name length are the central ones shifted by 2.
    guard local + 30 + length <= start, u32(local) == 0x0403_4B50,
      bytes[local + 4..<local + 28].elementsEqual(bytes[central + 6..<central + 30]), u16(local + 28) == 0,
      bytes[local + 30..<local + 30 + length].elementsEqual(raw)
    else { throw error("The local header of \"\(name)\" differs from the central directory.") }
    let next = local + 30 + length + entry.compressedSize
    guard next <= start else { throw error("\"\(name)\" reaches into the central directory.") }
    central += 46 + length
    local = next
    return entry
  }

  private func check(name: String) throws(BundleError) {
    guard BundleEntry.rank(name) == nil else { return }
    let shown = name.debugDescription
    if name.hasPrefix("/") || name.split(separator: "/").contains("..") || name.contains("\\") {
      throw error("The name \(shown) leads out of the bundle.", .forbidden)
    }
    throw error("\(shown) is not a file that a bundle may hold.", .forbidden)
  }

  private func checkNames() throws(BundleError) {
    var folded: Set<String> = []
    for entry in entries where !folded.insert(entry.name.lowercased()).inserted {
      throw error("\"\(entry.name)\" occurs twice.", .forbidden)
    }
    for (a, b) in zip(entries, entries.dropFirst()) where !BundleEntry.precedes(a.name, b.name) {
      throw error("\"\(b.name)\" must stand before \"\(a.name)\".")
    }
  }

  private func u16(_ offset: Int) -> Int {
    Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self)))
  }
  private func u32(_ offset: Int) -> Int {
    Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
  }

  private func error(_ reason: String, _ code: BundleError.Code = .badArchive) -> BundleError {
    BundleError(code, at: path, reason, remedy: "Fetch the bundle again, or pack it with `codi pack`.")
  }
}
