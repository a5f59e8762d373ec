public import Bundles
public import Diffusion
internal import Foundation
public import Networks
public import Tensor

/// An adapter opened from an installed bundle, fitted to its core.
public struct Adapter: Sendable {
  public let manifest: Manifest
  public let core: Core
  public let encoder: ConditionEncoder

  /// Loads every tensor of the adapter, frozen.
  /// - Throws: `BundleError` when the adapter was made for another core, or when weights and configuration do not match
  ///   completely.
  public init(_ bundle: InstalledBundle, core: Core) throws(BundleError) {
    manifest = bundle.manifest
    self.core = core
    let reference = "\(manifest.name)@\(manifest.version)"
    let place = bundle.directory.path
    guard manifest.kind == .adapter, let condition = manifest.condition else {
      throw BundleError(
        .invalidValue, at: place, "\(reference) is a core, not an adapter.",
        remedy: "Name an adapter; codi list shows them.")
    }
    guard manifest.requires.coreDigest == core.digest else {
      throw BundleError(
        .wrongShape, at: reference,
        "It was made for \(manifest.requires.core ?? "another core") with digest \(manifest.requires.coreDigest ?? "unknown"); "
          + "installed is \(core.reference) with \(core.digest).",
        remedy: "Run `codi install \(reference)`: it brings the core that the adapter was made for.")
    }
    var configuration = ConditionEncoderConfiguration()
    if let section = manifest.encoder {
      configuration = try Options.decode(
        ConditionEncoderConfiguration.self, from: section, defaults: configuration,
        source: "\(place)/\(BundleEntry.manifest)")
    }
    guard configuration.conditionChannels == condition.channels else {
      throw BundleError(
        .invalidValue, at: "\(place)/\(BundleEntry.manifest)",
        "encoder.condition-channels is \(configuration.conditionChannels), condition.channels is \(condition.channels).",
        remedy: "Ask the publisher for a mended adapter.")
    }
    encoder = ConditionEncoder(configuration, core: core.network.configuration, seed: nil)
    try Weights.load(encoder.parameters, from: try SafetensorsFile(path: bundle.weights.path))
    for parameter in encoder.parameters { parameter.isTrainable = false }
  }

  /// The conditional network.
  public func denoiser(precision: DType) -> ConditionalDenoiser {
    ConditionalDenoiser(core: core.network, encoder: encoder, precision: precision)
  }

  /// How to sample with this adapter in `steps` steps.
  /// - Parameter given: another predictor than the manifest's.
  /// - Throws: `BundleError` when the manifest names a predictor that this program does not know.
  public func sampler(steps: Int, predictor given: Predictor? = nil) throws(BundleError) -> Sampler {
    let sampling = manifest.sampling
    guard let predictor = given ?? Predictor(rawValue: sampling?.predictor ?? "ddim") else {
      throw BundleError(
        .invalidValue, at: "\(manifest.name)@\(manifest.version): sampling.predictor",
        "\"\(sampling?.predictor ?? "")\" is unknown; this program has "
          + Predictor.allCases.map(\.rawValue).joined(separator: ", ") + ".", remedy: "Update codi.")
    }
    return Sampler(
      schedule: core.network.configuration.schedule, parameterisation: core.network.configuration.parameterisation,
      predictor: predictor, steps: steps, start: sampling?.start ?? 1)
  }
}
