import Bundles
import Foundation
import Registry
import Testing

@Suite("Sketch-to-image's plugin") struct SketchToImageTests {
  static func plugin(_ parameters: [String: ParameterValue] = [:]) throws -> TaskPlugin {
    let library = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
      .appending(path: "libSketchToImage.so")
    return try TaskPlugin(
      PluginLibrary(path: library.path, abi: 1, task: "sketch-to-image", halo: nil), parameters: parameters)
  }

  func drawn(_ clean: [Float], _ variety: Double, key: UInt64 = 0, lines: String = "auto") throws -> [Float] {
    try Self.plugin(["variety": .number(variety), "lines": .text(lines)]).degrade(
      clean, width: 32, height: 32, keys: [SampleKey(low: 3, high: key)], inputs: [(32, 32, 1)])[0]
  }

  /// Dark on the left, light on the right.
  let step = (0..<32 * 32 * 3).map { Float($0 / 3 % 32 < 16 ? 0.2 : 0.8) }

  @Test("without variety, ink is tanh(60 (0.98 G₁.₂₈ − G₀.₈ − 0.005)) of the light")
  func formula() throws {
    func blurred(_ x: Int, _ sigma: Double) -> Double {
      let radius = Int((3 * sigma).rounded(.up))
      let taps = (-radius...radius).map {
        (place: min(31, max(0, x + $0)), weight: exp(-Double($0 * $0) / (2 * sigma * sigma)))
      }
      let sum = taps.reduce(0) { $0 + $1.weight }
      return taps.reduce(0) { $0 + $1.weight / sum * ($1.place < 16 ? 0.2 : 0.8) }
    }
    let made = try drawn(step, 0)
    for i in 0..<1024 {
      let excess = 0.98 * blurred(i % 32, 1.28) - blurred(i % 32, 0.8) - 0.005
      let ink = excess > 0 ? tanh(60 * excess) : 0
      #expect(abs(Double(made[i]) - (1 - ink)) < 0.6 / 255 + 1e-4, "column \(i % 32)")
    }
  }

  @Test("even places stay white, a step gets a line on its darker side alone", arguments: 0..<8)
  func sides(key: Int) throws {
    let flat = try drawn([Float](repeating: 0.4, count: 3072), 1, key: UInt64(key))
    #expect(flat.allSatisfy { $0 == 1 })
    let made = try drawn(step, 1, key: UInt64(key))
    let ink: [Float] = (0..<32).map { column in
      (0..<32).reduce(Float(0)) { (sum: Float, row: Int) -> Float in sum + 1 - made[row * 32 + column] }
    }
    #expect(ink[16...].allSatisfy { $0 == 0 }, "\(ink)")
    #expect(ink[..<10].allSatisfy { $0 == 0 } && ink[12..<16].contains { $0 > 8 }, "\(ink)")
  }

  @Test("a border between colours of one brightness has a line")
  func colours() throws {
    // 0.299 · 0.587 + 0.587 · 0.1 and 0.299 · 0.1 + 0.587 · 0.348 are nearly one luma.
    let (left, right): ([Float], [Float]) = ([0.587, 0.1, 0.1], [0.1, 0.348, 0.1])
    let clean: [Float] = (0..<1024).flatMap { (i: Int) -> [Float] in i % 32 < 16 ? left : right }
    let made = try drawn(clean, 0)
    let row = made[5 * 32 + 12..<5 * 32 + 20]
    #expect(row.contains { $0 < 0.5 })
  }

  @Test("drawings for training are functions of key and picture, differ by key, and have 8 bits")
  func variety() throws {
    let picture = try SuperResolutionTests.picture(32, 32).values
    let all = try (0..<20).map { try drawn(picture, 1, key: $0) }
    #expect(Set(all).count == 20)
    #expect(try drawn(picture, 1, key: 7) == all[7])
    #expect(all.allSatisfy { $0.allSatisfy { ($0 * 255).rounded() / 255 == $0 && (0...1).contains($0) } })
    #expect(Set(try (0..<5).map { try drawn(picture, 0, key: $0) }).count == 1, "without variety the key says nothing")
  }

  @Test("dark lines on white and light lines on black give the same condition; saying which is which decides")
  func polarity() throws {
    func condition(_ values: [Float], _ lines: String = "auto") throws -> [Float] {
      let input = try PictureRegion(values, width: 32, height: 32, channels: 1)
      return try Self.plugin(["lines": .text(lines)]).prepare([input], region: input.region, channels: 1).values
    }
    // Values that are exact in float32, so that the two ways round alike.
    let drawing: [Float] = (0..<1024).map { (i: Int) -> Float in i % 32 == 9 ? 0.25 : i / 32 == 4 ? 0.5 : 1 }
    let negative = drawing.map { 1 - $0 }
    let made = try condition(drawing)
    #expect(made == (try condition(negative)))
    #expect(try condition(drawing, "dark") == made)
    #expect(try condition(negative, "light") == made)
    // The darkest line is full ink, one of two thirds of its strength has as much.
    #expect(made[9] == 1 && abs(made[4 * 32] - 2.0 / 3) < 1e-6 && made[0] == 0)
    #expect(try zip(condition(drawing, "light"), made).allSatisfy { abs($0 + $1 - 1) < 1e-6 })
    #expect(try condition([Float](repeating: 0.9, count: 1024)).allSatisfy { $0 == 0 }, "an empty sheet")
  }

  @Test("what is drawn for training is what prepare reads, whatever the lines' colour")
  func roundTrip() throws {
    let picture = try SuperResolutionTests.picture(32, 32).values
    for lines in ["dark", "light"] {
      let made = try drawn(picture, 0, lines: lines)
      let input = try PictureRegion(made, width: 32, height: 32, channels: 1)
      let ink = try Self.plugin(["lines": .text(lines)]).prepare([input], region: input.region, channels: 1).values
      let most = made.map { lines == "dark" ? 1 - $0 : $0 }.max() ?? 0
      let wanted: [Float] = made.map { lines == "dark" ? 1 - $0 : $0 }
      #expect(zip(ink, wanted).allSatisfy { abs($0 * most - $1) < 1e-5 })
    }
  }
}
