import Distillation
import Foundation
import Imaging

/// A folder that is gone after `body`.
func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory.appending(path: "data-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder.path)
}

func save(_ bytes: [UInt8], _ path: String) throws { try Data(bytes).write(to: URL(filePath: path)) }

func code(_ body: () throws -> some Any) -> DataError.Code? {
  do { _ = try body() } catch let error as DataError { return error.code } catch {}
  return nil
}

/// A picture whose content says its number.
func numbered(_ i: Int, width: Int = 80, height: Int = 100) -> Bitmap {
  var bitmap = Bitmap(width: width, height: height, red: UInt8(i * 17 % 256), green: 90, blue: 200)
  for k in stride(from: 0, to: bitmap.pixels.count, by: 3) { bitmap.pixels[k + 1] = UInt8(k * (i + 3) % 251) }
  return bitmap
}

/// Photographs without files.
func photographs(_ count: Int = 5) -> Photographs {
  Photographs(
    pictures: (0..<count).map { numbered($0, width: 90 + 7 * $0, height: 120) }, names: (0..<count).map { "\($0)" })
}

func run(_ program: String, _ arguments: String..., in folder: String) throws {
  let process = Process()
  process.executableURL = URL(filePath: "/usr/bin/env")
  process.arguments = [program] + arguments
  process.currentDirectoryURL = URL(filePath: folder)
  try process.run()
  process.waitUntilExit()
  guard process.terminationStatus == 0 else { throw CocoaError(.executableLoad) }
}
