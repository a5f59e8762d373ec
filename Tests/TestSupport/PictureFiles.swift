/// A little-endian, uncompressed TIFF made by hand, so that no encoder under test makes its own expectations.
public func tiff(
  width: Int, height: Int, bits: Int = 8, samples: Int, photometric: Int, data: [UInt8], profile: [UInt8] = [],
  palette: [UInt16] = [], extraSamples: Int? = nil
) -> [UInt8] {
  func u16(_ v: Int) -> [UInt8] { [UInt8(v & 255), UInt8(v >> 8 & 255)] }
  func u32(_ v: Int) -> [UInt8] { u16(v & 0xffff) + u16(v >> 16) }
  var body = data
  func place(_ bytes: [UInt8]) -> Int {
    if body.count % 2 == 1 { body.append(0) }
    body += bytes
    return 8 + body.count - bytes.count
  }
  var entries: [(tag: Int, type: Int, count: Int, value: Int)] = [
    (256, 4, 1, width), (257, 4, 1, height),
    samples == 1
      ? (258, 3, 1, bits) : (258, 3, samples, place((0..<samples).flatMap { _ in u16(bits) })),
    (259, 3, 1, 1), (262, 3, 1, photometric), (273, 4, 1, 8), (277, 3, 1, samples), (278, 4, 1, height),
    (279, 4, 1, data.count), (284, 3, 1, 1),
  ]
  if samples == 2, let at = entries.firstIndex(where: { $0.tag == 258 }) { entries[at].value = bits | bits << 16 }
  if !palette.isEmpty { entries.append((320, 3, palette.count, place(palette.flatMap { u16(Int($0)) }))) }
  if let extraSamples { entries.append((338, 3, 1, extraSamples)) }
  if !profile.isEmpty { entries.append((34675, 7, profile.count, place(profile))) }
  if body.count % 2 == 1 { body.append(0) }
  let directory = 8 + body.count
  let records = entries.sorted { $0.tag < $1.tag }.flatMap {
    u16($0.tag) + u16($0.type) + u32($0.count) + u32($0.value)
  }
  return [0x49, 0x49, 42, 0] + u32(directory) + body + u16(entries.count) + records + u32(0)
}

/// Inserts an EXIF block that holds nothing but the orientation (and a camera maker) behind a JPEG's first marker.
public func withOrientation(_ orientation: UInt8, _ jpeg: [UInt8]) -> [UInt8] {
  let maker = Array("ACME\0\0\0\0".utf8)
  let directory: [UInt8] =
    [0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 2]
    + [0x01, 0x0f, 0, 2, 0, 0, 0, 8, 0, 0, 0, 38]
    + [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]
    + [0, 0, 0, 0] + maker
  let block = Array("Exif\0\0".utf8) + directory
  return [0xff, 0xd8, 0xff, 0xe1, 0, UInt8(block.count + 2)] + block + jpeg.dropFirst(2)
}

/// An RGB profile with sRGB's primaries; `curve` takes the stored level to linear light, both 0...1.
public func profile(_ curve: (Double) -> Double) -> [UInt8] {
  func u32(_ v: Int) -> [UInt8] { [24, 16, 8, 0].map { UInt8(v >> $0 & 255) } }
  func fixed(_ v: Double) -> [UInt8] { u32(Int((v * 65536).rounded()) & 0xffff_ffff) }
  func xyz(_ x: Double, _ y: Double, _ z: Double) -> [UInt8] {
    Array("XYZ \0\0\0\0".utf8) + fixed(x) + fixed(y) + fixed(z)
  }
  let samples = (0..<1024).flatMap { i -> [UInt8] in
    let level = Int((curve(Double(i) / 1023) * 65535).rounded())
    return [UInt8(level >> 8), UInt8(level & 255)]
  }
  let tone = Array("curv\0\0\0\0".utf8) + u32(1024) + samples
  let name = Array("desc\0\0\0\0".utf8) + u32(2) + Array("g\0".utf8) + [UInt8](repeating: 0, count: 78)
  let text = Array("text\0\0\0\0CC0\0".utf8)
  let tags: [(String, [UInt8])] = [
    ("desc", name), ("cprt", text), ("wtpt", xyz(0.9642, 1, 0.8249)), ("rXYZ", xyz(0.43607, 0.22249, 0.01392)),
    ("gXYZ", xyz(0.38515, 0.71687, 0.09708)), ("bXYZ", xyz(0.14307, 0.06061, 0.7141)), ("rTRC", tone),
    ("gTRC", tone), ("bTRC", tone),
  ]
  var table = u32(tags.count)
  var body = [UInt8]()
  for (tag, bytes) in tags {
    table += Array(tag.utf8) + u32(132 + 12 * tags.count + body.count) + u32(bytes.count)
    body += bytes + [UInt8](repeating: 0, count: (4 - bytes.count % 4) % 4)
  }
  var header = u32(128 + table.count + body.count) + u32(0) + [2, 0x40, 0, 0] + Array("mntrRGB XYZ ".utf8)
  header += [7, 230, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0] + Array("acsp".utf8) + [UInt8](repeating: 0, count: 28)
  header += fixed(0.9642) + fixed(1) + fixed(0.8249)
  header += [UInt8](repeating: 0, count: 128 - header.count)
  return header + table + body
}

/// A PNG signature and header of the given size, with nothing behind it.
public func pngHeader(width: UInt32, height: UInt32) -> [UInt8] {
  func u32(_ v: UInt32) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: v >> $0) } }
  let chunk = Array("IHDR".utf8) + u32(width) + u32(height) + [8, 2, 0, 0, 0]
  var crc: UInt32 = .max
  for byte in chunk {
    crc ^= UInt32(byte)
    for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xedb8_8320 : crc >> 1 }
  }
  return [0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 0, 0, 13] + chunk + u32(~crc)
    + [0, 0, 0, 9] + Array("IDAT".utf8) + [UInt8](repeating: 0, count: 13)
}
