import Bundles
import Foundation
import Testing

@Suite("Safetensors") struct SafetensorsTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A file of `header` as it stands and `count` bytes of data.
  private func file(_ header: String, data count: Int, length: UInt64? = nil) throws -> String {
    var data = withUnsafeBytes(of: (length ?? UInt64(header.utf8.count)).littleEndian) { Data($0) }
    data += Data(header.utf8) + Data(count: count)
    return try folder.write(data, UUID().uuidString)
  }

  private func field(_ begin: Int, _ end: Int, _ shape: String = "", _ type: String = "U8") -> String {
    "{\"dtype\":\"\(type)\",\"shape\":[\(shape.isEmpty ? "\(end - begin)" : shape)],\"data_offsets\":[\(begin),\(end)]}"
  }

  @Test("what is written reads back, data aligned to 64, header order kept")
  func roundTrip() throws {
    let values: [Float] = [1, -2, 3.5, .greatestFiniteMagnitude, 0, .leastNonzeroMagnitude]
    let data = values.withUnsafeBytes { Data($0) }
    let path = folder.path("w.safetensors")
    try SafetensorsWriter.write(
      [
        ("z/\"é\"", .f32, [2, 3], data), ("scalar", .u8, [], Data([7])), ("empty", .bf16, [0, 5], Data()),
        ("a", .i64, [1], Data(count: 8)),
      ], metadata: ["b": "2\n", "a": "1"], to: path)
    let file = try SafetensorsFile(path: path)
    #expect(file.names == ["z/\"é\"", "scalar", "empty", "a"])
    #expect(file.metadata == ["a": "1", "b": "2\n"])
    let entry = try #require(file["z/\"é\""])
    #expect(entry.dtype == .f32 && entry.shape == [2, 3])
    entry.withBytes { bytes in
      #expect(Array(bytes.bindMemory(to: Float.self)) == values)
      #expect(Int(bitPattern: bytes.baseAddress) % 64 == 0)
    }
    #expect(file["scalar"]?.shape == [] && file["scalar"]?.withBytes { $0.first } == 7)
    #expect(file["empty"]?.withBytes { $0.isEmpty } == true)
    #expect(file["nothing"] == nil)
    expectError(.missingTensor, "scaler", "\"scalar\"") { _ = try file.entry("scaler") }
    #expect(try folder.contents == ["w.safetensors"])
  }

  @Test("entries outlive the file object, and replacing the file does not touch the mapping")
  func lifetime() throws {
    let path = folder.path("w.safetensors")
    try SafetensorsWriter.write([("a", .u8, [3], Data([1, 2, 3]))], to: path)
    let entry = try SafetensorsFile(path: path).entry("a")
    try SafetensorsWriter.write([("a", .u8, [3], Data([4, 5, 6]))], to: path)
    #expect(entry.withBytes { Array($0) } == [1, 2, 3])
    #expect(try SafetensorsFile(path: path).entry("a").withBytes { Array($0) } == [4, 5, 6])
  }

  @Test("the bytes of a small file are exactly these")
  func golden() throws {
    let path = folder.path("w.safetensors")
    try SafetensorsWriter.write([("a", .u8, [2], Data([1, 2]))], to: path)
    let header = "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}"
    let padded = header + String(repeating: " ", count: 56 - header.utf8.count)
    #expect(try Data(contentsOf: URL(filePath: path)) == Data([56, 0, 0, 0, 0, 0, 0, 0]) + padded.utf8 + [1, 2])
  }

  @Test("JSON as other writers put it is understood: escapes, spaces, any order of keys")
  func foreign() throws {
    let path = try file(
      #"{ "b\u00e9\ud83d\ude00\/" : {"shape":[ 2 , 1 ], "data_offsets":[1,3],"dtype":"U8"}, "a": \#(field(0, 1)) } "#,
      data: 3)
    let file = try SafetensorsFile(path: path)
    #expect(file.names == ["a", "bé😀/"])
    #expect(file["bé😀/"]?.shape == [2, 1])
  }

  @Test("hostile headers are refused")
  func hostile() throws {
    let one = field(0, 4)
    let cases: [(String, Int, String)] = [
      ("{\"a\":\(one),\"b\":\(field(2, 6))}", 6, "b: Its data start at 2"),
      ("{\"a\":\(one),\"b\":\(field(5, 6))}", 6, "b: Its data start at 5"),
      ("{\"a\":\(field(1, 4))}", 4, "a: Its data start at 1"),
      ("{\"a\":\(one)}", 5, "5 follow the header"), ("{\"a\":\(one)}", 3, "3 follow the header"),
      ("{}", 1, "1 follow the header"),
      ("{\"a\":\(field(0, 4, "3"))}", 4, "does not fill"), ("{\"a\":\(field(0, 4, "4", "F32"))}", 4, "does not fill"),
      ("{\"a\":\(field(0, 4, "9223372036854775807,4"))}", 4, "does not fill"),
      ("{\"a\":\(field(0, 0, "0,9223372036854775807,9223372036854775807"))}", 0, "does not fill"),
      ("{\"a\":\(field(0, 4, "18446744073709551616"))}", 4, "too large"),
      ("{\"a\":\(field(4, 0, "4"))}", 4, "start at 4"),
      ("{\"a\":\(one),\"a\":\(field(4, 8))}", 8, "\"a\" occurs twice"),
      ("{\"a\":\(one),\"\\u0061\":\(field(4, 8))}", 8, "\"a\" occurs twice"),
      ("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "twice"),
      ("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "twice"), ("{\"__metadata__\":{\"k\":1}}", 0, "text"),
      ("{\"a\":\(field(0, 4, "4", "F64"))}", 4, "F64"), ("{\"a\":{\"dtype\":\"U8\",\"shape\":[4]}}", 4, "needs"),
      ("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4,4]}}", 4, "needs"),
      ("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4],\"x\":1}}", 4, "unknown field"),
      ("{\"a\":\(field(0, 4, "-4"))}", 4, "number"), ("{\"a\":\(field(0, 4, "04"))}", 4, "number"),
      ("{\"a\":\(field(0, 4, "4.0"))}", 4, "expected"), ("[]", 0, "start with"), (" {}", 0, "start with"),
      ("", 0, "start with"),
      ("{\"a\":\(one)} x", 4, "follows"), ("{\"a\":\(one)", 4, "expected"), ("{\"a", 0, "does not end"),
      ("{\"a\n\":\(one)}", 4, "control"), ("{\"\\ud83d\":\(one)}", 4, "surrogate"), ("{\"\\x\":\(one)}", 4, "escape"),
      ("{\"\\u+123\":\(one)}", 4, "escape"),
    ]
    for (header, count, words) in cases {
      let path = try file(header, data: count)
      expectError(.badTensorFile, words) { _ = try SafetensorsFile(path: path) }
    }
  }

  @Test("truncated files and absurd header lengths are refused before the header is read")
  func lengths() throws {
    for count in 0..<8 {
      let path = try folder.write(Data(count: count))
      expectError(.badTensorFile, "\(count) bytes") { _ = try SafetensorsFile(path: path) }
    }
    for length: UInt64 in [3, 17 << 20, .max, 1 << 63] {
      let path = try file("{}", data: 0, length: length)
      expectError(.badTensorFile, "\(length)") { _ = try SafetensorsFile(path: path) }
    }
    expectError(.inputOutput, "No such file") { _ = try SafetensorsFile(path: folder.path("missing")) }
    expectError(.inputOutput, "regular") { _ = try SafetensorsFile(path: folder.url.path) }
  }

  @Test("the writer refuses what the reader would, and leaves no file behind")
  func writerRefuses() throws {
    let path = folder.path("w.safetensors")
    expectError(.badTensorFile, "a:", "not 3 bytes") {
      try SafetensorsWriter.write([("a", .f32, [1], Data(count: 3))], to: path)
    }
    expectError(.badTensorFile, "twice") {
      try SafetensorsWriter.write([("a", .u8, [1], Data(count: 1)), ("a", .u8, [1], Data(count: 1))], to: path)
    }
    expectError(.badTensorFile, "reserved") {
      try SafetensorsWriter.write([("__metadata__", .u8, [1], Data(count: 1))], to: path)
    }
    expectError(.inputOutput) {
      try SafetensorsWriter.write([("a", .u8, [1], Data(count: 1))], to: folder.path("no/such/folder"))
    }
    #expect(try folder.contents.isEmpty)
  }

  @Test("values that are not finite are found, in every floating-point type")
  func finite() throws {
    let path = folder.path("w.safetensors")
    let bad: [(SafetensorsDType, [UInt8])] = [
      (.f32, [0, 0, 0xC0, 0x7F]), (.f32, [0, 0, 0x80, 0xFF]), (.bf16, [0x80, 0x7F]), (.f16, [0x00, 0xFC]),
    ]
    for (dtype, bytes) in bad {
      try SafetensorsWriter.write(
        [("good", .u8, [4], Data([0, 0, 0xC0, 0x7F])), ("bad", dtype, [2], Data(count: dtype.size) + bytes)], to: path)
      expectError(.notFinite, "bad") { try SafetensorsFile(path: path).checkFinite() }
    }
    try SafetensorsWriter.write([("a", .bf16, [1], Data([0x7F, 0x7F]))], to: path)
    try SafetensorsFile(path: path).checkFinite()
  }

  /// Written by safetensors 0.8.0 (Python, numpy):
  /// save_file({"b/é😀": arange(6, float32).reshape(2, 3), "a": array([1, 2, 3], uint8), "s": array(7, int64),
  ///   "h": ones((2, 2), float16), "e": zeros((0, 4), float32), "i": array([-1], int32)}, path, {"k": "v\n\"x\""})
  @Test("a file of the reference library reads back to what was saved")
  func reference() throws {
    let text = """
      eAEAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJrIjoidlxuXCJ4XCIifSwicyI6eyJkdHlwZSI6Ikk2NCIsInNoYXBlIjpbXSwi
      ZGF0YV9vZmZzZXRzIjpbMCw4XX0sImIvw6nwn5iAIjp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlsyLDNdLCJkYXRhX29mZnNl
      dHMiOls4LDMyXX0sImUiOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzAsNF0sImRhdGFfb2Zmc2V0cyI6WzMyLDMyXX0sImki
      OnsiZHR5cGUiOiJJMzIiLCJzaGFwZSI6WzFdLCJkYXRhX29mZnNldHMiOlszMiwzNl19LCJoIjp7ImR0eXBlIjoiRjE2Iiwi
      c2hhcGUiOlsyLDJdLCJkYXRhX29mZnNldHMiOlszNiw0NF19LCJhIjp7ImR0eXBlIjoiVTgiLCJzaGFwZSI6WzNdLCJkYXRh
      X29mZnNldHMiOls0NCw0N119fSAgICAgBwAAAAAAAAAAAAAAAACAPwAAAEAAAEBAAACAQAAAoED/////ADwAPAA8ADwBAgM=
      """
    let data = try #require(Data(base64Encoded: text, options: .ignoreUnknownCharacters))
    let file = try SafetensorsFile(path: folder.write(data))
    #expect(Set(file.names) == ["b/é😀", "a", "s", "h", "e", "i"])
    #expect(file.metadata == ["k": "v\n\"x\""])
    #expect(file.elementCount == 6 + 3 + 1 + 4 + 0 + 1)
    func values<T: BitwiseCopyable>(_ name: String, _ dtype: SafetensorsDType, _ shape: [Int], _: T.Type) throws -> [T]
    {
      let entry = try file.entry(name)
      #expect(entry.dtype == dtype && entry.shape == shape)
      return entry.withBytes { bytes in
        stride(from: 0, to: bytes.count, by: MemoryLayout<T>.size).map {
          bytes.loadUnaligned(fromByteOffset: $0, as: T.self)
        }
      }
    }
    #expect(try values("b/é😀", .f32, [2, 3], Float.self) == [0, 1, 2, 3, 4, 5])
    #expect(try values("a", .u8, [3], UInt8.self) == [1, 2, 3])
    #expect(try values("s", .i64, [], Int64.self) == [7])
    #expect(try values("h", .f16, [2, 2], UInt16.self) == [0x3C00, 0x3C00, 0x3C00, 0x3C00])
    #expect(try values("e", .f32, [0, 4], Float.self) == [])
    #expect(try values("i", .i32, [1], Int32.self) == [-1])
  }
}
