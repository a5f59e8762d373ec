import ArgumentParser
import Bundles
import Distillation
import Foundation
import Tensor

struct TrainCore: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "core", abstract: "Train an unconditional core.",
    discussion: "Example: codi train core Plugins/Cores/photo/recipe.yaml")

  @Argument(help: "The recipe, a YAML file.") var recipe: String
  @Option(help: "Name of the run folder below $CODI_RUNS.") var run: String?
  @Option(
    help: "Start from published weights: registry/NAME@VERSION, NAME@VERSION of the store, or a safetensors file.")
  var from: String?
  @Option(help: "Compute threads: a number, or auto for the cores that other programs leave free.")
  var threads: ThreadCount = .all
  @Flag(help: "No progress on stderr.") var quiet = false

  func run() async throws {
    let recipe = try CoreRecipe(parsing: try readText(recipe), source: recipe)
    let folder = RunFolder(named: run ?? recipe.runName)
    let (from, threads, quiet) = (from, threads, quiet)
    let end = try await Compute.run { () throws in
      let trainer = try CoreTrainer(
        recipe, in: folder, from: try from.map(StartingPoint.open), loading: ProgressBar.loading)
      ProgressBar.report(trainer.brokenPhotographs)
      let bar = ProgressBar(quiet: quiet)
      let end = try trainer.run(threads: threads, shouldStop: { Interruption.isRequested }) { bar.show($0) }
      bar.finish()
      return end
    }
    print(end == .finished ? "finished: \(folder.url.path)" : "stopped; the same command goes on: \(folder.url.path)")
  }
}

/// The text of a file, or the error that a user can act on.
func readText(_ path: String) throws -> String {
  do { return try String(contentsOfFile: path, encoding: .utf8) } catch {
    throw Exit.Failure(
      exit: .notFound, description: "\(path): \(error.localizedDescription) Check the path of the recipe.")
  }
}

extension ProgressBar {
  /// Says now and then how many pictures have been read.
  static let loading: @Sendable (Int, Int) -> Void = { done, total in
    if done % 1000 == 0 || done == total {
      FileHandle.standardError.write(Data("read \(done) of \(total) pictures\n".utf8))
    }
  }

  /// Counts and names the photographs that are left out.
  static func report(_ broken: [Photographs.Broken]) {
    guard !broken.isEmpty else { return }
    let shown = broken.prefix(20).map { "  \($0.name): \($0.reason)\n" }.joined()
    let rest = broken.count > 20 ? "  and \(broken.count - 20) more\n" : ""
    FileHandle.standardError.write(
      Data("pictures that cannot be used and are left out: \(broken.count)\n\(shown)\(rest)".utf8))
  }

  func show(_ p: TrainingProgress) {
    show(
      Double(p.samples) / Double(max(1, p.total)),
      "\(p.samples)/\(p.total) samples, loss \(String(format: "%.4f", p.loss)), "
        + "\(Int(p.samplesPerSecond)) samples/s, \(Self.duration(p.remaining)) left")
  }
}
