public import Adapters
public import Bundles
internal import Diffusion
public import Foundation
internal import Networks
internal import Registry
internal import Tensor

/// Makes a bundle of a finished or running run: the averaged weights of its checkpoint in bfloat16, with everything that a
/// bundle needs beside them.
public struct RunPacker: Sendable {
  public let folder: RunFolder
  /// Folder with `card.md`, and for an adapter `manifest.yaml`: `Plugins/TASK` or `Plugins/Cores/NAME`.
  public let source: URL
  /// Text of the licence that goes along.
  public let license: URL

  public init(_ folder: RunFolder, source: URL, license: URL) {
    self.folder = folder
    self.source = source
    self.license = license
  }

  /// Packs a core.
  /// - Parameter metrics: measured figures for the manifest.
  /// - Returns: the manifest as packed.
  public func packCore(to path: String, metrics: [Manifest.Metric] = []) throws -> Manifest {
    let text = try recipeText()
    let recipe = try CoreRecipe(parsing: text, source: folder.recipe.path)
    let from = try origin(recipe.training)
    let network = UNet(recipe.network)
    let samples = try loadAverages(into: network.parameters)
    return try withWorkFolder { work in
      let files = try writeWeights(network.parameters, work)
      try Proof.write(core: network, to: work.appending(path: BundleEntry.proof).path)
      let manifest = Manifest(
        kind: .core, name: recipe.name, version: try version(recipe.version), task: "unconditional",
        summary: recipe.summary, license: recipe.license,
        requires: .init(codi: Self.oldestProgram), network: try Options.encode(recipe.network),
        weights: .init(sha256: "", parameters: 0),
        training: .init(method: "v-prediction", samplesSeen: samples, from: from, data: try described(recipe.data)),
        metrics: metrics)
      return try BundleWriter.pack(manifest, files: files + (try common(text, metrics, work)), to: path)
    }
  }

  /// Packs an adapter.
  /// - Parameters:
  ///   - core: the core that the run steered.
  ///   - library: the task's self-contained library for this platform, see `.ci/build-plugin`.
  public func packAdapter(
    core: Core, library: URL, toolchain: String, to path: String, metrics: [Manifest.Metric] = []
  ) throws -> Manifest {
    let text = try recipeText()
    let recipe = try AdapterRecipe(parsing: text, source: folder.recipe.path)
    if let problem = recipe.labOnly {
      throw TrainingError(
        .recipe, at: folder.recipe.path, "This is a run of the lab: \(problem).",
        remedy: "Train the recipe with method: codi and trains: adapter to ship it.")
    }
    let from = try origin(recipe.training)
    let encoder = ConditionEncoder(recipe.encoder, core: core.network.configuration)
    let samples = try loadAverages(into: encoder.parameters, on: core)
    let template = try TaskManifest(at: source.appending(path: BundleEntry.manifest))
    return try withWorkFolder { work in
      var files = try writeWeights(encoder.parameters, work)
      try Proof.write(core: core.network, encoder: encoder, to: work.appending(path: BundleEntry.proof).path)
      let platform = InstalledBundle.platform
      let entry = BundleEntry.library(recipe.task.plugin, platform: platform)
      files.append((entry, .file(path: library.path)))
      let manifest = Manifest(
        kind: .adapter, name: recipe.name, version: try version(recipe.version), task: template.task,
        summary: template.summary, license: template.license,
        requires: .init(
          codi: Self.oldestProgram, core: core.reference.split(separator: "@").first.map(String.init),
          coreDigest: core.digest), condition: template.condition, geometry: template.geometry,
        encoder: try Options.encode(recipe.encoder), parameters: template.parameters ?? [],
        sampling: .init(
          steps: recipe.sampling.steps, defaultSteps: recipe.sampling.defaultSteps,
          predictor: recipe.sampling.predictor.rawValue, start: recipe.sampling.start),
        weights: .init(sha256: "", parameters: 0),
        plugin: .init(abi: PluginLibrary.abi, toolchain: toolchain, libraries: [platform: entry]),
        training: .init(
          method: recipe.method.rawValue, samplesSeen: samples, from: from, data: try described(recipe.data)),
        metrics: metrics)
      return try BundleWriter.pack(manifest, files: files + (try common(text, metrics, work)), to: path)
    }
  }

  /// Bundles of format 1 work from the first release on.
  private static let oldestProgram = VersionRequirement(">=0.1.0") ?? .any

  private func version(_ text: String) throws(TrainingError) -> SemanticVersion {
    guard let version = SemanticVersion(text) else {
      throw TrainingError(
        .recipe, at: folder.recipe.path, "version \"\(text)\" is no semantic version.",
        remedy: "Write 1.0.0, for example.")
    }
    return version
  }

  private func recipeText() throws(TrainingError) -> String {
    do { return try String(contentsOf: folder.recipe, encoding: .utf8) } catch {
      throw TrainingError(
        .run, at: folder.url.path, "There is no run here: \(error.localizedDescription)",
        remedy: "Name a run folder below CODI_RUNS; codi train makes them.")
    }
  }

  /// Where the run started; a recipe that counts samples before it needs a run folder that knows of them.
  private func origin(_ options: TrainingOptions) throws -> Manifest.Training.Origin? {
    let origin = try folder.origin()
    guard origin == nil, options.samplesBefore != nil else { return origin }
    throw TrainingError(
      .run, at: folder.start.path, "The recipe counts samples before this run, but nothing says of which weights.",
      remedy: "Run codi train once more with --from BUNDLE: a finished run is left as it is, and its start is written.")
  }

  /// - Parameter core: the core of an adapter's run.
  /// - Returns: the samples that the checkpoint has seen.
  private func loadAverages(into parameters: [Parameter], on core: Core? = nil) throws -> Int {
    let file = try SafetensorsFile(path: folder.checkpoint.path)
    if let core, let trained = file.metadata[AdapterTrainer.coreKey], trained != core.digest {
      throw TrainingError(
        .run, at: folder.checkpoint.path,
        "The run steers a core with digest \(trained); \(core.reference) has \(core.digest).",
        remedy: "Install the core that it was trained on, or train a new run with --run NAME.")
    }
    try Weights.load(parameters, from: file, prefix: "average/")
    return file.metadata["samples"].flatMap { Int($0) } ?? 0
  }

  /// Rounds the parameters to bfloat16, in place and on disk, so that the proof is made with what is shipped.
  private func writeWeights(_ parameters: [Parameter], _ work: URL) throws -> [(name: String, source: ZipWriter.Source)]
  {
    for parameter in parameters { try parameter.assign(parameter.value.converted(to: .bf16)) }
    let url = work.appending(path: BundleEntry.weights)
    try SafetensorsWriter.write(
      Weights.entries(parameters.map { (name: $0.name, tensor: $0.value) }, as: .bf16), to: url.path)
    return [(BundleEntry.weights, .file(path: url.path))]
  }

  private func common(
    _ recipe: String, _ metrics: [Manifest.Metric], _ work: URL
  ) throws -> [(name: String, source: ZipWriter.Source)] {
    var files: [(name: String, source: ZipWriter.Source)] = [
      (BundleEntry.recipe, .data(Data(recipe.utf8))), (BundleEntry.card, .data(try card(metrics))),
      (BundleEntry.license, .file(path: license.path)),
      (BundleEntry.proof, .file(path: work.appending(path: BundleEntry.proof).path)),
    ]
    let examples = source.appending(path: "examples")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: examples.path)) ?? []
    for name in names.sorted() where name.hasSuffix(".png") {
      files.append(("examples/\(name)", .file(path: examples.appending(path: name).path)))
    }
    return files
  }

  /// The card, with a table of what was measured.
  private func card(_ metrics: [Manifest.Metric]) throws -> Data {
    let url = source.appending(path: BundleEntry.card)
    var text: String
    do { text = try String(contentsOf: url, encoding: .utf8) } catch {
      throw BundleError(
        .inputOutput, at: url.path, "The card cannot be read: \(error.localizedDescription)",
        remedy: "Name the task's folder with --source; it needs a card.md.")
    }
    if !metrics.isEmpty {
      text += "\n## Measured\n\n| suite | steps | metric | mean | 95 % interval | n |\n|---|---|---|---|---|---|\n"
      for m in metrics {
        let interval = m.ci95.map { ends in ends.map { String(format: "%.3f", $0) }.joined(separator: " to ") } ?? "–"
        text += "| \(m.suite) | \(m.steps) | \(m.name) | \(String(format: "%.3f", m.value)) | \(interval) | \(m.n) |\n"
      }
    }
    return Data(text.utf8)
  }

  /// The recipe's photographs, and what the program draws itself.
  private func described(_ data: TrainingData) throws -> [Manifest.Training.Data] {
    let own = Manifest.Training.Data(name: "pictures drawn by codi", license: "Apache-2.0")
    return data.photographs.map {
      Manifest.Training.Data(
        name: URL(filePath: $0.path).lastPathComponent, license: $0.license, source: $0.source, sha256: $0.sha256)
    } + [own]
  }

  private func withWorkFolder<R>(_ body: (URL) throws -> R) throws -> R {
    let work = FileManager.default.temporaryDirectory.appending(path: "codi-pack-\(UInt64.random(in: 0 ... .max))")
    try FileManager.default.createDirectory(at: work, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: work) }
    return try body(work)
  }
}

/// The part of a task's `manifest.yaml` that does not come from a run.
public struct TaskManifest: Codable, Sendable {
  public var format: Int?
  public var kind: Manifest.Kind?
  public var task: String
  public var summary: String
  public var license: String
  public var condition: Manifest.Condition
  public var geometry: Manifest.Geometry
  public var parameters: [Manifest.Parameter]?

  public init(at url: URL) throws {
    let data: Data
    do { data = try Data(contentsOf: url) } catch {
      throw TrainingError(
        .recipe, at: url.path, "The task's manifest cannot be read: \(error.localizedDescription)",
        remedy: "Name the task's folder with --source.")
    }
    self = try Options.decode(TaskManifest.self, from: try YAML.parse(data, source: url.path), source: url.path)
  }
}
