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
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let recipe = try CoreRecipe(parsing: try readText(recipe), source: recipe)
    let folder = RunFolder(named: run ?? recipe.runName)
    let (from, threads) = (from, threads)
    let ranks = try await Ranks.join()
    let report = TrainingReport(folder, output, ranks)
    let end = try await Compute.run { () throws in
      let trainer = try CoreTrainer(
        recipe, in: folder, from: try from.map(StartingPoint.open), ranks: ranks, loading: report.loading)
      report.start(
        leftOut: trainer.brokenPhotographs, wanted: recipe.training.precision, precision: trainer.precision)
      return try trainer.run(threads: threads, shouldStop: { Interruption.isRequested }) { report.show($0) }
    }
    await ranks.leave()
    try report.finish(end)
  }
}

/// The text of a file, or the error that a user can act on.
func readText(_ path: String) throws -> String {
  do { return try String(contentsOfFile: path, encoding: .utf8) } catch {
    throw Exit.Failure(
      exit: .notFound, description: "\(path): \(error.localizedDescription) Check the path of the recipe.")
  }
}
