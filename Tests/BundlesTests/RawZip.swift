import Foundation

/// Builds zips byte by byte, so that every field can lie.
struct RawZip {
  struct Entry {
    var name: [UInt8]
    var data = Data("x".utf8)
    var method = 0
    var flags = 0
    var attributes: UInt32 = 0o100644 << 16
    var crc: UInt32?
    var size: Int?
    var centralExtra = Data()
    var localExtra = Data()
    /// Changes the finished local header.
    var editLocal: (inout Data) -> Void = { _ in }

    init(_ name: String) { self.name = Array(name.utf8) }
  }

  var entries: [Entry]
  var before = Data()
  /// Between the last entry and the central directory.
  var gap = Data()
  var comment = Data()
  var after = Data()
  /// Added to the local offset of the last entry.
  var shift = 0

  init(_ names: String...) { entries = names.map(Entry.init) }

  func build() -> Data {
    var body = before
    var central = Data()
    for (index, entry) in entries.enumerated() {
      var common = Data()
      common.put(20, 2)
      common.put(entry.flags, 2)
      common.put(entry.method, 2)
      common.put(0x0021_0000, 4)
      common.put(Int(entry.crc ?? crc32(entry.data)), 4)
      common.put(entry.data.count, 4)
      common.put(entry.size ?? entry.data.count, 4)
      common.put(entry.name.count, 2)
      let offset = body.count + (index == entries.count - 1 ? shift : 0)
      var local = Data([0x50, 0x4B, 3, 4]) + common
      local.put(entry.localExtra.count, 2)
      local += entry.name + entry.localExtra
      entry.editLocal(&local)
      body += local + entry.data

      central += Data([0x50, 0x4B, 1, 2, 20, 3]) + common
      central.put(entry.centralExtra.count, 2)
      central.put(0, 6)
      central.put(Int(entry.attributes), 4)
      central.put(offset, 4)
      central += entry.name + entry.centralExtra
    }
    body += gap
    var end = Data([0x50, 0x4B, 5, 6, 0, 0, 0, 0])
    end.put(entries.count, 2)
    end.put(entries.count, 2)
    end.put(central.count, 4)
    end.put(body.count, 4)
    end.put(comment.count, 2)
    return body + central + end + comment + after
  }
}

extension Data {
  /// Appends the low `count` bytes of `value`, little-endian.
  mutating func put(_ value: Int, _ count: Int) {
    for i in 0..<count { append(UInt8(truncatingIfNeeded: value >> (8 * i))) }
  }
}

func crc32(_ data: Data) -> UInt32 {
  ~data.reduce(~UInt32(0)) { crc, byte in
    (0..<8).reduce(crc ^ UInt32(byte)) { crc, _ in crc >> 1 ^ (crc & 1 == 1 ? 0xEDB8_8320 : 0) }
  }
}
