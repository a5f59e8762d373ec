import Adapters
import Bundles
import Distillation
import Foundation
import Networks
import Registry
import Tensor

/// The smallest runs that still have every part: two levels, 16 × 16 drawn pictures, float32.
enum Toy {
  static func coreRecipe(steps: Int = 24, batch: Int = 8) -> CoreRecipe {
    var recipe = CoreRecipe()
    recipe.name = "demo/toy"
    recipe.summary = "A toy core of drawn pictures."
    recipe.network.channels = [8, 16]
    recipe.network.blocks = [1, 1]
    recipe.network.embedding = 16
    recipe.network.nativeSize = 16
    recipe.data = drawn(batch: batch)
    recipe.training = training(steps: steps, batch: batch)
    recipe.training.rate = 6e-3
    return recipe
  }

  static func adapterRecipe(steps: Int = 24, batch: Int = 8) -> AdapterRecipe {
    var recipe = AdapterRecipe()
    recipe.name = "demo/toy-super-resolution"
    recipe.core = "demo/toy"
    recipe.task.plugin = "SuperResolution"
    recipe.data = drawn(batch: batch)
    recipe.training = training(steps: steps, batch: batch)
    recipe.training.rate = 2e-3
    return recipe
  }

  private static func drawn(batch: Int) -> TrainingData {
    var data = TrainingData()
    data.crops.sizes = [.init(size: 16, weight: 1, batch: batch)]
    return data
  }

  private static func training(steps: Int, batch: Int) -> TrainingOptions {
    var training = TrainingOptions()
    training.samples = steps * batch
    training.warmUp = 10
    training.averageDecay = 0.99
    training.precision = .f32
    training.sheetEvery = 0
    training.logEvery = 5
    return training
  }

  /// The repository, for recipes, cards and the licence.
  static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  static let products = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
  static let library = products.appending(path: "libSuperResolution.so")
  static let license = repository.appending(path: "LICENSE")

  /// Trains in a new trainer, as a new process would.
  /// - Parameter stopAfter: steps after which a stop is asked for.
  @Compute @discardableResult
  static func train(
    _ recipe: CoreRecipe, in folder: RunFolder, from start: StartingPoint? = nil, stopAfter: Int? = nil,
    beforeStep: @escaping (Int) throws -> Void = { _ in }
  ) throws -> TrainingEnd {
    try run(stopAfter, beforeStep, try CoreTrainer(recipe, in: folder, from: start).run)
  }

  @Compute @discardableResult
  static func train(
    _ recipe: AdapterRecipe, on core: Core, in folder: RunFolder, stopAfter: Int? = nil
  ) throws -> TrainingEnd {
    let trainer = try trainer(recipe, on: core, in: folder)
    return try run(stopAfter, { _ in }, { try trainer.run(threads: $0, shouldStop: $1, report: $2) })
  }

  @Compute static func trainer(_ recipe: AdapterRecipe, on core: Core, in folder: RunFolder) throws -> AdapterTrainer {
    let library = try PluginLibrary(path: library.path, abi: PluginLibrary.abi, task: "super-resolution", halo: nil)
    return try AdapterTrainer(recipe, core: core, plugin: try TaskPlugin(library), scale: 4, in: folder)
  }

  @Compute private static func run(
    _ stopAfter: Int?, _ beforeStep: @escaping (Int) throws -> Void,
    _ run: (ThreadCount, () -> Bool, (TrainingProgress) -> Void) throws -> TrainingEnd
  ) throws -> TrainingEnd {
    var steps = 0
    var failure: (any Error)?
    let end = try run(
      .all,
      {
        do { try beforeStep(steps) } catch { failure = error }
        defer { steps += 1 }
        return failure != nil || steps == stopAfter
      }, { _ in })
    if let failure { throw failure }
    return end
  }

  /// A core trained for a moment, packed: the bytes of its bundle.
  @Compute private static let packedCore = Result {
    try withFolder { path in
      let folder = RunFolder(at: URL(filePath: "\(path)/run"))
      try train(coreRecipe(steps: 200, batch: 16), in: folder)
      let source = repository.appending(path: "Plugins/Cores/tiny")
      _ = try RunPacker(folder, source: source, license: license).packCore(to: "\(path)/core.codi")
      return try Data(contentsOf: URL(filePath: "\(path)/core.codi"))
    }
  }

  /// The toy core's bundle, written into `folder`.
  @Compute static func writeCore(in folder: String) throws -> String {
    let path = "\(folder)/core.codi"
    try packedCore.get().write(to: URL(filePath: path))
    return path
  }

  /// The toy core's bundle, unpacked in `folder`.
  @Compute static func coreBundle(in folder: String) throws -> InstalledBundle {
    try BundleReader(path: try writeCore(in: folder)).extract(to: URL(filePath: "\(folder)/core"))
  }
}

extension RunFolder {
  func open() throws -> SafetensorsFile { try SafetensorsFile(path: checkpoint.path) }

  /// The metrics without the one number that no two runs share.
  func lines() throws -> [MetricsLine] {
    try String(contentsOf: metrics, encoding: .utf8).split(separator: "\n").map {
      var line = try JSONDecoder().decode(MetricsLine.self, from: Data($0.utf8))
      line.values["seconds"] = nil
      return line
    }
  }
}

extension SafetensorsFile {
  /// Names of tensors that are not the same bytes in `other`, or are not in both.
  func differences(from other: SafetensorsFile) -> [String] {
    Set(names).union(other.names).sorted().filter { name in
      guard let mine = self[name], let theirs = other[name] else { return true }
      return mine.shape != theirs.shape || mine.dtype != theirs.dtype
        || !mine.withBytes { a in theirs.withBytes { b in a.elementsEqual(b) } }
    }
  }

  func floats(_ name: String) throws -> [Float] {
    let entry = try entry(name)
    return try Weights.tensor(name, shape: entry.shape, in: self).floats()
  }

  /// Names that begin with `prefix`, without it.
  func names(below prefix: String) -> [String] {
    names.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
  }
}
