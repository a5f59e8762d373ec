import Bundles
import Diffusion
import Foundation
import Glibc
import Networks
import Tensor
import Testing

/// The types that this CPU computes with: without bfloat16, tests run in float32 alone.
let nativeTypes = DType.allCases.filter { $0.onThisCPU == $0 }

/// Those of `tolerances` whose type this CPU has.
func native(_ tolerances: (DType, Float)...) -> [(DType, Float)] { tolerances.filter { nativeTypes.contains($0.0) } }

/// What `Fixtures/unet_golden.py` wrote; versions and seed are in that script.
struct Golden {
  private let file: SafetensorsFile

  init() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures")
    file = try SafetensorsFile(path: folder.appendingPathComponent("unet_golden.safetensors").path)
  }

  func tensor(_ name: String) throws -> Tensor {
    let entry = try file.entry(name)
    return try entry.withBytes { try Tensor(copying: $0, shape: entry.shape, dtype: .f32) }
  }

  func names(_ prefix: String) -> [String] { file.names.filter { $0.hasPrefix(prefix) } }

  /// Every parameter gets a value, and every value under `prefix` goes to a parameter.
  func load(_ parameters: [Parameter], prefix: String) throws {
    #expect(Set(parameters.map { prefix + $0.name }) == Set(names(prefix)))
    for parameter in parameters { try parameter.assign(try tensor(prefix + parameter.name)) }
  }

  func core() throws -> UNet {
    let unet = UNet(.golden)
    try load(unet.parameters, prefix: "unet.")
    return unet
  }

  let levels = [0.3, 0.9].map { Schedule.cosineAngle.level(at: $0) }
}

extension UNetConfiguration {
  /// The fixture's: three levels, one with two blocks.
  static var golden: UNetConfiguration {
    var c = UNetConfiguration()
    (c.channels, c.blocks, c.middle, c.embedding, c.fold, c.nativeSize) = ([8, 12, 16], [1, 2, 1], 1, 16, 2, 32)
    return c
  }
}

/// A core with nothing left at zero, so that every operation has a say in its output.
func randomCore(_ configuration: UNetConfiguration) throws -> UNet {
  let unet = UNet(configuration, seed: 5)
  try fillZeros(of: unet.parameters)
  return unet
}

/// Gives parameters that start at zero small random values.
func fillZeros(of parameters: [Parameter]) throws {
  for parameter in parameters where parameter.value.squaredNorm == 0 {
    let stream = NoiseStream(seed: 9, digest: Array(parameter.name.utf8))
    let values = stream.normal(draw: 0, height: 1, width: parameter.value.count, channels: 1)
    let fanIn = Float(parameter.shape.dropFirst().reduce(1, *))
    try parameter.assign(try values.scaled(0.5 / fanIn.squareRoot()).reshaped(parameter.shape))
  }
}

/// Noise for a batch, `[B, H, W, 3]`.
func pictures(_ batch: Int, _ height: Int, _ width: Int, seed: UInt64 = 1) -> Tensor {
  let streams = (0..<batch).map { NoiseStream(seed: seed, digest: []).derived(UInt64($0)) }
  return NoiseStream.normal(streams, draw: 0, height: height, width: width, channels: 3)
}

/// Largest absolute difference over the largest absolute value of what was expected.
func relativeError(_ found: Tensor, _ expected: Tensor) -> Float {
  found.largestDifference(from: expected) / (expected.floats().map(abs).max() ?? 1)
}

func sameBits(_ a: Tensor, _ b: Tensor) -> Bool {
  a.shape == b.shape && a.dtype == b.dtype && a.withBytes { x in b.withBytes { y in x.elementsEqual(y) } }
}

/// Runs `body` with so many compute threads.
@Compute func withThreads<R>(_ threads: Int, _ body: () throws -> R) rethrows -> R {
  let before = Compute.threads
  Compute.threads = threads
  defer { Compute.threads = before }
  return try body()
}
