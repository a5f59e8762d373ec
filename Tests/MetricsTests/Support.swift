import Bundles
import Foundation
import Imaging
import Tensor
import Testing

/// What `Fixtures/metrics_golden.py` wrote; versions and seed are in that script.
struct Golden {
  static let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Fixtures/metrics_golden.safetensors").path
  private let file: SafetensorsFile

  init() throws { file = try SafetensorsFile(path: Self.path) }

  func bitmap(_ name: String) throws -> Bitmap {
    let entry = try file.entry(name)
    return Bitmap(width: entry.shape[1], height: entry.shape[0], pixels: entry.withBytes { [UInt8]($0) })
  }

  func values(_ name: String) throws -> [Double] {
    let entry = try file.entry(name)
    return try entry.withBytes { try Tensor(copying: $0, shape: entry.shape, dtype: .f32) }.floats().map(Double.init)
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
}

func noise(width: Int, height: Int) -> Bitmap {
  let values = NoiseStream(key: 3).normal(draw: 0, height: height, width: width, channels: 3).floats()
  return Bitmap(width: width, height: height, pixels: values.map { UInt8(min(max($0 * 40 + 128, 0), 255)) })
}
