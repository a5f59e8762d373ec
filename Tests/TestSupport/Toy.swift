public import Adapters
public import Bundles
public import Foundation
public import Networks
public import Registry
internal import Tensor

/// A toy core and a super-resolution adapter for it: random weights, everything else as in a real bundle. Packed in a
/// fraction of a second, so that conversion and commands are tested without training.
public enum Toy {
  /// Where the built program and libraries lie: beside the test program.
  public static let products = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
  public static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  public static let library = products.appending(path: "libSuperResolution.so").path

  public static let network: UNetConfiguration = {
    var configuration = UNetConfiguration()
    configuration.channels = [8, 12, 16]
    configuration.blocks = [1, 1, 1]
    configuration.embedding = 16
    configuration.nativeSize = 32
    return configuration
  }()

  /// Everything that publishing asks for.
  private static let card = """
    # A toy

    Made for tests out of random weights: it shows that everything fits together, and what it makes of a picture is good
    for nothing at all.

    ## Measured
    Nothing.

    """
  private static let data = [Manifest.Training.Data(name: "nothing", license: "CC0-1.0")]

  /// Packs `toy/core@1.0.0`.
  @discardableResult
  public static func packCore(to path: String) throws -> Manifest {
    let core = UNet(network, seed: 1)
    try fill(core.parameters)
    let manifest = Manifest(
      kind: .core, name: "toy/core", version: SemanticVersion(1, 0, 0), task: "unconditional", summary: "A toy core.",
      license: "CC0-1.0", requires: .init(codi: .any), network: try Options.encode(network),
      weights: .init(sha256: "", parameters: 0), training: .init(method: "none", samplesSeen: 0, data: data))
    return try pack(manifest, core.parameters, to: path) { try Proof.write(core: core, to: $0) }
  }

  /// Packs `toy/enlarge@1.0.0` for the core in `corePath`.
  /// - Parameters:
  ///   - sees: what the encoder looks at.
  ///   - library: the task's library.
  @discardableResult
  public static func packAdapter(
    core corePath: String, to path: String, sees: ConditionEncoderConfiguration.Sees = .conditionAndNoisy,
    version: SemanticVersion = SemanticVersion(1, 0, 0), summary: String = "Enlarges four times, badly.",
    library: String = Toy.library
  ) throws -> Manifest {
    let core = UNet(network, seed: 1)
    try fill(core.parameters)
    var configuration = ConditionEncoderConfiguration()
    configuration.sees = sees
    configuration.blend = .channel
    let encoder = ConditionEncoder(configuration, core: network, seed: 2)
    try fill(encoder.parameters)
    let entry = BundleEntry.library("SuperResolution", platform: InstalledBundle.platform)
    let coreManifest = try BundleReader(path: corePath).manifest
    let manifest = Manifest(
      kind: .adapter, name: "toy/enlarge", version: version, task: "super-resolution",
      summary: summary, license: "CC0-1.0",
      requires: .init(codi: .any, core: coreManifest.name, coreDigest: coreManifest.coreDigest),
      condition: .init(inputs: [.init(name: "image", kind: .rgb)], channels: 3),
      geometry: .init(mode: .tile, scale: 4, halo: 40), encoder: try Options.encode(configuration),
      parameters: try TaskParameters.superResolution,
      sampling: .init(steps: [1, 2, 4], defaultSteps: 2, predictor: "ddim", start: 0.6),
      weights: .init(sha256: "", parameters: 0),
      plugin: .init(abi: 1, toolchain: "swift", libraries: [InstalledBundle.platform: entry]),
      training: .init(method: "none", samplesSeen: 0, data: data))
    return try pack(manifest, encoder.parameters, to: path, more: [(entry, .file(path: library))]) {
      try Proof.write(core: core, encoder: encoder, to: $0)
    }
  }

  /// Packs `toy/TASK@1.0.0` for the core in `corePath`: another task of the repository.
  /// - Parameter folder: the task's folder below `Plugins/`.
  @discardableResult
  public static func packTask(_ folder: String, core corePath: String, to path: String) throws -> Manifest {
    let task = try TaskParts(folder)
    let core = UNet(network, seed: 1)
    try fill(core.parameters)
    var configuration = ConditionEncoderConfiguration()
    configuration.blend = .channel
    configuration.conditionChannels = task.condition.channels
    let encoder = ConditionEncoder(configuration, core: network, seed: 2)
    try fill(encoder.parameters)
    let entry = BundleEntry.library(folder, platform: InstalledBundle.platform)
    let coreManifest = try BundleReader(path: corePath).manifest
    let manifest = Manifest(
      kind: .adapter, name: "toy/\(task.task)", version: SemanticVersion(1, 0, 0), task: task.task,
      summary: task.summary, license: "CC0-1.0",
      requires: .init(codi: .any, core: coreManifest.name, coreDigest: coreManifest.coreDigest),
      condition: task.condition, geometry: task.geometry, encoder: try Options.encode(configuration),
      parameters: task.parameters ?? [],
      sampling: .init(steps: [1, 2, 4], defaultSteps: 2, predictor: "ddim", start: 1),
      weights: .init(sha256: "", parameters: 0),
      plugin: .init(abi: 1, toolchain: "swift", libraries: [InstalledBundle.platform: entry]),
      training: .init(method: "none", samplesSeen: 0, data: data))
    let library = products.appending(path: "lib\(folder).so").path
    return try pack(manifest, encoder.parameters, to: path, more: [(entry, .file(path: library))]) {
      try Proof.write(core: core, encoder: encoder, to: $0)
    }
  }

  /// The same adapter, packed, unpacked and opened, with its plugin in this process.
  public static func task(
    _ name: String, _ values: [String: ParameterValue] = [:]
  ) throws -> (adapter: Adapter, plugin: TaskPlugin) {
    let folder = try TemporaryFolder()
    try packCore(to: folder("core.codi"))
    let manifest = try packTask(name, core: folder("core.codi"), to: folder("adapter.codi"))
    let unpacked = try ["core", "adapter"].map {
      try BundleReader(path: folder("\($0).codi")).extract(to: URL(filePath: folder($0)))
    }
    let library = try PluginLibrary(
      path: products.appending(path: "lib\(name).so").path, abi: 1, task: manifest.task, halo: nil)
    return (
      try Adapter(unpacked[1], core: try Core(unpacked[0])), try TaskPlugin(library, parameters: values)
    )
  }

  /// A registry with both, at `folder/registry`.
  @discardableResult
  public static func publish(in folder: TemporaryFolder) throws -> BundleRegistry {
    try packCore(to: folder("core.codi"))
    try packAdapter(core: folder("core.codi"), to: folder("adapter.codi"))
    let registry = try BundleRegistry(path: folder("registry"), create: true)
    try registry.publish(folder("core.codi"))
    try registry.publish(folder("adapter.codi"))
    return registry
  }

  /// The adapter, packed, unpacked and opened.
  public static func adapter(sees: ConditionEncoderConfiguration.Sees = .conditionAndNoisy) throws -> Adapter {
    let folder = try TemporaryFolder()
    try packCore(to: folder("core.codi"))
    try packAdapter(core: folder("core.codi"), to: folder("adapter.codi"), sees: sees)
    let unpacked = try ["core", "adapter"].map {
      try BundleReader(path: folder("\($0).codi")).extract(to: URL(filePath: folder($0)))
    }
    return try Adapter(unpacked[1], core: try Core(unpacked[0]))
  }

  /// The task's plugin as the products have it.
  public static func plugin(_ values: [String: ParameterValue] = [:], seed: UInt64 = 0) throws -> TaskPlugin {
    try TaskPlugin(
      PluginLibrary(path: library, abi: 1, task: "super-resolution", halo: 40), parameters: values, seed: seed)
  }

  /// Random values also where training starts from zeros, so that every part does something; rounded as in a bundle.
  private static func fill(_ parameters: [Parameter]) throws {
    for parameter in parameters {
      let shape = parameter.shape
      let (fanIn, isMatrix) = (shape.dropFirst().reduce(1, *), shape.count > 1)
      let noise = NoiseStream(seed: 7, digest: Array(parameter.name.utf8))
        .normal(draw: 0, height: shape[0], width: fanIn, channels: 1).floats()
      let (mean, spread): (Float, Float) =
        if isMatrix { (0, 0.7 / Float(fanIn).squareRoot()) } else if parameter.name.hasPrefix("mu") {
          (0.4, 0.1)
        } else if parameter.name.contains("norm") { (1, 0.1) } else { (0, 0.1) }
      try parameter.assign(try Tensor(noise.map { mean + spread * $0 }, shape: shape).converted(to: .bf16))
    }
  }

  private static func pack(
    _ manifest: Manifest, _ parameters: [Parameter], to path: String,
    more: [(name: String, source: ZipWriter.Source)] = [], proof: (String) throws -> Void
  ) throws -> Manifest {
    let work = try TemporaryFolder()
    try proof(work("proof"))
    try SafetensorsWriter.write(
      Weights.entries(parameters.map { (name: $0.name, tensor: $0.value) }, as: .bf16), to: work("weights"))
    let files: [(name: String, source: ZipWriter.Source)] = [
      (BundleEntry.weights, .file(path: work("weights"))), (BundleEntry.proof, .file(path: work("proof"))),
      (BundleEntry.card, .data(Data(card.utf8))), (BundleEntry.license, .data(Data("CC0\n".utf8))),
    ]
    return try BundleWriter.pack(manifest, files: files + more, to: path)
  }
}

/// What a task's manifest in the repository says.
private struct TaskParts: Codable {
  var task: String, summary: String, license: String
  var condition: Manifest.Condition
  var geometry: Manifest.Geometry
  var parameters: [Manifest.Parameter]?

  init(_ folder: String) throws {
    let url = Toy.root.appending(path: "Plugins/\(folder)/manifest.yaml")
    let node = try YAML.parse(try Data(contentsOf: url), source: url.path)
    self = try Options.decode(TaskParts.self, from: node, source: url.path)
  }
}

/// The task's own parameters, from its manifest in the repository.
private enum TaskParameters {
  static var superResolution: [Manifest.Parameter] {
    get throws {
      let url = Toy.root.appending(path: "Plugins/SuperResolution/manifest.yaml")
      let node = try YAML.parse(try Data(contentsOf: url), source: url.path)
      guard let list = node["parameters"] else { return [] }
      return try Options.decode([Manifest.Parameter].self, from: list, source: url.path)
    }
  }
}
