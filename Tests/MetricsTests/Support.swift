import Bundles
import Foundation
import Imaging
import Tensor
import Testing

/// What `Fixtures/metrics_golden.py` and `networks_golden.py` wrote; versions and seeds are in those scripts.
struct Golden {
  static let path = fixture("metrics_golden")
  static let networks = fixture("networks_golden")
  private let file: SafetensorsFile

  private static func fixture(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Fixtures/\(name).safetensors").path
  }

  init(_ path: String = Golden.path) throws { file = try SafetensorsFile(path: path) }

  func bitmap(_ name: String) throws -> Bitmap {
    let entry = try file.entry(name)
    return Bitmap(width: entry.shape[1], height: entry.shape[0], pixels: entry.withBytes { [UInt8]($0) })
  }

  func values(_ name: String) throws -> [Double] {
    let entry = try file.entry(name)
    return try entry.withBytes { try Tensor(copying: $0, shape: entry.shape, dtype: .f32) }.floats().map(Double.init)
  }

  func matrix(_ name: String) throws -> Matrix {
    let shape = try file.entry(name).shape
    return Matrix(try values(name), rows: shape[0], columns: shape[1])
  }
}

/// Random weights that need no file: `formula` of `Fixtures/networks_golden.py`.
enum FormulaWeights {
  /// Writes tensors of these names and shapes, and removes the file after `body`.
  static func withFile<R>(_ shapes: [(String, [Int])], named file: String? = nil, _ body: (URL) throws -> R) throws -> R
  {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appendingPathComponent(file ?? "weights.safetensors")
    try write(shapes, to: url)
    return try body(url)
  }

  static func write(_ shapes: [(String, [Int])], to url: URL) throws {
    try SafetensorsWriter.write(
      shapes.map { name, shape in
        (name, .f32, shape, values(name, shape).withUnsafeBytes { Data($0) })
      }, to: url.path)
  }

  private static func values(_ name: String, _ shape: [Int]) -> [Float] {
    let seed = name.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    let spread =
      shape.count == 4 ? Float((24 / Double(shape.dropFirst().reduce(1, *))).squareRoot()) : 0.2
    let isHead = name.contains("model.1")
    let isPositive = name.hasSuffix("running_var") || (name.contains("bn") && name.hasSuffix("weight"))
    return (0..<shape.reduce(1, *)).map { i in
      var z = seed &+ UInt64(i) &* 0x9E37_79B9_7F4A_7C15
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      z ^= z >> 31
      let u = Float(z >> 40) / 16_777_216 - 0.5
      return isHead ? 0.5 + u : isPositive && shape.count == 1 ? 1 + u * 0.4 : u * spread
    }
  }
}

/// The folder of pictures and measuring weights; tests that need it are skipped without it.
enum TestData {
  static let folder = ProcessInfo.processInfo.environment["CODI_TEST_DATA"]
  static let reason: Comment = "CODI_TEST_DATA is not set: Kodak pictures and measuring weights are missing"

  static func kodak() throws -> [Bitmap] {
    let folder = try #require(folder)
    return try (1...24).map { number in
      try readBitmap("\(folder)/test/kodak24/kodim\(number < 10 ? "0" : "")\(number).png")
    }
  }

  /// The validation photographs: every JPEG of the tar shard.
  static func photographs() throws -> [Bitmap] {
    let shard = try Data(contentsOf: URL(fileURLWithPath: "\(try #require(folder))/val/clothing-val-000.tar"))
    var (pictures, at): ([Bitmap], Int) = ([], 0)
    // A header of 512 bytes, name first and size as octal digits, then the contents in blocks of 512.
    while at + 512 <= shard.count, shard[at] != 0 {
      let name = String(decoding: shard[at..<at + 100].prefix { $0 != 0 }, as: UTF8.self)
      let size = Int(String(decoding: shard[at + 124..<at + 135], as: UTF8.self), radix: 8) ?? 0
      if name.hasSuffix(".jpg") { pictures.append(try decodeBitmap([UInt8](shard[at + 512..<at + 512 + size]))) }
      at += 512 + (size + 511) / 512 * 512
    }
    return pictures
  }
}

func noise(width: Int, height: Int) -> Bitmap {
  let values = NoiseStream(key: 3).normal(draw: 0, height: height, width: width, channels: 3).floats()
  return Bitmap(width: width, height: height, pixels: values.map { UInt8(min(max($0 * 40 + 128, 0), 255)) })
}
