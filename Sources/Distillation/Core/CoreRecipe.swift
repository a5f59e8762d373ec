public import Bundles
public import Networks
internal import Registry

/// How a core is trained: `Plugins/Cores/NAME/recipe.yaml`.
public struct CoreRecipe: Codable, Sendable, Hashable {
  /// Always `core`.
  public var kind = "core"
  /// `publisher/name` and version of the bundle that the run makes.
  public var name = ""
  public var version = "0.1.0"
  public var summary = ""
  public var license = "Apache-2.0"
  public var network = UNetConfiguration()
  public var data = TrainingData()
  public var training = TrainingOptions()

  public init() {}

  /// Reads and checks a recipe.
  /// - Throws: `BundleError` naming file and line.
  public init(parsing text: String, source: String) throws(BundleError) {
    let node = try YAML.parse(text, source: source)
    self = try Options.decode(CoreRecipe.self, from: node, defaults: CoreRecipe(), source: source)
    if let problem {
      throw BundleError(.invalidValue, at: source, "\(problem).", remedy: "Edit the recipe.")
    }
  }

  /// What is wrong, in a sentence.
  private var problem: String? {
    if kind != "core" { return "kind is \"\(kind)\", expected core" }
    if let problem = Self.identityProblem(name, version) { return problem }
    if summary.isEmpty { return "summary is missing: one line that says what the core makes" }
    if let problem = network.problem { return "network: \(problem)" }
    if let problem = data.problem(granularity: network.granularity) { return "data.crops.sizes: \(problem)" }
    return training.problem.map { "training: \($0)" }
  }

  /// What is wrong with a bundle's name and version: told before days of training, not when packing.
  static func identityProblem(_ name: String, _ version: String) -> String? {
    if (try? Reference(name))?.publisher == nil || name.contains("@") {
      return "name must be publisher/name, for example codi/photo, found \"\(name)\""
    }
    if SemanticVersion(version) == nil { return "version must be like 1.0.0, found \"\(version)\"" }
    return nil
  }

  /// The recipe with every default written out.
  public func yaml() throws(BundleError) -> String { YAML.write(try Options.encode(self)) }

  /// What a run may not change on its way: everything but the record of what came before.
  var inRun: Self {
    var recipe = self
    recipe.training.samplesBefore = nil
    return recipe
  }

  /// Name of the run folder unless another is asked for.
  public var runName: String { "\(name.split(separator: "/").last ?? "core")-\(version)" }
}
