internal import Adapters
internal import Bundles
internal import Foundation
internal import Tensor

/// Everything that a resumed run needs to go on to the same bits: weights, moments, averages, counters, and the numbers of
/// the next line of metrics.
enum Checkpoint {
  struct Progress: Equatable {
    var step = 0
    var samples = 0
    var pending = MetricsMean()
  }

  /// Writes beside the old checkpoint and renames, so that one whole checkpoint is there at any time.
  /// - Parameters:
  ///   - extra: further networks by name.
  ///   - identity: what the run depends on beside its recipe, for example the digest of its core.
  static func save(
    _ optimiser: AdamW, extra: [String: [Parameter]], _ progress: Progress, identity: [String: String], to url: URL
  ) throws {
    var tensors: [(name: String, tensor: Tensor)] = []
    for entry in optimiser.entries {
      tensors.append(("weight/\(entry.parameter.name)", entry.parameter.value))
      tensors.append(("first/\(entry.parameter.name)", entry.first))
      tensors.append(("second/\(entry.parameter.name)", entry.second))
      tensors.append(("average/\(entry.parameter.name)", entry.average))
    }
    for (network, parameters) in extra.sorted(by: { $0.key < $1.key }) {
      tensors += parameters.map { ("\(network)/\($0.name)", $0.value) }
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    var metadata = identity
    metadata["step"] = "\(progress.step)"
    metadata["samples"] = "\(progress.samples)"
    metadata["pending"] = String(decoding: try encoder.encode(progress.pending), as: UTF8.self)
    try SafetensorsWriter.write(Weights.entries(tensors), metadata: metadata, to: url.path)
  }

  /// Reads a whole checkpoint into the optimiser, its parameters and `extra`.
  /// - Throws: `TrainingError` for a damaged checkpoint, or one of another network or `identity`.
  static func load(
    into optimiser: AdamW, extra: [String: [Parameter]], identity: [String: String], from url: URL
  ) throws(TrainingError) -> Progress {
    do { return try read(into: optimiser, extra, identity, url) } catch let error as TrainingError { throw error } catch
    {
      let (place, reason) = (error as? BundleError).map { ($0.location, $0.reason) } ?? (url.path, "\(error)")
      throw TrainingError(
        .run, at: place, "The run cannot go on from its checkpoint: \(reason)",
        remedy: "Delete \(url.path) to start this run from the beginning, or name a new one with --run NAME.")
    }
  }

  private static func read(
    into optimiser: AdamW, _ extra: [String: [Parameter]], _ identity: [String: String], _ url: URL
  ) throws -> Progress {
    let file = try SafetensorsFile(path: url.path)
    guard let step = file.metadata["step"].flatMap({ Int($0) }), step >= 0,
      let samples = file.metadata["samples"].flatMap({ Int($0) }), samples >= 0
    else { throw BundleError(.invalidValue, at: url.path, "It does not say its step and samples.", remedy: "") }
    for (key, wanted) in identity.sorted(by: { $0.key < $1.key }) {
      let found = file.metadata[key]
      if found == wanted { continue }
      throw TrainingError(
        .run, at: url.path,
        "The run was started with \(found.map { "\(key) \($0)" } ?? "a \(key) that its checkpoint does not name"); "
          + "now it is \(wanted).",
        remedy: "Name a new run with --run NAME, or put back what it was started with.")
    }
    for entry in optimiser.entries {
      let (name, shape) = (entry.parameter.name, entry.parameter.shape)
      try entry.parameter.assign(try Weights.tensor("weight/\(name)", shape: shape, in: file))
      for (kind, state) in [("first", entry.first), ("second", entry.second), ("average", entry.average)] {
        state.overwrite(with: try Weights.tensor("\(kind)/\(name)", shape: shape, in: file).converted(to: .f32))
      }
    }
    for (network, parameters) in extra { try Weights.load(parameters, from: file, prefix: "\(network)/") }
    optimiser.step = step
    let pending = try file.metadata["pending"].map { try JSONDecoder().decode(MetricsMean.self, from: Data($0.utf8)) }
    return Progress(step: step, samples: samples, pending: pending ?? MetricsMean())
  }

  /// Removes the half-written checkpoints that a killed run left beside `url`.
  static func removeStale(beside url: URL) {
    let folder = url.deletingLastPathComponent()
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    where name.hasPrefix("\(url.lastPathComponent).") && name.hasSuffix(".tmp") {
      try? FileManager.default.removeItem(at: folder.appending(path: name))
    }
  }
}
