public import Bundles
internal import Diffusion
internal import Foundation
public import Networks
internal import Tensor

/// Proof vectors: a tiny input with the outputs that the publisher saw. Run at install, they answer "does it work here, and
/// does it do anything?".
///
/// `proof.safetensors` holds float32 `input` `[1, S, S, 3]` and `core-output`; an adapter's also `condition`
/// `[1, S, S, K]` and `adapted-output`. Metadata: `time`, and `tolerance` relative to the largest output.
public enum Proof {
  /// Largest relative difference allowed between CPUs and library versions, all in float32.
  private static let tolerance: Float = 2e-3
  private static let time = 0.5

  /// Writes the vectors of a core, or of an adapter on it.
  public static func write(core: UNet, encoder: ConditionEncoder? = nil, to path: String) throws {
    let side = side(core)
    let noise = NoiseStream(key: 2310_01407)
    let z = noise.normal(draw: 0, height: side, width: side, channels: core.configuration.pictureChannels)
    let level = core.configuration.schedule.level(at: time)
    var tensors = [("input", z), ("core-output", try core(z, [level], precision: .f32))]
    if let encoder {
      let c = noise.normal(draw: 1, height: side, width: side, channels: encoder.configuration.conditionChannels)
      tensors.append(("condition", c))
      let adapted = ConditionalDenoiser(core: core, encoder: encoder, precision: .f32)
      tensors.append(("adapted-output", try adapted(z, c, [level])))
    }
    try SafetensorsWriter.write(
      Weights.entries(tensors.map { (name: $0.0, tensor: $0.1) }),
      metadata: ["time": "\(time)", "tolerance": "\(tolerance)"], to: path)
  }

  /// Recomputes the vectors of an unpacked bundle; `core` is the adapter's, `nil` for a core.
  /// - Throws: `BundleError` when an output differs, or when an adapter changes nothing.
  public static func check(_ bundle: InstalledBundle, core coreBundle: InstalledBundle?) throws {
    let path = bundle.url(of: BundleEntry.proof).path
    guard FileManager.default.fileExists(atPath: path) else {
      throw BundleError(
        .missingEntry, at: "\(bundle.manifest.name)@\(bundle.manifest.version)",
        "The bundle has no \(BundleEntry.proof), so nothing tells whether it works here.",
        remedy: "Ask the publisher to pack it with codi pack.")
    }
    let file = try SafetensorsFile(path: path)
    guard let time = file.metadata["time"].flatMap(Double.init), (0...1).contains(time),
      let tolerance = file.metadata["tolerance"].flatMap(Float.init), tolerance > 0, tolerance < 0.1
    else {
      throw BundleError(
        .invalidValue, at: path, "time and tolerance are missing or out of range.",
        remedy: "Ask the publisher to pack it again.")
    }
    let core = try Core(coreBundle ?? bundle)
    // A stranger's input decides how long an install takes: no larger than what `write` makes.
    let shape = try file.entry("input").shape
    let longest = side(core.network)
    guard shape.count == 4, shape[0] == 1, shape[3] == core.network.configuration.pictureChannels,
      shape[1...2].allSatisfy({ (1...longest).contains($0) && $0 % core.network.configuration.granularity == 0 })
    else {
      throw BundleError(
        .wrongShape, at: "\(path): input",
        "It is \(shape), it should be [1, S, S, \(core.network.configuration.pictureChannels)] with S up to \(longest) in steps of \(core.network.configuration.granularity).",
        remedy: "Ask the publisher to pack it again.")
    }
    let z = try tensor("input", file)
    let level = core.network.configuration.schedule.level(at: time)
    let own = try core.network(z, [level], precision: .f32)
    try compare(own, try tensor("core-output", file), tolerance, "core-output", path)
    guard coreBundle != nil else { return }
    let adapter = try Adapter(bundle, core: core)
    let condition = try file.entry("condition").shape
    let channels = adapter.encoder.configuration.conditionChannels
    guard condition == [1, shape[1], shape[2], channels] else {
      throw BundleError(
        .wrongShape, at: "\(path): condition",
        "It is \(condition), it should be [1, \(shape[1]), \(shape[2]), \(channels)].",
        remedy: "Ask the publisher to pack it again.")
    }
    let adapted = try adapter.denoiser(precision: .f32)(z, try tensor("condition", file), [level])
    try compare(adapted, try tensor("adapted-output", file), tolerance, "adapted-output", path)
    let size = own.floats().map(abs).max() ?? 0
    guard adapted.largestDifference(from: own) > 1e-3 * size else {
      throw BundleError(
        .invalidValue, at: path, "With the adapter the network's output is the core's own: it does nothing.",
        remedy: "Ask the publisher; nothing was installed.")
    }
  }

  /// Height and width of the input.
  private static func side(_ core: UNet) -> Int { max(core.configuration.granularity * 4, 16) }

  private static func tensor(_ name: String, _ file: SafetensorsFile) throws(BundleError) -> Tensor {
    try Weights.tensor(name, shape: try file.entry(name).shape, in: file)
  }

  private static func compare(
    _ found: Tensor, _ expected: Tensor, _ tolerance: Float, _ name: String, _ path: String
  ) throws(BundleError) {
    let size = expected.floats().map(abs).max() ?? 0
    // A NaN is no difference in comparisons, so it is asked for by name.
    let isComparable = found.shape == expected.shape && (found.floats() + expected.floats()).allSatisfy(\.isFinite)
    let difference = isComparable ? found.largestDifference(from: expected) : .infinity
    guard difference <= tolerance * max(size, 1e-6) else {
      throw BundleError(
        .invalidValue, at: "\(path): \(name)",
        "This machine computes something else: the largest difference is \(difference), allowed is \(tolerance * size).",
        remedy:
          "Download the bundle again; if it stays, tell the publisher, with the CPU and the version of oneDNN (codi bench --json)."
      )
    }
  }
}
