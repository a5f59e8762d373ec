import Diffusion
import Networks
import Tensor
import Testing

@Suite("Networks agree with an independent PyTorch implementation, every parameter random") @Compute struct GoldenTests
{
  @Test("the U-Net's output", arguments: native((.f32, 1e-4), (.bf16, 3e-2)))
  func output(precision: DType, tolerance: Float) throws {
    let golden = try Golden()
    let v = try golden.core()(try golden.tensor("z"), golden.levels, precision: precision)
    let expected = try golden.tensor("v")
    #expect(v.shape == expected.shape && v.dtype == .f32)
    #expect(relativeError(v, expected) < tolerance)
  }

  @Test("the U-Net's gradients", arguments: native((.f32, 1e-3), (.bf16, 5e-2)))
  func gradients(precision: DType, tolerance: Float) throws {
    let golden = try Golden()
    let unet = try golden.core()
    let (z, r) = (try golden.tensor("z"), try golden.tensor("r"))
    let (_, gradients) = try withGradients {
      try unet(z, golden.levels, precision: precision).squaredError(to: r).loss
    }
    let names = golden.names("gradient.")
    var checked = 0
    for parameter in unet.parameters {
      let found = try #require(gradients[parameter], "\(parameter.name) got no gradient")
      guard names.contains("gradient.\(parameter.name)") else { continue }
      #expect(relativeError(found, try golden.tensor("gradient.\(parameter.name)")) < tolerance, "\(parameter.name)")
      checked += 1
    }
    #expect(checked == 3)
  }

  @Test(
    "the core steered by a condition encoder, and μ's gradient",
    arguments: ConditionEncoderConfiguration.Sees.allCases, native((.f32, 1e-4), (.bf16, 3e-2)))
  func blended(sees: ConditionEncoderConfiguration.Sees, _ precision: (DType, Float)) throws {
    let golden = try Golden()
    let unet = try golden.core()
    var configuration = ConditionEncoderConfiguration()
    configuration.sees = sees
    configuration.blend = sees == .condition ? .scalar : .channel
    let adapter = ConditionEncoder(configuration, core: .golden)
    try golden.load(adapter.parameters, prefix: "\(sees.rawValue).")
    let (z, c, r) = (try golden.tensor("z"), try golden.tensor("condition"), try golden.tensor("r"))
    var v = r
    let (_, gradients) = try withGradients {
      v = try steered(unet, by: adapter, z, c, golden.levels, precision.0)
      return try v.squaredError(to: r).loss
    }
    #expect(relativeError(v, try golden.tensor("v.\(sees.rawValue)")) < precision.1)
    let mu = try #require(gradients[adapter.mus[1]])
    #expect(relativeError(mu, try golden.tensor("gradient.\(sees.rawValue).mu.1")) < 10 * precision.1)
  }
}

/// The core's output with the adapter's features blended in.
func steered(
  _ unet: UNet, by adapter: ConditionEncoder, _ z: Tensor, _ condition: Tensor, _ levels: [NoiseLevel],
  _ precision: DType
) throws -> Tensor {
  let embedding = try unet.embed(levels)
  let core = try unet.encode(z, embedding, precision: precision)
  let mine = try adapter.encode(condition, noisy: z, levels, precision: precision)
  return try unet.decode(try adapter.blend(core, with: mine), embedding)
}
