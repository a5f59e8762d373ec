import Bundles
import Foundation
import Registry
import Testing

@Suite("Inpainting's plugin") struct InpaintingTests {
  static func plugin(_ parameters: [String: ParameterValue] = [:]) throws -> TaskPlugin {
    let library = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(
      path: "libInpainting.so")
    return try TaskPlugin(
      PluginLibrary(path: library.path, abi: 1, task: "inpainting", halo: 0), parameters: parameters)
  }

  /// A ring and a stripe, with values between black and white that count from the middle on.
  static func mask(_ width: Int, _ height: Int) throws -> PictureRegion {
    let values = (0..<width * height).map { i -> Float in
      let (x, y) = (i % width - width / 2, i / width - height / 2)
      let r = x * x + y * y
      return (40..<90).contains(r) ? 1 : x == 3 ? 0.5 : r < 20 ? 0.499 : 0
    }
    return try PictureRegion(values, width: width, height: height, channels: 1)
  }

  @Test("the condition is the picture with grey holes, and the mask")
  func condition() throws {
    let image = try SuperResolutionTests.picture(31, 22)
    let mask = try Self.mask(31, 22)
    let made = try Self.plugin().prepare([image, mask], region: image.region, channels: 4)
    for i in 0..<31 * 22 {
      let isHole = mask.values[i] >= 0.5
      #expect(made.values[4 * i + 3] == (isHole ? 1 : 0))
      for c in 0..<3 { #expect(made.values[4 * i + c] == (isHole ? 0.5 : image.values[3 * i + c])) }
    }
  }

  @Test("finishing returns every known pixel bit for bit, and what was made in the holes, limited")
  func known() throws {
    let image = try SuperResolutionTests.rounded(SuperResolutionTests.picture(31, 22))
    let mask = try Self.mask(31, 22)
    var result = try SuperResolutionTests.picture(31, 22, seed: 5)
    for i in stride(from: 0, to: result.values.count, by: 11) { result.values[i] = i % 2 == 0 ? 7 : -3 }
    let made = try Self.plugin().finish([image, mask], result: result, region: image.region)
    for i in made.values.indices {
      let expected = mask.values[i / 3] >= 0.5 ? min(1, max(0, result.values[i])) : image.values[i]
      #expect(made.values[i].bitPattern == expected.bitPattern)
    }
  }

  @Test("a region has the pixels that it has in the whole picture, without any halo")
  func regions() throws {
    let plugin = try Self.plugin()
    let (image, mask) = (try SuperResolutionTests.picture(31, 22), try Self.mask(31, 22))
    let result = try SuperResolutionTests.picture(31, 22, seed: 5)
    let condition = try plugin.prepare([image, mask], region: image.region, channels: 4)
    let finished = try plugin.finish([image, mask], result: result, region: image.region)
    for region in [Region(x: 4, y: 3, width: 9, height: 17), Region(x: 30, y: 21, width: 1, height: 1)] {
      let cut = try [image.cropped(to: region), mask.cropped(to: region)]
      #expect(try plugin.prepare(cut, region: region, channels: 4) == condition.cropped(to: region))
      #expect(
        try plugin.finish(cut, result: result.cropped(to: region), region: region) == finished.cropped(to: region))
    }
    let short = #expect(throws: PluginError.self) {
      try plugin.prepare(
        [image, mask.cropped(to: Region(x: 0, y: 0, width: 9, height: 9))], region: image.region, channels: 4)
    }
    #expect(short?.code == .region)
  }

  /// Masks for a picture of 64 by 64 pixels, and the pictures beside them.
  func degraded(_ boxShare: Double, _ count: Int) throws -> (images: [Float], masks: [[Float]]) {
    let clean = try (0..<count).flatMap { try SuperResolutionTests.picture(64, 64, seed: UInt32($0)).values }
    let made = try Self.plugin(["box-share": .number(boxShare)]).degrade(
      clean, width: 64, height: 64, keys: (0..<count).map { SampleKey(low: 5, high: UInt64($0)) },
      inputs: [(64, 64, 3), (64, 64, 1)])
    #expect(made[0] == clean.map { ($0 * 255).rounded() / 255 }, "a user's file has 8 bits")
    return (made[0], (0..<count).map { Array(made[1][$0 * 4096..<($0 + 1) * 4096]) })
  }

  @Test("training masks mark some of the picture, never all of it, and each one another part", arguments: [0.0, 1])
  func masks(boxShare: Double) throws {
    let masks = try degraded(boxShare, 200).masks
    #expect(masks.allSatisfy { $0.allSatisfy { $0 == 0 || $0 == 1 } })
    let cover = masks.map { $0.reduce(0, +) / 4096 }
    #expect(cover.min() ?? 0 > 0.005 && cover.max() ?? 1 < 0.95, "\(cover)")
    let mean = cover.reduce(0, +) / 200
    #expect((0.1...0.5).contains(mean), "\(mean)")
    #expect(Set(masks).count == 200)
  }

  @Test("boxes are boxes: every marked pixel is in a run of at least seven, both ways; brush strokes are not")
  func boxes() throws {
    func isInRuns(_ mask: [Float], _ i: Int) -> Bool {
      func run(_ step: Int, _ place: Int) -> Int {
        var length = 1
        for sign in [-1, 1] {
          var k = 1
          while (0..<64).contains(place + sign * k), mask[i + sign * k * step] == 1 { k += 1 }
          length += k - 1
        }
        return length
      }
      return run(1, i % 64) >= 7 && run(64, i / 64) >= 7
    }
    func areBoxes(_ mask: [Float]) -> Bool { mask.indices.allSatisfy { mask[$0] == 0 || isInRuns(mask, $0) } }
    #expect(try degraded(1, 40).masks.allSatisfy(areBoxes))
    #expect(try degraded(0, 40).masks.count(where: areBoxes) < 10)
  }

  @Test("two in five masks are boxes unless asked otherwise, and parameters are checked")
  func share() throws {
    let boxes = Set(try degraded(1, 100).masks)
    let plain = try Self.plugin().degrade(
      try (0..<100).flatMap { try SuperResolutionTests.picture(64, 64, seed: UInt32($0)).values }, width: 64,
      height: 64,
      keys: (0..<100).map { SampleKey(low: 5, high: UInt64($0)) }, inputs: [(64, 64, 3), (64, 64, 1)])[1]
    // The kind is the first draw, so the boxes are the same ones.
    let same = (0..<100).count { boxes.contains(Array(plain[$0 * 4096..<($0 + 1) * 4096])) }
    #expect((25...55).contains(same))
    let error = #expect(throws: PluginError.self) { try Self.plugin(["box-share": .number(2)]) }
    #expect(error?.code == .parameter)
  }
}
