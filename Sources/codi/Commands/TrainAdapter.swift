import Adapters
import ArgumentParser
import Bundles
import Distillation
import Foundation
import Networks
import Registry
import Tensor

struct TrainAdapter: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "adapter", abstract: "Distil a conditional adapter for a frozen core, in a single stage.",
    discussion: "Example: codi train adapter Plugins/SuperResolution/recipe.yaml")

  @Argument(help: "The recipe, a YAML file; the task's manifest.yaml lies beside it.") var recipe: String
  @Option(help: "Name of the run folder below $CODI_RUNS.") var run: String?
  @Option(
    help: "Start from published weights: registry/NAME@VERSION, NAME@VERSION of the store, or a safetensors file.")
  var from: String?
  @Option(help: "The task's library instead of the lib<Task>.so that came with the program.") var library: String?
  @Option(help: "Compute threads: a number, or auto for the cores that other programs leave free.")
  var threads: ThreadCount = .all
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let parsed = try AdapterRecipe(parsing: try readText(recipe), source: recipe)
    let folder = RunFolder(named: run ?? parsed.runName)
    let manifest = try TaskManifest(
      at: URL(filePath: recipe).deletingLastPathComponent().appending(path: BundleEntry.manifest))
    guard manifest.condition.channels == parsed.encoder.conditionChannels else {
      throw TrainingError(
        .recipe, at: recipe,
        "encoder.condition-channels is \(parsed.encoder.conditionChannels), but the task's condition has "
          + "\(manifest.condition.channels).",
        remedy: "Write encoder: { condition-channels: \(manifest.condition.channels) }.")
    }
    let path = try library.map { URL(filePath: $0).absoluteURL.path } ?? Locations.taskLibrary(parsed.task.plugin)
    let (from, threads) = (from, threads)
    let ranks = try await Ranks.join()
    let report = TrainingReport(folder, output, ranks)
    let end = try await Compute.run { () throws in
      let store = Locations.store
      let core = try Core(try store.open(try store.resolve(try Reference(parsed.core))))
      let library = try PluginLibrary(path: path, abi: PluginLibrary.abi, task: manifest.task, halo: nil)
      var values = parsed.task.parameters.mapValues { ParameterValue.number($0) }
      for parameter in manifest.parameters ?? [] where values[parameter.name] == nil {
        values[parameter.name] = parameter.default.text.flatMap(parameter.value)
      }
      let plugin = try TaskPlugin(library, parameters: values, seed: parsed.training.seed)
      let trainer = try AdapterTrainer(
        parsed, core: core, plugin: plugin, inputs: manifest.condition.inputs, scale: manifest.geometry.scale,
        in: folder, from: try from.map(StartingPoint.open), ranks: ranks, loading: report.loading)
      report.start(
        leftOut: trainer.brokenPhotographs, wanted: parsed.training.precision, precision: trainer.precision)
      return try trainer.run(
        threads: threads, shouldStop: { Interruption.isRequested }, report: report.show, notice: report.notice)
    }
    await ranks.leave()
    try report.finish(end)
  }
}
