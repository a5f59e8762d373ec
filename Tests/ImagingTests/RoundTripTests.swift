import Foundation
import Imaging
import Testing

@Suite struct RoundTripTests {
  @Test("a bitmap survives PNG exactly, and the bytes are the same every time")
  func bitmapPNG() throws {
    let bitmap = sampleBitmap()
    let bytes = try encodePNG(bitmap)
    #expect(try decodeBitmap(bytes) == bitmap)
    #expect(try encodePNG(bitmap) == bytes)
  }

  @Test("bitmap to picture and back is exact for all 256 levels")
  func levels() {
    let bitmap = Bitmap(width: 256, height: 1, pixels: (0..<768).map { UInt8($0 / 3) })
    #expect(Bitmap(Picture(bitmap)) == bitmap)
    #expect(quantised(0.5 / 255) == 1, "halves round up")
    #expect(quantised(-1) == 0 && quantised(7) == 255 && quantised(.nan) == 0 && quantised(.infinity) == 255)
  }

  @Test("8-bit and 16-bit pictures survive PNG and TIFF exactly", arguments: ["png", "tif"], [8, 16])
  func lossless(suffix: String, bits: Int) throws {
    let maximum = Float((1 << bits) - 1)
    let pixels = (0..<324).map { i -> Float in Float(i * 52_361 % (1 << bits)) / maximum }
    let alpha = (0..<108).map { i -> Float in Float(i * 31_847 % (1 << bits)) / maximum }
    for alpha in [nil, alpha] {
      let picture = Picture(
        width: 12, height: 9, pixels: pixels, alpha: alpha, bitDepth: bits == 8 ? .eight : .sixteen)
      let back = try withFolder { folder in
        try Imaging.write(picture, to: "\(folder)/a.\(suffix)")
        return try readPicture("\(folder)/a.\(suffix)")
      }
      #expect(back.pixels == pixels)
      #expect(back.alpha == alpha)
      #expect(back.bitDepth == picture.bitDepth)
      #expect(back.iccProfile == nil, "an untagged picture stays untagged")
    }
  }

  @Test("an untagged flat colour stays exact", arguments: ["png", "webp", "tiff", "jpg"])
  func flat(suffix: String) throws {
    let picture = Picture(Bitmap(width: 40, height: 24, red: 200, green: 100, blue: 50))
    try withFolder { folder in
      try Imaging.write(picture, to: "\(folder)/a.\(suffix)", quality: 100)
      let back = Bitmap(try readPicture("\(folder)/a.\(suffix)"))
      let tolerance = suffix == "jpg" ? 1 : 0
      for (a, b) in zip(back.pixels, Bitmap(picture).pixels) { #expect(abs(Int(a) - Int(b)) <= tolerance) }
    }
  }

  @Test("JPEG keeps a smooth picture within its quality")
  func jpeg() throws {
    var bitmap = Bitmap(width: 64, height: 48, red: 0, green: 0, blue: 90)
    for i in 0..<64 * 48 {
      bitmap.pixels[3 * i] = UInt8(i % 64 * 4)
      bitmap.pixels[3 * i + 1] = UInt8(i / 64 * 5)
    }
    let back = try decodeBitmap(encodeJPEG(bitmap, quality: 95))
    let errors = zip(back.pixels, bitmap.pixels).map { abs(Int($0) - Int($1)) }
    #expect(errors.reduce(0, +) < errors.count * 2)
    #expect(try encodeJPEG(bitmap, quality: 30).count < encodeJPEG(bitmap, quality: 95).count)
  }

  @Test("JPEG puts what is transparent in front of white")
  func jpegAlpha() throws {
    let picture = Picture(
      width: 16, height: 16, pixels: [Float](repeating: 0, count: 768), alpha: [Float](repeating: 0.5, count: 256))
    let back = try decodeBitmap(encode(picture, as: .jpeg, quality: 100))
    #expect(back.pixels.allSatisfy { (127...129).contains($0) })
  }

  @Test("shrinking on decode reduces JPEG and PNG alike", arguments: [2, 4, 8])
  func shrink(by factor: Int) throws {
    let bitmap = Bitmap(width: 64, height: 32, red: 12, green: 200, blue: 77)
    for bytes in [try encodePNG(bitmap), try encodeJPEG(bitmap, quality: 100)] {
      let small = try decodeBitmap(bytes, shrink: factor)
      #expect(small.width == 64 / factor && small.height == 32 / factor)
      #expect(abs(Int(small.pixels[1]) - 200) <= 1)
    }
  }

  @Test("many threads decode and encode at once")
  func threads() async throws {
    let bitmap = sampleBitmap(width: 90, height: 70)
    let bytes = try encodePNG(bitmap)
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for _ in 0..<64 {
        group.addTask { try decodeBitmap(bytes) == bitmap && (try encodePNG(bitmap)) == bytes }
      }
      for try await same in group { #expect(same) }
    }
  }

  @Test("a grid puts pictures row by row inside white borders")
  func grid() {
    let colours: [UInt8] = [10, 20, 30]
    let sheet = PictureGrid.arrange(
      colours.map { Bitmap(width: 3, height: 2, red: $0, green: $0, blue: $0) }, columns: 2, border: 1)
    #expect(sheet.width == 9 && sheet.height == 7)
    func level(_ x: Int, _ y: Int) -> UInt8 { sheet.pixels[(y * 9 + x) * 3] }
    #expect(level(1, 1) == 10 && level(3, 2) == 10 && level(5, 1) == 20 && level(1, 4) == 30)
    #expect(level(0, 0) == 255 && level(4, 1) == 255 && level(1, 3) == 255 && level(5, 4) == 255)
  }
}
