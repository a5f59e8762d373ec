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

  /// A grey progressive JPEG of 64 × 64 pixels whose scans say nothing new; each goes over the whole picture.
  private func progressive(scans: Int) -> [UInt8] {
    func segment(_ marker: UInt8, _ data: [UInt8]) -> [UInt8] { [0xff, marker, 0, UInt8(data.count + 2)] + data }
    let oneCode: [UInt8] = [1] + [UInt8](repeating: 0, count: 15)
    let head =
      [0xff, 0xd8] + segment(0xdb, [0] + [UInt8](repeating: 1, count: 64))
      + segment(0xc2, [8, 0, 64, 0, 64, 1, 1, 0x11, 0]) + segment(0xc4, [0] + oneCode + [0])
      + segment(0xc4, [0x10] + oneCode + [0xe0])
    // 64 blocks of no difference; then one run of 16,384 empty blocks a scan.
    let first = segment(0xda, [1, 1, 0, 0, 0, 0]) + [UInt8](repeating: 0, count: 8)
    let next = segment(0xda, [1, 1, 0, 1, 63, 0]) + [0, 1]
    return head + first + (1..<scans).flatMap { _ in next } + [0xff, 0xd9]
  }

  @Test("a JPEG with more scans than any writer makes is refused before it is decoded", arguments: [true, false])
  func scans(inFile: Bool) throws {
    func read(_ bytes: [UInt8]) throws -> Int {
      guard inFile else { return try decodeBitmap(bytes).width }
      return try withFolder { folder in
        try Data(bytes).write(to: URL(filePath: "\(folder)/a.jpg"))
        return try readPicture("\(folder)/a.jpg").width
      }
    }
    #expect(try read(progressive(scans: 12)) == 64)
    let error = #expect(throws: ImagingError.self) { try read(progressive(scans: 20_000)) }
    #expect(error?.code == .unsupported && error?.reason.contains("scans") == true, "\(String(describing: error))")
  }
}
