import Bundles
import Foundation
import Imaging
import Registry
import TestSupport
import Testing

/// `codi convert` with a mask beside the picture, and with a whole picture, by toys of random weights.
@Suite("Inpainting and whole pictures by command", .serialized) struct InpaintingCommandTests {
  static let shop = Result { () throws in
    let shop = try Workshop()
    let registry = try BundleRegistry(path: shop.folder("registry"), create: false)
    for task in ["Inpainting", "DepthToImage"] {
      try Toy.packTask(task, core: shop.folder("core.codi"), to: shop.folder("\(task).codi"))
      try registry.publish(shop.folder("\(task).codi"))
    }
    for name in ["inpainting", "depth-to-image", "enlarge"] { try shop.codi("install", name).expect(0) }
    return shop
  }

  /// 8-bit grey: white in a disc.
  static func writeMask(_ path: String, _ width: Int, _ height: Int, radius: Int) throws {
    let pixels = (0..<width * height).flatMap { i -> [UInt8] in
      let (x, y) = (i % width - width / 2, i / width - height / 2)
      return [UInt8](repeating: x * x + y * y < radius * radius ? 255 : 0, count: 3)
    }
    try Data(encodePNG(Bitmap(width: width, height: height, pixels: pixels))).write(to: URL(filePath: path))
  }

  /// Values of known pixels that differ, and of holes that do not.
  static func compare(_ made: String, _ image: String, _ mask: String) throws -> (known: Int, same: Int, holes: Int) {
    let (made, image, mask) = (try readBitmap(made), try readBitmap(image), try readBitmap(mask))
    var found = (known: 0, same: 0, holes: 0)
    for i in made.pixels.indices {
      if mask.pixels[i] < 128 {
        found.known += made.pixels[i] != image.pixels[i] ? 1 : 0
      } else {
        found.holes += 1
        found.same += made.pixels[i] == image.pixels[i] ? 1 : 0
      }
    }
    return found
  }

  @Test("known pixels of a PNG are the same bytes, and the result is made again from its provenance")
  func known() throws {
    let shop = try Self.shop.get()
    let folder = shop.folder
    try Pictures.write(folder("photo.png"), 90, 70)
    try Self.writeMask(folder("hole.png"), 90, 70, radius: 20)
    let command = ["convert", "photo.png", "--adapter", "inpainting", "--input", "mask=hole.png", "--out", "filled"]
    try shop.run(command).expect(0)
    let found = try Self.compare(folder("filled/photo.png"), folder("photo.png"), folder("hole.png"))
    #expect(found.known == 0 && found.holes > 3000 && found.same < found.holes / 2, "\(found)")

    let reproduce = ["reproduce", "filled/photo.png", "--source", "photo.png"]
    try shop.run(reproduce + ["--input", "mask=hole.png"]).expect(0)
    let without = try shop.run(reproduce).expect(2)
    #expect(without.error.contains("--input mask=FILE"))
    try Self.writeMask(folder("other.png"), 90, 70, radius: 21)
    try shop.run(reproduce + ["--input", "mask=other.png"]).expect(4)
    let told = try shop.codi("reproduce", "filled/photo.png").expect(0)
    #expect((told.out + told.error).contains("mask sha256:"))

    // The journal knows the mask: the same again is done, another one is not.
    let again = try shop.run(command + ["--json"]).expect(0).objects()
    #expect(again.contains { $0["event"] as? String == "skipped" && $0["reason"] as? String == "done" })
    try Self.writeMask(folder("hole.png"), 90, 70, radius: 15)
    let changed = try shop.run(command).expect(4)
    #expect(changed.error.contains("mask hole.png has changed"), "\(changed.error)")
    try shop.run(command + ["--existing", "overwrite"]).expect(0)
    #expect(try Self.compare(folder("filled/photo.png"), folder("photo.png"), folder("hole.png")).known == 0)
    let entry = try shop.codi("jobs", "show", "filled", "--json").expect(0).objects().first
    let digests = try #require(entry?["otherDigests"] as? [String: String])
    #expect(digests == ["mask": try SHA256.hex(ofFile: folder("hole.png"))])
  }

  @Test("each picture of a folder has its own mask, by a template or a line; one that is missing fails alone")
  func many() throws {
    let shop = try Self.shop.get()
    let folder = shop.folder
    _ = try folder.make("many")
    _ = try folder.make("masks")
    for (number, name) in ["a", "b", "c"].enumerated() {
      try Pictures.write(folder("many/\(name).png"), 40, 30, seed: UInt32(number + 1))
      if name != "c" { try Self.writeMask(folder("masks/\(name).png"), 40, 30, radius: 5 + 4 * number) }
    }
    let some = try shop.codi(
      "convert", "many", "--adapter", "inpainting", "--input", "mask=masks/{stem}.png", "--out", "by-template"
    ).expect(1)
    #expect(some.error.contains("masks/c.png"), "\(some.error)")
    #expect(shop.results("by-template") == ["a.png", "b.png"])
    for name in ["a", "b"] {
      let found = try Self.compare(
        folder("by-template/\(name).png"), folder("many/\(name).png"), folder("masks/\(name).png"))
      #expect(found.known == 0 && found.holes > 0)
    }
    let lines = ["a", "b"].map { #"{"path": "many/\#($0).png", "inputs": {"mask": "masks/\#($0).png"}}"# }
    try Data(lines.joined(separator: "\n").utf8).write(to: URL(filePath: folder("list.ndjson")))
    try shop.codi("convert", "--items", "list.ndjson", "--adapter", "inpainting", "--out", "by-line").expect(0)
    for name in ["a.png", "b.png"] {
      #expect(
        try Data(contentsOf: URL(filePath: folder("by-line/\(name)")))
          == Data(contentsOf: URL(filePath: folder("by-template/\(name)"))))
    }
  }

  @Test("a mask that is not there, or that no adapter takes, is refused before anything is converted")
  func refused() throws {
    let shop = try Self.shop.get()
    try Pictures.write(shop.folder("one.png"), 20, 20)
    let none = try shop.codi("convert", "one.png", "--adapter", "inpainting", "--out", "none").expect(2)
    #expect(none.error.contains("called mask") && none.error.contains("--input mask=FILE"), "\(none.error)")
    let unknown = try shop.codi(
      "convert", "one.png", "--adapter", "enlarge", "--input", "mask=one.png", "--out", "none"
    ).expect(2)
    #expect(unknown.error.contains("No adapter takes a picture called mask"), "\(unknown.error)")
    #expect(!FileManager.default.fileExists(atPath: shop.folder("none/one.png")))
  }

  @Test("a depth becomes a picture of the core's own size, and a chain enlarges it")
  func whole() throws {
    let shop = try Self.shop.get()
    let pixels = (0..<60 * 40).flatMap { [UInt8](repeating: UInt8($0 % 60 * 4), count: 3) }
    let bytes = try encodePNG(Bitmap(width: 60, height: 40, pixels: pixels))
    try Data(bytes).write(to: URL(filePath: shop.folder("depth.png")))
    let dry = try shop.codi(
      "convert", "depth.png", "--adapter", "depth-to-image", "--out", "made", "--dry-run", "--json"
    ).expect(0).objects()
    #expect(dry.last?["regions"] as? Int == 1)
    try shop.codi("convert", "depth.png", "--adapter", "depth-to-image", "--out", "made", "--max-memory", "2G").expect(
      0)
    let made = try readBitmap(shop.folder("made/depth.png"))
    #expect(made.width == 32 && made.height == 32 && Set(made.pixels).count > 20)
    try shop.codi("reproduce", "made/depth.png", "--source", "depth.png").expect(0)
    try shop.codi(
      "convert", "depth.png", "--adapter", "depth-to-image", "--adapter", "enlarge", "--out", "large"
    ).expect(0)
    let large = try readBitmap(shop.folder("large/depth.png"))
    #expect(large.width == 128 && large.height == 128)
  }
}
