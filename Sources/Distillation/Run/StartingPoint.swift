public import Bundles
public import Foundation

/// Weights that a run starts from instead of fresh ones, and where they come from: what `--from` names.
public struct StartingPoint: Sendable {
  public let weights: SafetensorsFile
  private let name: String?
  private let version: SemanticVersion?
  private let sha256: String
  /// Samples in all, as far as the bundle's manifest knows.
  private let samplesSeen: Int?

  /// The weights of a core or an adapter. The mapping keeps the file's bytes when the folder goes.
  public init(_ bundle: InstalledBundle) throws(BundleError) {
    weights = try SafetensorsFile(path: bundle.weights.path)
    (name, version) = (bundle.manifest.name, bundle.manifest.version)
    sha256 = bundle.manifest.weights.sha256
    samplesSeen = bundle.manifest.training.samplesInAll
  }

  /// A safetensors file, which says nothing about where it comes from.
  public init(file path: String) throws(BundleError) {
    weights = try SafetensorsFile(path: path)
    (name, version, samplesSeen) = (nil, nil, nil)
    sha256 = try SHA256.hex(ofFile: path)
  }

  /// What the run folder and the bundle will say.
  /// - Parameters:
  ///   - samplesBefore: the recipe's count, for weights whose manifest counts less than all of their samples.
  ///   - recorded: what the run folder says already.
  fileprivate func origin(
    samplesBefore: Int?, recorded: Manifest.Training.Origin?
  ) throws(TrainingError) -> Manifest.Training.Origin {
    let said = samplesSeen ?? 0
    if let samplesBefore, samplesBefore < said {
      throw TrainingError(
        .recipe, at: "training.samples-before",
        "It is \(samplesBefore), but \(name ?? "the manifest of the weights") says \(said) already.",
        remedy: "Correct it, or leave it out.")
    }
    guard let samples = samplesBefore ?? samplesSeen ?? recorded?.samplesSeen else {
      throw TrainingError(
        .recipe, at: weights.path, "Nothing says how many samples these weights have seen.",
        remedy: "Name a bundle with --from, or write training: { samples-before: N } into the recipe.")
    }
    return Manifest.Training.Origin(name: name, version: version, weightsSHA256: sha256, samplesSeen: samples)
  }
}

extension RunFolder {
  /// Where the first weights came from, for a run that did not start from fresh ones.
  public var start: URL { url.appending(path: "start.yaml") }

  /// What `start.yaml` says, `nil` without the file.
  public func origin() throws(BundleError) -> Manifest.Training.Origin? {
    guard FileManager.default.fileExists(atPath: start.path) else { return nil }
    let text: Data
    do { text = try Data(contentsOf: start) } catch {
      throw BundleError(
        .inputOutput, at: start.path, "It cannot be read: \(error.localizedDescription)",
        remedy: "Check the run folder's permissions.")
    }
    let node = try YAML.parse(text, source: start.path)
    return try Options.decode(Manifest.Training.Origin.self, from: node, source: start.path)
  }

  /// The origin of the run that begins or goes on; nothing is written.
  ///
  /// A run of a program that did not record it yet takes the word of whoever resumes it.
  /// - Throws: `TrainingError` when the run was started from other weights, or the recipe counts samples of weights that
  ///   nobody named.
  func origin(of given: StartingPoint?, samplesBefore: Int?) throws -> Manifest.Training.Origin? {
    let recorded = try hasCheckpoint ? self.origin() : nil
    guard var origin = try given?.origin(samplesBefore: samplesBefore, recorded: recorded) ?? recorded else {
      guard let samplesBefore else { return nil }
      throw TrainingError(
        .recipe, at: "training.samples-before",
        "The recipe counts \(samplesBefore) samples before this run, but it starts from fresh weights.",
        remedy: "Name the weights with --from, or take the line out of the recipe.")
    }
    if let recorded, recorded.weightsSHA256 != origin.weightsSHA256 {
      throw TrainingError(
        .run, at: start.path, "The run was started from \(recorded); now it is \(origin).",
        remedy: "Name a new run with --run NAME, or leave --from out to go on.")
    }
    if let samplesBefore { origin.samplesSeen = samplesBefore }
    return origin
  }

  /// Writes `start.yaml`, or removes that of an earlier run.
  func record(_ origin: Manifest.Training.Origin?) throws {
    if let origin {
      try Data(YAML.write(try Options.encode(origin)).utf8).write(to: start, options: .atomic)
    } else if FileManager.default.fileExists(atPath: start.path) {
      try FileManager.default.removeItem(at: start)
    }
  }
}
