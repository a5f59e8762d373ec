import Adapters
import Bundles
import Diffusion
import Foundation
import Networks
import Tensor
import Testing

@Suite("The U-Nets of PyTorch's diffusers, from their own weights files") @Compute struct DiffusersTests {
  /// A network of `Fixtures/diffusers_golden.py`.
  struct Golden {
    let network: UNet
    let values: SafetensorsFile

    init(_ name: String, _ configuration: UNetConfiguration, in folder: String? = nil) throws {
      let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures").path
      let path = "\(folder ?? here)/\(name)"
      network = UNet(configuration)
      try Weights.loadDiffusers(network, from: SafetensorsFile(path: "\(path)_weights.safetensors"))
      values = try SafetensorsFile(path: "\(path)_golden.safetensors")
    }

    func tensor(_ name: String) throws -> Tensor {
      try Weights.tensor(name, shape: try values.entry(name).shape, in: values)
    }

    /// The output at the fixture's inputs.
    func output(_ times: [Int], _ precision: DType) throws -> Tensor {
      let levels = times.map { Schedule.cosineAngle.level(at: Double($0) / 1000) }
      return try network(
        try tensor("x"), levels, context: values.names.contains("context") ? try tensor("context") : nil,
        precision: precision)
    }
  }

  nonisolated static let pixel: UNetConfiguration = {
    var c = UNetConfiguration()
    (c.pictureChannels, c.fold, c.channels, c.blocks, c.middle, c.embedding) = (3, 1, [8, 16, 24], [2, 2, 2], 2, 32)
    var g = UNetConfiguration.Grouped()
    (g.groups, g.heads, g.middleHeads) = (4, [0, 4, 6], 6)
    c.grouped = g
    return c
  }()

  nonisolated static let latent: UNetConfiguration = {
    var c = UNetConfiguration()
    (c.pictureChannels, c.fold, c.channels, c.blocks, c.middle, c.embedding) = (4, 1, [8, 16], [1, 1], 2, 32)
    var g = UNetConfiguration.Grouped()
    (g.groups, g.heads, g.middleHeads, g.context) = (4, [2, 0], 2, 12)
    c.grouped = g
    return c
  }()

  @Test(
    "agree", arguments: [("pixel", pixel), ("latent", latent)], [(DType.f32, Float(1e-4)), (.bf16, 3e-2)])
  func agree(network: (name: String, shape: UNetConfiguration), precision: (type: DType, tolerance: Float)) throws {
    let golden = try Golden(network.name, network.shape)
    let (y, expected) = (try golden.output([500, 37], precision.type), try golden.tensor("y"))
    #expect(y.shape == expected.shape)
    #expect(relative(y, expected) < precision.tolerance)
  }

  @Test("have the same gradients", arguments: [("pixel", pixel), ("latent", latent)])
  func gradients(name: String, shape: UNetConfiguration) throws {
    let golden = try Golden(name, shape)
    let target = try golden.tensor("target")
    let (_, gradients) = try withGradients {
      let y = try golden.output([500, 37], .f32)
      return try y.squaredError(to: target).loss
    }
    for (parameter, names) in golden.network.diffusersNames {
      let found = try #require(gradients[parameter], "\(parameter.name) got no gradient").floats()
      let expected = try names.flatMap { try golden.tensor("gradient.\($0)").floats() }
      let size = expected.map(abs).max() ?? 0
      // Keys get no bias gradient to speak of: softmax does not see a shift.
      guard size > 1e-7 else { continue }
      let worst = zip(found, expected).map { abs($0 - $1) }.max() ?? 0
      #expect(worst < 1e-3 * size, "\(parameter.name)")
    }
  }

  @Test("the number of parameters is known without the network", arguments: [pixel, latent])
  func count(shape: UNetConfiguration) {
    #expect(shape.problem == nil)
    #expect(UNet(shape).parameters.reduce(0) { $0 + $1.value.count } == shape.parameterCount)
  }

  @Test("a weights file of another shape is refused, naming the tensor")
  func refused() throws {
    var other = Self.pixel
    other.embedding = 64
    let error = try #require(throws: BundleError.self) { try Golden("pixel", other) }
    #expect("\(error)".contains("time_embedding.linear_1.weight"))
    other = Self.pixel
    other.blocks = [2, 2, 1]
    #expect(throws: BundleError.self) { try Golden("pixel", other) }
  }

  @Test("a network that looks at a context says so when there is none")
  func noContext() throws {
    let golden = try Golden("latent", Self.latent)
    let error = try #require(throws: TensorError.self) {
      try golden.network(
        try golden.tensor("x"), [Schedule.cosineAngle.level(at: 0.5)], precision: .f32)
    }
    #expect(error.reason.contains("context"))
  }

  /// 3.4 GB of random weights: `diffusers_golden.py full FOLDER`, then CODI_DIFFUSERS_FULL=FOLDER.
  @Test(
    "Stable Diffusion 1.5's full shape agrees",
    .enabled(if: ProcessInfo.processInfo.environment["CODI_DIFFUSERS_FULL"] != nil),
    arguments: [(DType.f32, Float(1e-4)), (.bf16, 2e-2)])
  func full(type: DType, tolerance: Float) throws {
    let golden = try Golden(
      "full", .stableDiffusion15, in: ProcessInfo.processInfo.environment["CODI_DIFFUSERS_FULL"])
    #expect(relative(try golden.output([500], type), try golden.tensor("y")) < tolerance)
  }

  private func relative(_ a: Tensor, _ b: Tensor) -> Float {
    a.largestDifference(from: b) / (b.floats().map(abs).max() ?? 1)
  }
}
