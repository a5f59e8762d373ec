internal import Foundation

/// A zip whose entries are all stored, so that changing its bytes changes their contents.
enum StoredZip {
  static func build(_ entries: [(name: String, data: Data)]) -> Data {
    var (body, central) = (Data(), Data())
    for (name, data) in entries {
      let sum = data.withUnsafeBytes { Checksum.crc32($0) }
      // Version, flags, method, 1980-01-01, sum, both sizes, and the lengths of name and extra fields.
      let common =
        little(20, 2) + little(0, 4) + little(0x0021_0000, 4) + little(Int(sum), 4) + little(data.count, 4)
        + little(data.count, 4) + little(name.utf8.count, 2) + little(0, 2)
      central += Data([0x50, 0x4B, 1, 2, 20, 3]) + common + little(0, 6) + little(0o100644 << 16, 4)
      central += little(body.count, 4) + Data(name.utf8)
      body += Data([0x50, 0x4B, 3, 4]) + common + Data(name.utf8) + data
    }
    let end = Data([0x50, 0x4B, 5, 6, 0, 0, 0, 0]) + little(entries.count, 2) + little(entries.count, 2)
    return body + central + end + little(central.count, 4) + little(body.count, 4) + little(0, 2)
  }

  /// The low `count` bytes of `value`.
  private static func little(_ value: Int, _ count: Int) -> Data {
    Data((0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) })
  }
}
