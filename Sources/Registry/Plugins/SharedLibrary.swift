internal import Bundles

/// What an ELF shared library says it needs before any of it runs: read from its bytes, by nobody else's tool.
///
/// Only 64-bit little-endian files, which all platforms of this program have. Layout: System V ABI, "Object Files" and
/// "Program Loading and Dynamic Linking".
package struct SharedLibrary: Sendable, Hashable {
  /// Why the bytes are no library that could be loaded.
  package struct Malformed: Error, Hashable { package let reason: String }

  package enum Machine: UInt16, Sendable {
    case amd64 = 62
    case arm64 = 183
  }

  /// nil for another one.
  package let machine: Machine?
  /// DT_NEEDED, in their order.
  package let needed: [String]
  /// DT_RPATH and DT_RUNPATH.
  package let runPaths: [String]

  /// libc and libm, and the dynamic linker, which is the C library's own.
  static let allowed = ["libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"]

  /// What a plugin must not need, in words; empty for one that needs libc and libm only.
  package var surplus: [String] {
    needed.filter { !SharedLibrary.allowed.contains($0) }.map { "needs \($0)" }
      + runPaths.map { "has the run path \($0)" }
  }

  /// The machine of a platform such as `linux-x86_64`; nil where it is no ELF platform.
  static func machine(of platform: String) -> Machine? {
    switch platform {
    case "linux-x86_64": .amd64
    case "linux-aarch64": .arm64
    default: nil
    }
  }

  package init(_ bytes: [UInt8]) throws(Malformed) {
    let file = Reader(bytes: bytes)
    guard bytes.count >= 64, Array(bytes[..<4]) == [0x7F, 0x45, 0x4C, 0x46] else {
      throw Malformed(reason: "it is no ELF file")
    }
    guard bytes[4] == 2, bytes[5] == 1 else { throw Malformed(reason: "it is not 64-bit little-endian") }
    guard try file.number(16, 2) == 3 else { throw Malformed(reason: "it is no shared object") }
    machine = Machine(rawValue: UInt16(try file.number(18, 2)))
    let (headers, size, count) = (try file.number(32, 8), try file.number(54, 2), try file.number(56, 2))
    guard size == 56 else { throw Malformed(reason: "its program headers have \(size) bytes instead of 56") }
    var segments: [Segment] = []
    for index in 0..<count { segments.append(try Segment(file, at: headers + index * size)) }
    guard let dynamic = segments.first(where: { $0.type == 2 }) else {
      throw Malformed(reason: "it has no dynamic section")
    }
    var entries: [(tag: Int, value: Int)] = []
    for place in stride(from: dynamic.offset, to: dynamic.offset + dynamic.size, by: 16) {
      let tag = try file.number(place, 8)
      if tag == 0 { break }
      // Tags beyond what fits are processor's and system's own flags; none of them is looked at.
      entries.append((tag, (try? file.number(place + 8, 8)) ?? 0))
      guard entries.count <= 4096 else { throw Malformed(reason: "its dynamic section does not end") }
    }
    guard let table = entries.first(where: { $0.tag == 5 })?.value,
      let length = entries.first(where: { $0.tag == 10 })?.value
    else { throw Malformed(reason: "it has no table of names") }
    guard let home = segments.first(where: { $0.type == 1 && $0.holds(table) }) else {
      throw Malformed(reason: "its table of names lies in no segment")
    }
    let start = home.offset + (table - home.address)
    func names(_ tag: Int) throws(Malformed) -> [String] {
      var found: [String] = []
      for entry in entries where entry.tag == tag {
        guard entry.value < length else { throw Malformed(reason: "a name lies outside the table of names") }
        found.append(try file.text(start + entry.value, before: start + length))
      }
      return found
    }
    needed = try names(1)
    runPaths = try names(15) + names(29)
  }

  /// A program header.
  private struct Segment {
    let type, offset, address, size: Int

    init(_ file: Reader, at place: Int) throws(Malformed) {
      type = try file.number(place, 4)
      offset = try file.number(place + 8, 8)
      address = try file.number(place + 16, 8)
      size = try file.number(place + 32, 8)
      // The system's own kinds have numbers of their own and lie where they like; these two must be in the file.
      guard ![1, 2].contains(type) || offset <= file.bytes.count && size <= file.bytes.count - offset else {
        throw Malformed(reason: "a segment reaches beyond its end")
      }
    }

    func holds(_ place: Int) -> Bool { place >= address && place - address < size }
  }

  private struct Reader {
    let bytes: [UInt8]

    /// A little-endian number of `count` bytes that fits an `Int` and half of it, so that two of them can be added.
    func number(_ place: Int, _ count: Int) throws(Malformed) -> Int {
      guard place >= 0, place <= bytes.count - count else { throw Malformed(reason: "it ends too early") }
      var value: UInt64 = 0
      for index in 0..<count { value |= UInt64(bytes[place + index]) << UInt64(8 * index) }
      guard value < 1 << 62 else { throw Malformed(reason: "a number in it is too large") }
      return Int(value)
    }

    /// Characters up to a zero byte.
    func text(_ place: Int, before end: Int) throws(Malformed) -> String {
      guard place >= 0, end <= bytes.count, place < end, let stop = bytes[place..<end].firstIndex(of: 0) else {
        throw Malformed(reason: "a name in it does not end")
      }
      return String(decoding: bytes[place..<stop], as: UTF8.self)
        .unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? "?" : String($0) }.joined()
    }
  }
}
