import Bundles
import Foundation
import Registry
import Testing

@Suite("Depth-to-image's plugin") struct DepthToImageTests {
  static func plugin(_ parameters: [String: ParameterValue] = [:]) throws -> TaskPlugin {
    let library = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
      .appending(path: "libDepthToImage.so")
    return try TaskPlugin(
      PluginLibrary(path: library.path, abi: 1, task: "depth-to-image", halo: nil), parameters: parameters)
  }

  static func depth(_ values: [Float]) throws -> PictureRegion {
    try PictureRegion(values, width: values.count / 2, height: 2, channels: 1)
  }

  @Test("the condition is the depth stretched to 0…1, white near or black near")
  func stretched() throws {
    let values: [Float] = [0.2, 0.3, 0.45, 0.6, 0.25, 0.2, 0.59, 0.31]
    let input = try Self.depth(values)
    let white = try Self.plugin().prepare([input], region: input.region, channels: 1).values
    let black = try Self.plugin(["near": .text("black")]).prepare([input], region: input.region, channels: 1).values
    for (i, value) in values.enumerated() {
      #expect(abs(white[i] - (value - 0.2) / 0.4) < 1e-6)
      #expect(abs(black[i] - (0.6 - value) / 0.4) < 1e-6)
    }
  }

  @Test("a depth without range is near everywhere, and scale and offset of a depth change nothing")
  func affine() throws {
    let flat = try Self.depth([Float](repeating: 0.3, count: 8))
    #expect(try Self.plugin().prepare([flat], region: flat.region, channels: 1).values.allSatisfy { $0 == 1 })
    let values: [Float] = [0.25, 0.5, 0.75, 1, 0.5, 0.25, 0.625, 0.25]
    let one = try Self.depth(values)
    let other = try Self.depth(values.map { $0 / 2 + 0.125 })
    let made = try [one, other].map { try Self.plugin().prepare([$0], region: one.region, channels: 1).values }
    #expect(zip(made[0], made[1]).allSatisfy { abs($0 - $1) < 1e-6 })
  }

  @Test("training pairs are the fourth channel of the clean pictures, of 8 or 16 bits", arguments: ["white", "black"])
  func pairs(near: String) throws {
    let count = 40
    let values = 0..<(count * 16 * 16 * 4)
    let clean: [Float] = values.map { (i: Int) -> Float in Float(i % 4 == 3 ? i * 37 % 1001 : 777) / 1000 }
    let made = try Self.plugin(["near": .text(near)]).degrade(
      clean, width: 16, height: 16, keys: (0..<count).map { SampleKey(low: 1, high: UInt64($0)) },
      inputs: [(16, 16, 1)])[0]
    var coarse = 0
    for sample in 0..<count {
      let values = (0..<256).map { made[sample * 256 + $0] }
      let depth = (0..<256).map { min(1, clean[(sample * 256 + $0) * 4 + 3]) }.map { near == "white" ? $0 : 1 - $0 }
      let is8 = values.allSatisfy { ($0 * 255).rounded() / 255 == $0 }
      coarse += is8 ? 1 : 0
      #expect(zip(values, depth).allSatisfy { abs($0 - $1) <= (is8 ? 0.5 / 255 : 0.5 / 65_535) + 1e-6 })
    }
    #expect((8...32).contains(coarse), "half of them")
  }

  @Test("clean pictures without depth are refused, and so is a part of a picture")
  func refused() throws {
    let plugin = try Self.plugin()
    let error = #expect(throws: PluginError.self) {
      try plugin.degrade(
        [Float](repeating: 0.5, count: 768), width: 16, height: 16, keys: [SampleKey(low: 0, high: 0)],
        inputs: [(16, 16, 1)])
    }
    #expect(error?.code == .region && error?.reason.contains("depth") == true)
    let whole = try Self.depth([0, 0.5, 1, 0.2, 0.4, 0.8, 0.1, 0.9])
    let part = #expect(throws: PluginError.self) {
      try plugin.prepare([whole], region: Region(x: 1, y: 0, width: 2, height: 2), channels: 1)
    }
    #expect(part?.code == .region)
  }

  @Test("the result is limited to 0…1 and otherwise left as it is")
  func finished() throws {
    let input = try Self.depth([0, 0.5, 1, 0.2, 0.4, 0.8, 0.1, 0.9])
    let values = (0..<24).map { Float($0) / 10 - 0.7 }
    let result = try PictureRegion(values, width: 4, height: 2)
    let made = try Self.plugin().finish([input], result: result, region: result.region)
    #expect(made.values == values.map { min(1, max(0, $0)) })
  }
}
