import Foundation
import Imaging

/// A folder that is gone after `body`.
func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory.appending(path: "imaging-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder.path)
}

func save(_ bytes: [UInt8], _ path: String) throws { try Data(bytes).write(to: URL(filePath: path)) }

/// Smooth colours with a few hard edges.
func sampleBitmap(width: Int = 31, height: Int = 17) -> Bitmap {
  var pixels = [UInt8]()
  for y in 0..<height {
    for x in 0..<width {
      pixels += [UInt8(x * 255 / width), UInt8(y * 255 / height), x / 8 % 2 == 0 ? 40 : 210]
    }
  }
  return Bitmap(width: width, height: height, pixels: pixels)
}
