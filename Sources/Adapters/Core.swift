public import Bundles
internal import Foundation
public import Networks
internal import Tensor

/// A core opened from an installed bundle: the frozen network and what identifies it.
public struct Core: Sendable {
  /// `publisher/name@version`.
  public let reference: String
  /// What adapters name to say that they fit; see `Manifest.coreDigest(network:weightsSHA256:)`.
  public let digest: String
  public let network: UNet

  /// Reads the configuration and loads every tensor, frozen.
  /// - Throws: `BundleError` when the bundle is no core, or when weights and configuration do not match completely.
  public init(_ bundle: InstalledBundle) throws(BundleError) {
    let manifest = bundle.manifest
    let place = bundle.directory.path
    reference = "\(manifest.name)@\(manifest.version)"
    guard manifest.kind == .core, let section = manifest.network, let digest = manifest.coreDigest else {
      throw BundleError(
        .invalidValue, at: place, "\(reference) is an adapter, not a core.",
        remedy: "Name a core, for example codi/photo.")
    }
    let configuration = try Options.decode(
      UNetConfiguration.self, from: section, defaults: UNetConfiguration(), source: "\(place)/\(BundleEntry.manifest)")
    if let problem = configuration.problem {
      throw BundleError(
        .invalidValue, at: "\(place): network", "\(problem).", remedy: "Ask the publisher for a mended core.")
    }
    self.digest = digest
    let weights = try SafetensorsFile(path: bundle.weights.path)
    // Before memory is asked for: a manifest of a few lines can describe a network of many gigabytes.
    let found = weights.elementCount
    guard found == configuration.parameterCount else {
      throw BundleError(
        .wrongShape, at: weights.path,
        "The weights are \(found) numbers, the network that the manifest describes has \(configuration.parameterCount).",
        remedy: "Ask the publisher for a mended core.")
    }
    network = UNet(configuration, seed: nil)
    try Weights.load(network.parameters, from: weights)
    for parameter in network.parameters { parameter.isTrainable = false }
  }
}
