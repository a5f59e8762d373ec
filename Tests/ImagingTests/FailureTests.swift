import Foundation
import Imaging
import TestSupport
import Testing

/// Whatever a file holds, reading ends in a picture or an `ImagingError`.
@Suite struct FailureTests {
  func code(_ body: () throws -> some Any) -> ImagingError.Code? {
    do { _ = try body() } catch let error as ImagingError { return error.code } catch {}
    return nil
  }

  @Test("empty, foreign and missing files are named as such")
  func foreign() throws {
    #expect(code { try decodeBitmap([]) } == .notAPicture)
    #expect(code { try decodeBitmap(Array("hello, this is no picture".utf8)) } == .notAPicture)
    #expect(code { try decodeBitmap([UInt8](repeating: 0, count: 4096)) } == .notAPicture)
    try withFolder { folder in
      try save([], "\(folder)/empty.png")
      #expect(code { try readPicture("\(folder)/empty.png") } == .notAPicture)
      #expect(code { try probe("\(folder)/absent.png") } == .cannotOpen)
      #expect(code { try readPicture(folder) } == .cannotOpen)
      let error = #expect(throws: ImagingError.self) { try probe("\(folder)/absent.png") }
      #expect(error?.location == "\(folder)/absent.png")
      #expect(error?.remedy.isEmpty == false)
    }
  }

  @Test("a truncated picture is damaged wherever it is cut", arguments: ["png", "jpg", "webp", "tif"])
  func truncated(suffix: String) throws {
    let format = try #require(PictureFormat(path: "a.\(suffix)"))
    let bytes = try encode(Picture(sampleBitmap(width: 80, height: 60)), as: format)
    for keep in stride(from: 1, to: bytes.count - 12, by: max(1, bytes.count / 23)) {
      #expect(code { try decodeBitmap(Array(bytes.prefix(keep))) } != nil, "\(keep) of \(bytes.count) bytes")
    }
  }

  @Test("flipped bytes give a picture or an error, never a crash", arguments: ["png", "jpg", "webp", "tif"])
  func flipped(suffix: String) throws {
    let format = try #require(PictureFormat(path: "a.\(suffix)"))
    var picture = Picture(sampleBitmap(width: 40, height: 30))
    picture.iccProfile = profile { pow($0, 1.5) }
    let bytes = try encode(picture, as: format)
    for i in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 150)) {
      var bad = bytes
      bad[i] ^= 0x55
      _ = code { try decodeBitmap(bad, maximumPixels: 100_000) }
    }
  }

  @Test("the pixel budget is checked before anything is decoded")
  func giant() throws {
    let bytes = pngHeader(width: 40_000, height: 40_000)
    #expect(code { try decodeBitmap(bytes) } == .tooLarge)
    let small = try encodePNG(sampleBitmap(width: 30, height: 20))
    #expect(code { try decodeBitmap(small, maximumPixels: 599) } == .tooLarge)
    #expect(code { try decodeBitmap(small, maximumPixels: 600) } == nil)
    try withFolder { folder in
      try save(bytes, "\(folder)/giant.png")
      #expect(code { try readPicture("\(folder)/giant.png") } == .tooLarge)
      #expect(try probe("\(folder)/giant.png").width == 40_000)
    }
  }

  @Test("brackets in a file name are part of the name")
  func brackets() throws {
    try withFolder { folder in
      let path = "\(folder)/photo[page=3].png"
      try Imaging.write(Picture(sampleBitmap()), to: path)
      #expect(Bitmap(try readPicture(path)) == sampleBitmap())
    }
  }

  @Test("a failed write leaves nothing behind and the old file alone")
  func atomic() throws {
    let picture = Picture(sampleBitmap())
    try withFolder { folder in
      #expect(code { try Imaging.write(picture, to: "\(folder)/none/a.png") } == .cannotWrite)
      #expect(code { try Imaging.write(picture, to: "\(folder)/a.xyz") } == .unsupported)
      // The name is taken by a folder: the temporary file exists already when the renaming fails.
      let taken = "\(folder)/taken.png"
      try FileManager.default.createDirectory(atPath: "\(taken)/x", withIntermediateDirectories: true)
      #expect(code { try Imaging.write(picture, to: taken) } == .cannotWrite)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["taken.png"])

      try Imaging.write(picture, to: "\(folder)/b.png")
      let before = try Data(contentsOf: URL(filePath: "\(folder)/b.png"))
      try Imaging.write(picture, to: "\(folder)/b.png")
      #expect(try Data(contentsOf: URL(filePath: "\(folder)/b.png")) == before)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["b.png", "taken.png"])
    }
  }
}
