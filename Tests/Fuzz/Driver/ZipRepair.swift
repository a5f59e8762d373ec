import FuzzTargets

/// Makes the local headers of a zip agree with its central directory, and the sums with stored entries: random changes
/// would be refused for these two alone otherwise.
enum ZipRepair {
  static func repair(_ bytes: UnsafeMutableRawBufferPointer) {
    let end = bytes.count - 22
    guard end >= 0, u32(bytes, end) == 0x0605_4B50 else { return }
    var central = u32(bytes, end + 16)
    for _ in 0..<min(u16(bytes, end + 10), 64) {
      guard central + 46 <= end, u32(bytes, central) == 0x0201_4B50 else { return }
      let (method, length) = (u16(bytes, central + 10), u16(bytes, central + 28))
      let (size, local) = (u32(bytes, central + 20), u32(bytes, central + 42))
      let data = local + 30 + length
      guard local + 30 <= end, central + 46 + length <= end, data + size <= end else { return }
      if method == 0 {
        let sum = Checksum.crc32(UnsafeRawBufferPointer(rebasing: bytes[data..<data + size]))
        bytes.storeBytes(of: sum.littleEndian, toByteOffset: central + 16, as: UInt32.self)
      }
      for i in 0..<24 { bytes[local + 4 + i] = bytes[central + 6 + i] }
      for i in 0..<length { bytes[local + 30 + i] = bytes[central + 46 + i] }
      central += 46 + length
    }
  }

  private static func u16(_ bytes: UnsafeMutableRawBufferPointer, _ offset: Int) -> Int {
    Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self)))
  }

  private static func u32(_ bytes: UnsafeMutableRawBufferPointer, _ offset: Int) -> Int {
    Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
  }
}
