import Foundation
import Imaging
import TestSupport
import Testing

/// What files of all kinds become: orientation, channels, profiles, metadata.
@Suite struct SourceTests {
  @Test("the EXIF orientation is applied once", arguments: 1...8)
  func orientation(_ orientation: Int) throws {
    // Left half red, right half blue, top brighter than bottom, in 16-pixel squares.
    let stored = Bitmap(
      width: 64, height: 32,
      pixels: (0..<2048).flatMap { i -> [UInt8] in
        let level: UInt8 = i / 64 < 16 ? 240 : 120
        return i % 64 < 32 ? [level, 0, 0] : [0, 0, level]
      })
    let bytes = withOrientation(UInt8(orientation), try encodeJPEG(stored, quality: 98))
    // EXIF 2.3, table 4.6.4: where row 0 and column 0 of the stored picture are seen.
    let corners: [[Int]] = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0], [1, 0], [1, 1], [0, 1]]
    let seen = try decodeBitmap(bytes)
    #expect(seen.width == (orientation < 5 ? 64 : 32) && seen.height == (orientation < 5 ? 32 : 64))
    let x = corners[orientation - 1][0] == 0 ? 4 : seen.width - 5
    let y = corners[orientation - 1][1] == 0 ? 4 : seen.height - 5
    let corner = Array(seen.pixels[(y * seen.width + x) * 3..<(y * seen.width + x) * 3 + 3])
    #expect(corner[0] > 225 && corner[2] < 25, "the stored top left is bright red, here \(corner)")

    try withFolder { folder in
      try save(bytes, "\(folder)/in.jpg")
      let header = try probe("\(folder)/in.jpg")
      #expect(header.width == seen.width && header.height == seen.height && header.format == "jpeg")
      let picture = try readPicture("\(folder)/in.jpg")
      for suffix in ["jpg", "png", "webp", "tif"] {
        try Imaging.write(picture, to: "\(folder)/out.\(suffix)", quality: 98)
        let again = try readPicture("\(folder)/out.\(suffix)")
        try #require(again.width == picture.width && again.height == picture.height, "\(suffix) turns it again")
        let difference = zip(again.pixels, picture.pixels).map { abs($0 - $1) }.reduce(0, +)
        #expect(difference < 0.02 * Float(picture.pixels.count), "\(suffix) mirrors it again")
      }
      let out = try Data(contentsOf: URL(filePath: "\(folder)/out.jpg"))
      #expect(out.range(of: Data("ACME".utf8)) != nil, "other EXIF fields are kept")
    }
  }

  @Test("grey, with and without alpha, becomes RGB; training sees it on white")
  func grey() throws {
    let plain = tiff(width: 4, height: 2, samples: 1, photometric: 1, data: [0, 10, 20, 30, 40, 50, 60, 255])
    #expect(try decodeBitmap(plain).pixels == [0, 10, 20, 30, 40, 50, 60, 255].flatMap { [$0, $0, $0] as [UInt8] })
    let veiled = tiff(
      width: 2, height: 1, samples: 2, photometric: 1, data: [100, 255, 100, 0], extraSamples: 2)
    #expect(try decodeBitmap(veiled).pixels == [100, 100, 100, 255, 255, 255])
    let picture = try withFolder { folder in
      try save(veiled, "\(folder)/a.tif")
      #expect(try probe("\(folder)/a.tif").hasAlpha)
      return try readPicture("\(folder)/a.tif")
    }
    #expect(picture.alpha == [1, 0])
    #expect(picture.pixels.map { quantised($0) } == [100, 100, 100, 100, 100, 100], "colour under alpha is kept")
  }

  @Test("a palette becomes its colours")
  func palette() throws {
    var map = [UInt16](repeating: 0, count: 768)
    (map[1], map[256 + 1], map[512 + 1]) = (200 * 257, 100 * 257, 50 * 257)
    let bytes = tiff(width: 2, height: 1, samples: 1, photometric: 3, data: [1, 0], palette: map)
    #expect(try decodeBitmap(bytes).pixels == [200, 100, 50, 0, 0, 0])
  }

  @Test("CMYK becomes RGB: no ink is white, full black is dark, cyan is blue-green")
  func cmyk() throws {
    let bytes = tiff(
      width: 3, height: 1, samples: 4, photometric: 5, data: [0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0])
    let p = try decodeBitmap(bytes).pixels
    #expect(p[0...2].allSatisfy { $0 >= 250 })
    #expect(p[3...5].allSatisfy { $0 < 60 })
    #expect(p[6] < 80 && p[7] > 100 && p[8] > 150)
  }

  @Test("16 bits are kept for conversion and rounded for training")
  func sixteen() throws {
    let levels = [0, 1, 128, 129, 40_000, 65_535]
    let bytes = tiff(
      width: 2, height: 1, bits: 16, samples: 3, photometric: 2,
      data: levels.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] })
    #expect(try decodeBitmap(bytes).pixels == [0, 0, 0, 1, 156, 255])
    let picture = try withFolder { folder in
      try save(bytes, "\(folder)/a.tif")
      return try readPicture("\(folder)/a.tif")
    }
    #expect(picture.bitDepth == .sixteen)
    #expect(picture.pixels == levels.map { Float($0) / 65535 })
  }

  /// IEC 61966-2-1, from linear light.
  func encoded(_ x: Double) -> Double { x <= 0.0031308 ? 12.92 * x : 1.055 * pow(x, 1 / 2.4) - 0.055 }

  @Test("a profile is applied on reading, undone and embedded on writing", arguments: [8, 16])
  func profiles(bits: Int) throws {
    let icc = profile { pow($0, 1.5) }
    let levels = [0.0, 30, 60, 100, 140, 180, 210, 240, 255]
    let data = levels.flatMap { bits == 8 ? [UInt8($0)] : [UInt8($0), UInt8($0)] }
    let bytes = tiff(width: 3, height: 1, bits: bits, samples: 3, photometric: 2, data: data, profile: icc)
    let greys = tiff(
      width: 9, height: 1, samples: 3, photometric: 2, data: levels.flatMap { [UInt8](repeating: UInt8($0), count: 3) },
      profile: icc)
    for (seen, level) in zip(try decodeBitmap(greys).pixels.enumerated().filter { $0.offset % 3 == 1 }, levels) {
      #expect(abs(Double(seen.element) - 255 * encoded(pow(level / 255, 1.5))) < 1.6)
    }
    try withFolder { folder in
      try save(bytes, "\(folder)/in.tif")
      let picture = try readPicture("\(folder)/in.tif")
      #expect(picture.iccProfile == icc)
      try Imaging.write(picture, to: "\(folder)/out.png")
      let again = try readPicture("\(folder)/out.png")
      #expect(again.iccProfile == icc)
      let moved = zip(again.pixels, picture.pixels).map { abs($0 - $1) * 255 }
      #expect(moved.allSatisfy { $0 < (bits == 8 ? 2.5 : 0.1) }, "\(moved) levels, from \(picture.pixels)")
    }
  }

  @Test("a profile that is sRGB changes no bit")
  func sRGBProfile() throws {
    let bitmap = sampleBitmap()
    var tagged = Picture(bitmap)
    tagged.iccProfile = profile { $0 <= 0.04045 ? $0 / 12.92 : pow(($0 + 0.055) / 1.055, 2.4) }
    try withFolder { folder in
      for suffix in ["png", "tif"] {
        try Imaging.write(tagged, to: "\(folder)/a.\(suffix)")
        let back = try readPicture("\(folder)/a.\(suffix)")
        #expect(back.pixels == tagged.pixels && back.iccProfile == tagged.iccProfile)
      }
    }
  }

  @Test("a profile for other channels than the picture's, or of garbage, counts as none")
  func uselessProfile() throws {
    var grey = profile { $0 * $0 }
    grey.replaceSubrange(16..<20, with: Array("GRAY".utf8))
    let garbage = Array(profile { $0 * $0 }.prefix(200)) + [UInt8](repeating: 7, count: 300)
    for icc in [grey, garbage, [1, 2, 3]] {
      let bytes = tiff(width: 1, height: 1, samples: 3, photometric: 2, data: [200, 100, 50], profile: icc)
      try withFolder { folder in
        try save(bytes, "\(folder)/a.tif")
        let picture = try readPicture("\(folder)/a.tif")
        #expect(Bitmap(picture).pixels == [200, 100, 50] && picture.iccProfile == nil)
      }
    }
  }
}
