internal import Bundles
public import Foundation

/// The folder that holds everything needed to repeat, watch or resume a run.
///
/// `recipe.yaml` (resolved), `start.yaml` (for a run that did not start from fresh weights), `metrics.ndjson`, `loss.svg`, `diagnostics.svg`, `log.txt`, `sheets/*.png`, `checkpoint.safetensors`; a folder of the
/// same kind for an earlier stage; `core.safetensors` and `adapter.safetensors` of lab runs that change their core.
public struct RunFolder: Sendable {
  public let url: URL

  /// `$CODI_RUNS/name`, or the same below the XDG state folder.
  public init(named name: String) {
    let environment = ProcessInfo.processInfo.environment
    let root: URL
    if let given = environment["CODI_RUNS"], !given.isEmpty {
      root = URL(filePath: given)
    } else if let state = environment["XDG_STATE_HOME"], !state.isEmpty {
      root = URL(filePath: state).appending(path: "codi/runs")
    } else {
      root = FileManager.default.homeDirectoryForCurrentUser.appending(path: ".local/state/codi/runs")
    }
    url = root.appending(path: name)
  }

  public init(at url: URL) { self.url = url }

  public var recipe: URL { url.appending(path: "recipe.yaml") }
  public var metrics: URL { url.appending(path: "metrics.ndjson") }
  public var lossCurve: URL { url.appending(path: "loss.svg") }
  public var checkpoint: URL { url.appending(path: "checkpoint.safetensors") }
  /// What was measured while training, as curves with their limits, and what crossed one, in sentences.
  public var diagnosticsPlot: URL { url.appending(path: "diagnostics.svg") }
  public var log: URL { url.appending(path: "log.txt") }
  /// Weights of a lab run whose core is no bundle's.
  public var ownCore: URL { url.appending(path: "core.safetensors") }
  public var ownAdapter: URL { url.appending(path: "adapter.safetensors") }
  public var hasCheckpoint: Bool { FileManager.default.fileExists(atPath: checkpoint.path) }

  /// The folder of an earlier stage; this one for an empty name.
  func below(_ name: String) -> RunFolder { name.isEmpty ? self : RunFolder(at: url.appending(path: name)) }

  func sheet(at samples: Int) -> URL {
    url.appending(path: "sheets").appending(path: String(format: "%09d.png", samples))
  }

  /// Keeps the folder for one training while `body` runs; the lock is the system's, so it ends with the process.
  /// - Throws: `TrainingError` when another process trains there.
  func locked<R>(_ body: () throws -> R) throws -> R {
    let folder = open(url.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else {
      throw TrainingError(
        .run, at: url.path, "The run folder cannot be locked: \(String(cString: strerror(errno))).",
        remedy: "Set CODI_RUNS to a folder that can be written.")
    }
    defer { close(folder) }
    guard flock(folder, LOCK_EX | LOCK_NB) == 0 else {
      throw TrainingError(
        .run, at: url.path, "Another codi train is at work in this run folder.",
        remedy: "Wait for it, stop it, or name another run with --run NAME.")
    }
    // A program that is just being started may still have a copy of the descriptor, so closing alone would not do.
    defer { flock(folder, LOCK_UN) }
    return try body()
  }

  /// Refuses to mix two recipes in one run; nothing is written.
  ///
  /// Recipes are compared as values, so that a key that a newer program adds, with its default, does not end old runs.
  func check<Recipe: Equatable>(_ new: Recipe, parse: (String, String) throws -> Recipe) throws(TrainingError) {
    guard hasCheckpoint else { return }
    guard let old = try? String(contentsOf: recipe, encoding: .utf8) else {
      throw TrainingError(
        .run, at: recipe.path,
        "The run has a checkpoint, but its recipe cannot be read, so nobody knows what it is of.",
        remedy: "Put recipe.yaml back, or name a new run with --run NAME.")
    }
    guard (try? parse(old, recipe.path)) == new else {
      throw TrainingError(
        .run, at: url.path, "The run was started with another recipe.",
        remedy: "Name a new run with --run NAME, or delete the folder; recipe.yaml there shows the old settings.")
    }
  }

  /// Makes the folder and writes the resolved recipe and where the first weights came from.
  func prepare(recipe text: String, origin: Manifest.Training.Origin?) throws(TrainingError) {
    do {
      try FileManager.default.createDirectory(at: url.appending(path: "sheets"), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: recipe, options: .atomic)
      try record(origin)
    } catch {
      throw TrainingError(
        .run, at: url.path, "The run folder cannot be written: \(error.localizedDescription)",
        remedy: "Set CODI_RUNS to a folder that can be written.")
    }
  }
}
