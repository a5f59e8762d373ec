import Diffusion
import Networks
import Tensor
import Testing

@Suite("What must not change a network's output") @Compute struct InvarianceTests {
  @Test(
    "an adapter at μ = 0 leaves the core's output as it is, bit for bit",
    arguments: nativeTypes, ConditionEncoderConfiguration.Sees.allCases)
  func zeroMu(precision: DType, sees: ConditionEncoderConfiguration.Sees) throws {
    let unet = try randomCore(.golden)
    let (z, c) = (pictures(2, 32, 32), pictures(2, 32, 32, seed: 2))
    let levels = [0.3, 0.9].map { Schedule.cosineAngle.level(at: $0) }
    let alone = try unet(z, levels, precision: precision)
    for blend in ConditionEncoderConfiguration.Blend.allCases {
      var configuration = ConditionEncoderConfiguration()
      (configuration.sees, configuration.blend) = (sees, blend)
      let adapter = ConditionEncoder(configuration, core: .golden, seed: 3)
      try adapter.copyEncoder(of: unet)
      #expect(sameBits(try steered(unet, by: adapter, z, c, levels, precision), alone))
      try adapter.mus[0].assign(.full(adapter.mus[0].shape, 0.5))
      #expect(
        !sameBits(try steered(unet, by: adapter, z, c, levels, precision), alone), "a copied encoder says something")
    }
  }

  @Test("a copied encoder makes the core's own features when the condition is the noisy picture and time is 0")
  func copiedEncoder() throws {
    let unet = try randomCore(.golden)
    let adapter = ConditionEncoder(ConditionEncoderConfiguration(), core: .golden, seed: 3)
    for parameter in unet.parameters { parameter.isTrainable = false }
    try adapter.copyEncoder(of: unet)
    #expect(adapter.parameters.allSatisfy { $0.isTrainable })
    let (z, clean) = (pictures(1, 32, 32), [Schedule.cosineAngle.level(at: 0)])
    let core = try unet.encode(z, try unet.embed(clean), precision: .f32)
    let mine = try adapter.encode(z, noisy: z, clean, precision: .f32)
    #expect(core.all.count == adapter.mus.count)
    for (a, b) in zip(core.all, mine.all) { #expect(sameBits(a, b)) }
  }

  @Test("a region with enough halo equals the whole picture: nothing looks at all of it", arguments: nativeTypes)
  func region(precision: DType) throws {
    var configuration = UNetConfiguration()
    (configuration.channels, configuration.blocks, configuration.embedding) = ([4, 6], [1, 1], 8)
    let unet = try randomCore(configuration)
    // Convolutions reach 20 folded pixels: 3 at level 0, 1 + 2 · (2 + 2 + 2) + 1 below it, 3 at level 0 again.
    let (top, left, height, width, halo) = (16, 24, 112, 112, 40)
    let stream = NoiseStream(seed: 1, digest: [])
    let level = [Schedule.cosineAngle.level(at: 0.6)]
    let whole = try unet(stream.normal(draw: 0, height: 128, width: 160, channels: 3), level, precision: precision)
    let part = try unet(
      stream.normal(draw: 0, x: left, y: top, height: height, width: width, channels: 3), level, precision: precision)
    let (a, b) = (whole.floats(), part.floats())
    func difference(_ rows: Range<Int>, _ columns: Range<Int>) -> Float {
      var largest: Float = 0
      for row in rows {
        for column in columns {
          for c in 0..<3 {
            let (i, j) = (((row + top) * 160 + column + left) * 3 + c, (row * width + column) * 3 + c)
            largest = max(largest, abs(a[i] - b[j]))
          }
        }
      }
      return largest
    }
    // The bottom of the region is the bottom of the picture.
    #expect(difference(halo..<height, halo..<(width - halo)) == 0)
    #expect(difference(0..<height, 0..<width) > 0.01, "a cut edge must show, or the halo was not needed")
  }

  @Test("a sample has the same bits alone and in a batch", arguments: nativeTypes, [1, 2])
  func batch(precision: DType, threads: Int) throws {
    try withThreads(threads) {
      for unet in [try randomCore(.golden), try randomCore(UNetConfiguration())] {
        let (z, level) = (pictures(5, 32, 32), [Schedule.cosineAngle.level(at: 0.55)])
        let together = try unet(z, level, precision: precision)
        for i in 0..<5 {
          let alone = try unet(z.sample(i), level, precision: precision)
          #expect(sameBits(alone, together.sample(i)), "sample \(i), channels \(unet.configuration.channels)")
        }
      }
    }
  }

  @Test("a sample at its own level has the same bits alone and in a batch", arguments: nativeTypes, [1, 2])
  func batchOfLevels(precision: DType, threads: Int) throws {
    let unet = try randomCore(UNetConfiguration())
    let z = pictures(5, 32, 32)
    let levels = [0.1, 0.3, 0.55, 0.9, 1].map { Schedule.cosineAngle.level(at: $0) }
    try withThreads(threads) {
      let together = try unet(z, levels, precision: precision)
      for i in 0..<5 {
        let alone = try unet(z.sample(i), [levels[i]], precision: precision)
        #expect(sameBits(alone, together.sample(i)), "sample \(i)")
      }
    }
  }

  @Test("regions have the same bits alone and 16 at once, steered by an adapter", arguments: nativeTypes)
  func steeredBatch(precision: DType) throws {
    let unet = try randomCore(UNetConfiguration())
    var configuration = ConditionEncoderConfiguration()
    (configuration.sees, configuration.blend) = (.conditionAndNoisy, .channel)
    let adapter = ConditionEncoder(configuration, core: unet.configuration, seed: 3)
    try fillZeros(of: adapter.parameters)
    for parameter in unet.parameters + adapter.parameters { parameter.isTrainable = false }
    let (z, c) = (pictures(16, 64, 64), pictures(16, 64, 64, seed: 2))
    let level = [Schedule.cosineAngle.level(at: 0.4)]
    for count in [2, 3, 16] {
      func first(_ x: Tensor) throws -> Tensor {
        try Tensor(Array(x.floats().prefix(x.count / 16 * count)), shape: [count] + x.shape.dropFirst())
      }
      let together = try withThreads(2) { try steered(unet, by: adapter, try first(z), try first(c), level, precision) }
      for i in Set([0, 1, count - 1]) {
        let alone = try withThreads(1) { try steered(unet, by: adapter, z.sample(i), c.sample(i), level, precision) }
        #expect(sameBits(alone, together.sample(i)), "sample \(i) of \(count)")
      }
    }
  }

  @Test("a frozen network says something else once its weights are replaced")
  func replacedWeights() throws {
    let unet = try randomCore(.golden)
    for parameter in unet.parameters { parameter.isTrainable = false }
    let (z, level) = (pictures(1, 32, 32), [Schedule.cosineAngle.level(at: 0.5)])
    let before = try unet(z, level, precision: .f32)
    #expect(sameBits(try unet(z, level, precision: .f32), before))
    let weight = try #require(unet.parameters.first { $0.name.hasSuffix("modulation.weight") })
    try weight.assign(try weight.value.scaled(2))
    #expect(!sameBits(try unet(z, level, precision: .f32), before))
  }

  @Test("one and two threads give the same bits", arguments: nativeTypes)
  func threads(precision: DType) throws {
    for unet in [try randomCore(.golden), try randomCore(UNetConfiguration())] {
      let z = pictures(3, 32, 32)
      let levels = [0.3, 0.55, 0.9].map { Schedule.cosineAngle.level(at: $0) }
      let one = try withThreads(1) { try unet(z, levels, precision: precision) }
      let two = try withThreads(2) { try unet(z, levels, precision: precision) }
      #expect(sameBits(one, two), "channels \(unet.configuration.channels)")
    }
  }

  @Test("a network leaves the number of threads as it was, with gradients too", arguments: [1, 2, 3])
  func threadsStay(threads: Int) throws {
    let unet = try randomCore(.golden)
    try withThreads(threads) {
      let level = [Schedule.cosineAngle.level(at: 0.5)]
      _ = try withGradients {
        try unet(pictures(2, 32, 32), level, precision: .f32).squaredError(to: pictures(2, 32, 32)).loss
      }
      #expect(Compute.threads == threads)
    }
  }

  @Test("a picture of the wrong size is refused with the multiple it needs")
  func size() throws {
    let error = #expect(throws: TensorError.self) {
      try UNet(.golden)(pictures(1, 32, 36), [Schedule.cosineAngle.level(at: 1)], precision: .f32)
    }
    #expect(error?.code == .shape && error?.reason.contains("multiples of 8") == true)
  }
}
