import Foundation
import Imaging
import TestSupport
import Testing

/// Pictures that are read and written row by row.
@Suite struct StreamTests {
  static let suffixes = ["png", "jpg", "webp", "tif"]

  /// Row counts that cut 301 rows unevenly; some are smaller and some larger than what a codec asks for at a time.
  static let cuts = [1, 7, 3, 64, 1, 200, 25]

  func picture(alpha: Bool, bits: Picture.BitDepth, profile: [UInt8]? = nil) -> Picture {
    let (width, height) = (83, 301)
    let pixels = (0..<width * height * 3).map { (i: Int) -> Float in
      let level = i / 3 * 31 + i % 3 * 977 + i / 83
      return Float(level % 1021) / 1020
    }
    let opacity = (0..<width * height).map { (i: Int) -> Float in Float(i % 97) / 96 }
    return Picture(
      width: width, height: height, pixels: pixels, alpha: alpha ? opacity : nil, bitDepth: bits, iccProfile: profile)
  }

  @Test("a file written in pieces has the bytes of one written at once", arguments: suffixes, [false, true])
  func writing(suffix: String, alpha: Bool) throws {
    for bits in [Picture.BitDepth.eight, .sixteen] {
      for profile in [nil, profile { pow($0, 1.8) }] {
        let picture = picture(alpha: alpha, bits: bits, profile: profile)
        let format = try #require(PictureFormat(path: "a.\(suffix)"))
        try withFolder { folder in
          let form = PictureWriter.Form(
            width: picture.width, height: picture.height, hasAlpha: alpha, bitDepth: bits, iccProfile: profile)
          let writer = try PictureWriter("\(folder)/a.\(suffix)", form)
          var row = 0
          for count in Self.cuts {
            try writer.write(
              Array(picture.pixels[(row * 83 * 3)..<((row + count) * 83 * 3)]),
              alpha: picture.alpha.map { Array($0[(row * 83)..<((row + count) * 83)]) })
            row += count
          }
          #expect(!FileManager.default.fileExists(atPath: "\(folder)/a.\(suffix)"), "it is not complete yet")
          try writer.finish()
          let bytes = try Data(contentsOf: URL(filePath: "\(folder)/a.\(suffix)"))
          let whole = try encode(picture, as: format)
          #expect(bytes == Data(whole), "\(bits), profile \(profile != nil)")
          let names = try FileManager.default.contentsOfDirectory(atPath: folder)
          #expect(names == ["a.\(suffix)"])
        }
      }
    }
  }

  @Test("rows read in pieces are those of the whole picture, turned ones too", arguments: suffixes)
  func reading(suffix: String) throws {
    try withFolder { folder in
      try Imaging.write(picture(alpha: suffix != "jpg", bits: .sixteen), to: "\(folder)/a.\(suffix)")
      if suffix == "jpg" {
        let upright = try Data(contentsOf: URL(filePath: "\(folder)/a.jpg"))
        try save(withOrientation(6, [UInt8](upright)), "\(folder)/a.jpg")
      }
      let whole = try readPicture("\(folder)/a.\(suffix)")
      let reader = try PictureReader("\(folder)/a.\(suffix)")
      #expect(reader.width == whole.width && reader.height == whole.height && reader.bitDepth == whole.bitDepth)
      var (pixels, alpha): ([Float], [Float]) = ([], [])
      var left = reader.height
      for count in Self.cuts where left > 0 {
        let rows = try reader.read(min(count, left))
        left -= min(count, left)
        pixels += rows.pixels
        alpha += rows.alpha ?? []
      }
      #expect(pixels == Array(whole.pixels.prefix(pixels.count)) && !pixels.isEmpty)
      #expect(alpha == Array((whole.alpha ?? []).prefix(alpha.count)))
      #expect(alpha.isEmpty == (suffix == "jpg"))
    }
  }

  @Test("a picture that is given up leaves nothing behind", arguments: suffixes, [0, 40])
  func abandoning(suffix: String, rows: Int) throws {
    try withFolder { folder in
      do {
        let writer = try PictureWriter("\(folder)/a.\(suffix)", PictureWriter.Form(width: 50, height: 100))
        if rows > 0 { try writer.write([Float](repeating: 0.5, count: rows * 150)) }
      }
      let names = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(names == [])
    }
  }

  @Test("a size that the format does not have is refused by name")
  func tooLarge() throws {
    try withFolder { folder in
      let error = #expect(throws: ImagingError.self) {
        let writer = try PictureWriter("\(folder)/a.webp", PictureWriter.Form(width: 20_000, height: 4))
        try writer.write([Float](repeating: 0.5, count: 20_000 * 12))
        try writer.finish()
      }
      #expect(error?.code == .cannotWrite)
      let names = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(names == [])
    }
  }
}
