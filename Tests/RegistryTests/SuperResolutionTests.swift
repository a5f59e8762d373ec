import Bundles
import Foundation
import Registry
import Testing

/// Through the built product, as a conversion uses it.
@Suite("Super-resolution's plugin") struct SuperResolutionTests {
  static let library = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
    .appending(path: "libSuperResolution.so").path

  static func plugin(_ parameters: [String: ParameterValue] = [:]) throws -> TaskPlugin {
    try TaskPlugin(
      PluginLibrary(path: library, abi: 1, task: "super-resolution", halo: 40), parameters: parameters)
  }

  /// Smooth shading, sharp edges and grain: what photographs are made of. Reproducible; 0...1.
  static func picture(_ width: Int, _ height: Int, seed: UInt32 = 1, grain: Float = 0.04) throws -> PictureRegion {
    var state = seed
    func random() -> Float {
      state = state &* 1_664_525 &+ 1_013_904_223
      return Float(state >> 8) * 0x1p-24
    }
    let discs = (0..<24).map { _ in
      (
        x: random() * Float(width), y: random() * Float(height), r: 3 + random() * 20,
        c: [random(), random(), random()]
      )
    }
    var values: [Float] = []
    for y in 0..<height {
      for x in 0..<width {
        let disc = discs.last {
          ($0.x - Float(x)) * ($0.x - Float(x)) + ($0.y - Float(y)) * ($0.y - Float(y)) < $0.r * $0.r
        }
        for channel in 0..<3 {
          let shade = 0.5 + 0.3 * sin(Float(x) / 31 + Float(channel)) * cos(Float(y) / 23)
          let value = (disc?.c[channel] ?? shade) * 0.9 + 0.05 + grain * (random() - 0.5)
          values.append(min(max(value, 0), 1))
        }
      }
    }
    return try PictureRegion(values, width: width, height: height)
  }

  /// Weights of Pillow's bicubic reduction by four at `output`, written out anew: an independent reference.
  static func reduce(_ picture: PictureRegion) throws -> PictureRegion {
    func kernel(_ x: Double) -> Double {
      let a = -0.5
      if x < 1 { return (a + 2) * x * x * x - (a + 3) * x * x + 1 }
      return x < 2 ? a * (x * x * x - 5 * x * x + 8 * x - 4) : 0
    }
    func taps(_ output: Int, _ size: Int) -> [(Int, Double)] {
      let all = (4 * output - 6..<4 * output + 10).filter { (0..<size).contains($0) }
      let weights = all.map { kernel(abs(Double($0) + 0.5 - (Double(output) + 0.5) * 4) / 4) }
      return zip(all, weights.map { $0 / weights.reduce(0, +) }).map { ($0, $1) }
    }
    let (width, height) = (picture.fullWidth / 4, picture.fullHeight / 4)
    var values: [Float] = []
    for y in 0..<height {
      for x in 0..<width {
        for channel in 0..<3 {
          var sum = 0.0
          for (row, v) in taps(y, picture.fullHeight) {
            for (column, h) in taps(x, picture.fullWidth) {
              sum += v * h * Double(picture.values[(row * picture.fullWidth + column) * 3 + channel])
            }
          }
          values.append(Float(sum))
        }
      }
    }
    return try PictureRegion(values, width: width, height: height)
  }

  static func rounded(_ picture: PictureRegion) throws -> PictureRegion {
    let values = picture.values.map { (min(max($0, 0), 1) * 255).rounded() / 255 }
    return try PictureRegion(values, width: picture.fullWidth, height: picture.fullHeight)
  }

  static func psnr(_ a: PictureRegion, _ b: PictureRegion) -> Double {
    let error = zip(a.values, b.values).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
    return -10 * log10(max(error / Double(a.values.count), 1e-20))
  }

  @Test("a condition's region equals the same pixels of the whole, bit for bit, at every place and odd size")
  func prepareRegions() throws {
    let plugin = try Self.plugin()
    let image = try Self.picture(37, 29)
    let size = try plugin.outputSize(width: 37, height: 29)
    #expect(size == (148, 116))
    let whole = try plugin.prepare([image], region: Region(x: 0, y: 0, width: 148, height: 116), channels: 3)
    for region in Self.regions {
      let part = region.needed(halo: plugin.descriptor.halo, scale: 4, width: 37, height: 29)
      let condition = try plugin.prepare([image.cropped(to: part)], region: region, channels: 3)
      #expect(try condition == whole.cropped(to: region))
    }
  }

  @Test("a finished region equals the same pixels of the whole, bit for bit")
  func finishRegions() throws {
    let plugin = try Self.plugin()
    let image = try Self.picture(37, 29)
    let result = try Self.picture(148, 116, seed: 9, grain: 0.3)
    let whole = try plugin.finish([image], result: result, region: result.region)
    #expect(whole != result)
    for region in Self.regions {
      let input = region.needed(halo: plugin.descriptor.halo, scale: 4, width: 37, height: 29)
      let around = region.needed(halo: plugin.descriptor.halo, scale: 1, width: 148, height: 116)
      let finished = try plugin.finish(
        [image.cropped(to: input)], result: result.cropped(to: around), region: region)
      #expect(try finished == whole.cropped(to: region))
    }
  }

  static let regions = [
    Region(x: 0, y: 0, width: 148, height: 116), Region(x: 0, y: 0, width: 1, height: 1),
    Region(x: 147, y: 115, width: 1, height: 1), Region(x: 61, y: 50, width: 17, height: 9),
    Region(x: 62, y: 51, width: 1, height: 1), Region(x: 63, y: 53, width: 2, height: 3),
    Region(x: 48, y: 0, width: 64, height: 64), Region(x: 100, y: 70, width: 48, height: 46),
  ]

  @Test("a region without its halo is refused, not computed differently")
  func missingHalo() throws {
    let plugin = try Self.plugin()
    let image = try Self.picture(64, 64)
    let region = Region(x: 120, y: 120, width: 8, height: 8)
    let tight = try image.cropped(to: Region(x: 30, y: 30, width: 2, height: 2))
    let prepared = #expect(throws: PluginError.self) { try plugin.prepare([tight], region: region, channels: 3) }
    #expect(prepared?.code == .region)
    let result = try Self.picture(256, 256).cropped(to: region)
    let finished = #expect(throws: PluginError.self) { try plugin.finish([image], result: result, region: region) }
    #expect(finished?.code == .region)
  }

  @Test("reduced again after rounding to 8 bits, the finished picture is the input to 40 dB and better")
  func backProjection() throws {
    let plugin = try Self.plugin()
    let clean = try Self.picture(192, 160)
    let image = try Self.rounded(Self.reduce(clean))
    let enlarged = try plugin.prepare([image], region: clean.region, channels: 3)
    let wrong = try Self.picture(192, 160, seed: 1, grain: 0.3)
    let dull = try PictureRegion(clean.values.map { $0 * 0.8 + 0.1 }, width: 192, height: 160)
    for (name, result) in [("enlarged", enlarged), ("grainy", wrong), ("dull", dull)] {
      let finished = try plugin.finish([image], result: result, region: clean.region)
      let back = try Self.rounded(Self.reduce(Self.rounded(finished)))
      let before = try Self.psnr(Self.rounded(Self.reduce(result)), image)
      #expect(Self.psnr(back, image) >= 40, "\(name): \(Self.psnr(back, image)), before \(before)")
      #expect(Self.psnr(back, image) > before + 3, "\(name) was corrected")
    }
    let off = try Self.plugin(["strength": .number(0)])
    #expect(try off.finish([image], result: dull, region: clean.region).values == dull.values)
  }

  @Test("a constant picture stays constant, up to rounding of float32")
  func constant() throws {
    let plugin = try Self.plugin(["bicubic-share": .number(1)])
    let image = try PictureRegion([Float](repeating: 0.6, count: 16 * 12 * 3), width: 16, height: 12)
    let region = Region(x: 0, y: 0, width: 64, height: 48)
    let condition = try plugin.prepare([image], region: region, channels: 3)
    #expect(condition.values.allSatisfy { abs($0 - 0.6) < 1e-6 })
    let grey = try PictureRegion([Float](repeating: 0.3, count: 64 * 48 * 3), width: 64, height: 48)
    let finished = try plugin.finish([image], result: grey, region: region)
    #expect(finished.values.allSatisfy { abs($0 - 0.6) < 1e-5 })
    let small = try plugin.degrade(
      [Float](repeating: 0.6, count: 64 * 64 * 3), width: 64, height: 64, keys: [SampleKey(low: 0, high: 0)],
      inputs: [(16, 16, 3)])
    #expect(small[0].allSatisfy { abs($0 - 153.0 / 255) < 1e-6 })
  }

  @Test("the network's NaN and infinities end inside 0...1")
  func poisoned() throws {
    let plugin = try Self.plugin()
    let image = try Self.picture(16, 16)
    var result = try Self.picture(64, 64)
    for (index, value) in [Float.nan, .infinity, -.infinity, 1e30].enumerated() { result.values[index * 500] = value }
    let finished = try plugin.finish([image], result: result, region: result.region)
    #expect(finished.values.allSatisfy { (0...1).contains($0) })
  }

  @Test("degrading depends on the sample and its key alone, and differs between keys")
  func degradeByKey() throws {
    let plugin = try Self.plugin(["bicubic-share": .number(0)])
    let clean = try Self.picture(64, 64).values
    let keys = (0..<12).map { SampleKey(low: 7, high: $0) }
    let batch = try plugin.degrade(
      (0..<12).flatMap { _ in clean }, width: 64, height: 64, keys: keys, inputs: [(16, 16, 3)])[0]
    let count = 16 * 16 * 3
    for (index, key) in keys.enumerated() {
      let alone = try plugin.degrade(clean, width: 64, height: 64, keys: [key], inputs: [(16, 16, 3)])[0]
      #expect(alone == Array(batch[index * count..<(index + 1) * count]))
      #expect(alone.allSatisfy { ($0 * 255).rounded() / 255 == $0 && (0...1).contains($0) })
    }
    #expect(Set((0..<12).map { Array(batch[$0 * count..<($0 + 1) * count]) }).count == 12)
  }

  @Test("half of the samples are plain bicubic reductions unless asked otherwise")
  func degradeShares() throws {
    let picture = try Self.picture(64, 64)
    let plain = try Self.rounded(Self.reduce(picture)).values
    let keys = (0..<64).map { SampleKey(low: 3, high: $0) }
    let clean = keys.flatMap { _ in picture.values }
    func plainShare(_ parameters: [String: ParameterValue]) throws -> Int {
      let batch = try Self.plugin(parameters).degrade(
        clean, width: 64, height: 64, keys: keys, inputs: [(16, 16, 3)])[0]
      return keys.indices.count { index in
        zip(batch[index * plain.count..<(index + 1) * plain.count], plain).allSatisfy { abs($0 - $1) < 1.5 / 255 }
      }
    }
    #expect(try plainShare(["bicubic-share": .number(1)]) == 64)
    #expect(try plainShare(["bicubic-share": .number(0)]) == 0)
    #expect((20...44).contains(try plainShare([:])))
  }

  @Test("real-world degradation keeps the picture recognisable")
  func degradeKeepsThePicture() throws {
    let picture = try Self.picture(64, 64)
    let plain = try Self.reduce(picture)
    let keys = (0..<48).map { SampleKey(low: 11, high: $0) }
    let batch = try Self.plugin(["bicubic-share": .number(0)]).degrade(
      keys.flatMap { _ in picture.values }, width: 64, height: 64, keys: keys, inputs: [(16, 16, 3)])[0]
    let psnr = try keys.indices.map { index in
      let values = Array(batch[index * 768..<(index + 1) * 768])
      return Self.psnr(try PictureRegion(values, width: 16, height: 16), plain)
    }.sorted()
    #expect(psnr[0] > 12 && psnr[24] > 18 && psnr[24] < 35, "\(psnr)")
  }

  @Test("parameters out of range or unknown are refused by name")
  func parameters() throws {
    let range = #expect(throws: PluginError.self) { try Self.plugin(["strength": .number(2)]) }
    #expect(range?.code == .parameter && range?.reason.contains("strength") == true)
    let kind = #expect(throws: PluginError.self) { try Self.plugin(["strength": .text("much")]) }
    #expect(kind?.code == .parameter)
    let unknown = #expect(throws: PluginError.self) { try Self.plugin(["stregnth": .number(1)]) }
    #expect(unknown?.code == .parameter)
  }

  @Test("a cancelled host stops degrading")
  func cancelled() throws {
    let library = try PluginLibrary(path: Self.library, abi: 1, task: "super-resolution", halo: 40)
    let plugin = try TaskPlugin(library, isCancelled: { true })
    let error = #expect(throws: PluginError.self) {
      try plugin.degrade(
        [Float](repeating: 0, count: 64 * 64 * 3), width: 64, height: 64, keys: [SampleKey(low: 0, high: 0)],
        inputs: [(16, 16, 3)])
    }
    #expect(error?.code == .cancelled)
  }

  @Test("prepare and finish take less than 0.6 s a megapixel of output, or the kernels have gone wrong")
  func speed() throws {
    let plugin = try Self.plugin()
    let image = try Self.picture(256, 256)
    let result = try PictureRegion([Float](repeating: 0.5, count: 1024 * 1024 * 3), width: 1024, height: 1024)
    let time = try ContinuousClock().measure {
      _ = try plugin.prepare([image], region: result.region, channels: 3)
      _ = try plugin.finish([image], result: result, region: result.region)
    }
    print("prepare + finish, 1 megapixel:", time)
    #if !DEBUG
      #expect(time < .seconds(0.6))
    #endif
  }
}
