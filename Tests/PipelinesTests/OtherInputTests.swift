import Bundles
import Foundation
import Imaging
import Pipelines
import Registry
import Tensor
import TestSupport
import Testing

@Suite("Pictures with a mask, and whole pictures") @Compute struct OtherInputTests {
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  func converter(_ task: String, region: Int = 384, _ values: [String: ParameterValue] = [:]) throws
    -> Converter
  {
    var options = Converter.Options()
    (options.steps, options.precision, options.region) = (2, .f32, region)
    let (adapter, plugin) = try Toy.task(task, values)
    return try Converter(adapter, plugin: plugin, options: options)
  }

  /// A disc to fill, in grey values around the threshold.
  func mask(_ width: Int, _ height: Int) -> Picture {
    let pixels = (0..<width * height).flatMap { i -> [Float] in
      let (x, y) = (Float(i % width) - Float(width) / 2, Float(i / width) - Float(height) / 2)
      let value: Float = x * x + y * y < Float(height * height) / 9 ? 0.8 : 0.2
      return [value, value, value]
    }
    return Picture(width: width, height: height, pixels: pixels)
  }

  @Test(
    "what a mask leaves is as it was, bit for bit, and what it marks is not, in one region and in many",
    arguments: [384, 64])
  func known(region: Int) throws {
    let (image, mask) = (Pictures.make(.photo, width: 150, height: 90), mask(150, 90))
    let converter = try converter("Inpainting", region: region)
    let regions = try converter.plan(width: 150, height: 90).count
    #expect((regions > 1) == (region == 64), "\(regions) regions")
    let made = try converter.convert(image, with: [mask], digest: [1])
    #expect(made.width == 150 && made.height == 90)
    var changed = 0
    for i in made.pixels.indices {
      if mask.pixels[i] < 0.5 {
        #expect(made.pixels[i].bitPattern == image.pixels[i].bitPattern)
      } else if made.pixels[i] != image.pixels[i] {
        changed += 1
      }
    }
    #expect(changed > mask.pixels.count { $0 >= 0.5 } / 2)
  }

  @Test("what lies under the mask does not matter")
  func hidden() throws {
    let (image, mask) = (Pictures.make(.photo, width: 60, height: 40), mask(60, 40))
    var other = image
    for i in other.pixels.indices where mask.pixels[i] >= 0.5 { other.pixels[i] = 1 - other.pixels[i] }
    let converter = try converter("Inpainting")
    #expect(
      try converter.convert(image, with: [mask], digest: [1]) == converter.convert(other, with: [mask], digest: [1]))
  }

  @Test("row by row a picture and its mask give the file that they give as a whole")
  func rows() throws {
    try Imaging.write(Pictures.make(.photo, width: 70, height: 300), to: folder("a.png"))
    try Imaging.write(mask(70, 300), to: folder("mask.png"))
    let converter = try converter("Inpainting", region: 64)
    let file = try converter.convert(
      file: folder("a.png"), with: [folder("mask.png")], digest: [3], to: folder("rows.png"))
    try file.file.publish()
    try Imaging.write(
      converter.convert(try readPicture(folder("a.png")), with: [try readPicture(folder("mask.png"))], digest: [3]),
      to: folder("whole.png"))
    #expect(
      try Data(contentsOf: URL(filePath: folder("rows.png"))) == Data(contentsOf: URL(filePath: folder("whole.png"))))
  }

  @Test("a mask of another size, and none at all, are refused by name")
  func refused() throws {
    let image = Pictures.make(.photo, width: 60, height: 40)
    let converter = try converter("Inpainting")
    let size = #expect(throws: ConversionError.self) {
      try converter.convert(image, with: [mask(60, 41)], digest: [1])
    }
    #expect(size?.reason.contains("mask has 60 x 41 pixels, image has 60 x 40") == true)
    let none = #expect(throws: ConversionError.self) { try converter.convert(image, digest: [1]) }
    #expect(none?.code == .options && none?.reason.contains("image, mask") == true)
  }

  func grey(_ width: Int, _ height: Int, _ value: (Int, Int) -> Float) -> Picture {
    let pixels = (0..<width * height).flatMap { i in [Float](repeating: value(i % width, i / width), count: 3) }
    return Picture(width: width, height: height, pixels: pixels)
  }

  @Test("a whole picture comes out at the core's own size, made of the input's middle square")
  func whole() throws {
    let converter = try converter("DepthToImage")
    let wide = grey(96, 32) { x, y in Float((x * 5 + y * 3) % 32) / 31 }
    let square = grey(32, 32) { x, y in wide.pixels[(y * 96 + x + 32) * 3] }
    let made = try converter.convert(wide, digest: [1])
    #expect(made.width == 32 && made.height == 32)
    #expect(made == (try converter.convert(square, digest: [1])))
    #expect(Set(made.pixels).count > 100)
    // Three times as large with the same values in squares of nine: the reduction gives nearly the same again.
    let large = grey(96, 96) { x, y in square.pixels[(y / 3 * 32 + x / 3) * 3] }
    let again = try converter.convert(large, digest: [1])
    #expect(again.width == 32)
    #expect(zip(again.pixels, made.pixels).map { abs($0 - $1) }.reduce(0, +) / Float(made.pixels.count) < 0.1)
    #expect(try converter.convert(square, digest: [2]) != made, "other noise")
  }

  @Test("what a whole picture is made of does not depend on the largest region, and its plan is one region")
  func regions() throws {
    let depth = grey(50, 40) { x, y in Float(x + y) / 90 }
    let small = try converter("DepthToImage", region: 16)
    #expect(try small.plan(width: 5000, height: 10).count == 1)
    #expect(try small.convert(depth, digest: [1]) == converter("DepthToImage").convert(depth, digest: [1]))
  }

  @Test("a drawing on a transparent ground is one on white, and colours count by their luma")
  func paper() throws {
    let converter = try converter("SketchToImage")
    let drawing = grey(32, 32) { x, y in x == 7 || y == 20 ? 0 : 1 }
    var transparent = grey(32, 32) { _, _ in 0 }
    transparent.alpha = (0..<1024).map { drawing.pixels[3 * $0] == 0 ? 1 : 0 }
    let made = try converter.convert(drawing, digest: [1])
    #expect(made == (try converter.convert(transparent, digest: [1])))
    #expect(made.alpha == nil)
    var red = drawing
    for i in 0..<1024 where drawing.pixels[3 * i] == 0 { red.pixels[3 * i] = 0.5 }
    // Stretched to full ink again.
    let again = try converter.convert(red, digest: [1])
    #expect(zip(again.pixels, made.pixels).allSatisfy { abs($0 - $1) < 1e-3 })
  }

  @Test("names of other inputs are filled in for each picture, and what a picture says itself stays")
  func names() throws {
    var items = ["in/a.png", "in/b.c.jpg"].map { InputItem(path: $0) }
    items[0].folder = "deep"
    items[1].others = ["mask": "own.png"]
    let given = try OtherInputs(["mask=masks/{folder}/{stem}.m.{ext}", "depth=one=two.png"])
    let added = given.added(to: items)
    #expect(added[0].others == ["mask": "masks/deep/a.m.png", "depth": "one=two.png"])
    #expect(added[1].others == ["mask": "own.png", "depth": "one=two.png"])
    for bad in ["mask", "mask=", "=a.png", "mask={index}.png"] {
      let error = #expect(throws: ConversionError.self, "\(bad)") { try OtherInputs([bad]) }
      #expect(error?.code == .options)
    }
    let twice = #expect(throws: ConversionError.self) { try OtherInputs(["a=b", "a=c"]) }
    #expect(twice?.reason.contains("twice") == true)
  }

  @Test("lines of NDJSON name other inputs")
  func lines() throws {
    let text = #"{"path": "a.png", "inputs": {"mask": "m.png"}}"#
    #expect(try InputItem.parse(ndjson: Data(text.utf8), source: "list")[0].others == ["mask": "m.png"])
    for bad in [#"{"path": "a.png", "inputs": "m.png"}"#, #"{"path": "a.png", "inputs": {"mask": 3}}"#] {
      let error = #expect(throws: ConversionError.self) { try InputItem.parse(ndjson: Data(bad.utf8), source: "list") }
      #expect(error?.location == "list:1" && error?.reason.contains("inputs") == true, "\(error?.reason ?? "")")
    }
  }
}
