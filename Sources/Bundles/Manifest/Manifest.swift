public import Foundation

/// What a bundle is, in `manifest.yaml`: everything needed to list, compare, and refuse it without running its code.
public struct Manifest: Codable, Hashable, Sendable {
  /// The format this program writes, and the newest it reads.
  public static let currentFormat = 1

  public enum Kind: String, Codable, Hashable, Sendable, CaseIterable { case adapter, core }

  public var format: Int
  public var kind: Kind
  /// `publisher/name`.
  public var name: String
  public var version: SemanticVersion
  public var task: String
  /// One line for listings.
  public var summary: String
  /// An SPDX expression.
  public var license: String
  public var requires: Requires
  /// Adapters only.
  public var condition: Condition?
  /// Adapters only.
  public var geometry: Geometry?
  /// Cores only: read by whoever builds the network, opaque here.
  public var network: Node?
  /// Adapters only: read by whoever builds the condition encoder, opaque here.
  public var encoder: Node?
  /// What the user may set; none for a core.
  public var parameters: [Parameter]
  /// Always there for an adapter.
  public var sampling: Sampling?
  public var weights: Weights
  /// Adapters only.
  public var plugin: Plugin?
  public var training: Training
  public var metrics: [Metric]

  public struct Requires: Codable, Hashable, Sendable {
    /// Versions of this program.
    public var codi: VersionRequirement
    /// Adapters only: `publisher/name` of the core.
    public var core: String?
    /// Adapters only: `sha256:` and 64 digits, see `Manifest.coreDigest(network:weightsSHA256:)`.
    public var coreDigest: String?

    public init(codi: VersionRequirement, core: String? = nil, coreDigest: String? = nil) {
      self.codi = codi
      self.core = core
      self.coreDigest = coreDigest
    }
  }

  public struct Condition: Codable, Hashable, Sendable {
    public struct Input: Codable, Hashable, Sendable {
      public enum Kind: String, Codable, Hashable, Sendable, CaseIterable {
        case rgb, gray
        /// White is marked.
        case mask
        /// Inverse depth, white is near.
        case depth

        /// Values of a pixel.
        public var channels: Int { self == .rgb ? 3 : 1 }
      }
      public var name: String
      public var kind: Kind

      public init(name: String, kind: Kind) {
        self.name = name
        self.kind = kind
      }
    }

    /// The pictures the user hands in, at least one.
    public var inputs: [Input]
    /// Channels of the condition that the plugin makes of them.
    public var channels: Int
    /// Channels of the clean pictures that the plugin makes training pairs of: a task whose user brings depth needs it.
    public var cleanChannels: Int { inputs.contains { $0.kind == .depth } ? 4 : 3 }

    public init(inputs: [Input], channels: Int) {
      self.inputs = inputs
      self.channels = channels
    }
  }

  public struct Geometry: Codable, Hashable, Sendable {
    /// `tile`: any size, region by region; `whole`: the picture is reduced to the core's native size.
    public enum Mode: String, Codable, Hashable, Sendable, CaseIterable { case tile, whole }
    public var mode: Mode
    /// Output pixels per input pixel along one side.
    public var scale: Int
    /// Output pixels around a region that the plugin's part of the result depends on.
    public var halo: Int

    public init(mode: Mode, scale: Int, halo: Int) {
      self.mode = mode
      self.scale = scale
      self.halo = halo
    }
  }

  public struct Sampling: Codable, Hashable, Sendable {
    /// Numbers of steps that were tried, rising.
    public var steps: [Int]
    /// One of `steps`.
    public var defaultSteps: Int
    public var predictor: String
    /// Where sampling starts: 1 is pure noise, 0 the clean picture.
    public var start: Double

    public init(steps: [Int], defaultSteps: Int, predictor: String, start: Double) {
      self.steps = steps
      self.defaultSteps = defaultSteps
      self.predictor = predictor
      self.start = start
    }
  }

  public struct Weights: Codable, Hashable, Sendable {
    public var file: String
    public var sha256: String
    /// Elements of all tensors together.
    public var parameters: Int

    public init(file: String = BundleEntry.weights, sha256: String, parameters: Int) {
      self.file = file
      self.sha256 = sha256
      self.parameters = parameters
    }
  }

  public struct Plugin: Codable, Hashable, Sendable {
    public var abi: Int
    /// What compiled the libraries, for reproducing them.
    public var toolchain: String
    /// Platform (`linux-x86_64`) to entry of the bundle.
    public var libraries: [String: String]

    public init(abi: Int, toolchain: String, libraries: [String: String]) {
      self.abi = abi
      self.toolchain = toolchain
      self.libraries = libraries
    }
  }

  public struct Training: Codable, Hashable, Sendable {
    public struct Data: Codable, Hashable, Sendable {
      public var name: String
      public var license: String
      public var source: String?
      public var sha256: String?

      public init(name: String, license: String, source: String? = nil, sha256: String? = nil) {
        self.name = name
        self.license = license
        self.source = source
        self.sha256 = sha256
      }
    }

    /// The weights that the training started from, where they were not fresh.
    public struct Origin: Codable, Hashable, Sendable, CustomStringConvertible {
      /// `publisher/name` and version of the bundle; neither for a file of weights.
      public var name: String?
      public var version: SemanticVersion?
      /// SHA-256 of the file of weights.
      public var weightsSHA256: String
      /// Samples that those weights had seen, in all.
      public var samplesSeen: Int

      public init(name: String? = nil, version: SemanticVersion? = nil, weightsSHA256: String, samplesSeen: Int) {
        self.name = name
        self.version = version
        self.weightsSHA256 = weightsSHA256
        self.samplesSeen = samplesSeen
      }

      /// `publisher/name@version`, or the digest.
      public var description: String {
        guard let name else { return "weights with SHA-256 \(weightsSHA256)" }
        return version.map { "\(name)@\($0)" } ?? name
      }
    }

    public var method: String
    /// Samples of this training alone.
    public var samplesSeen: Int
    public var from: Origin?
    public var data: [Data]

    /// Samples of this training and of those before it.
    public var samplesInAll: Int { samplesSeen.addingReportingOverflow(from?.samplesSeen ?? 0).partialValue }

    public init(method: String, samplesSeen: Int, from: Origin? = nil, data: [Data]) {
      self.method = method
      self.samplesSeen = samplesSeen
      self.from = from
      self.data = data
    }
  }

  public struct Metric: Codable, Hashable, Sendable {
    public var suite: String
    public var steps: Int
    public var name: String
    public var value: Double
    /// Lower and upper end of the 95 % confidence interval.
    public var ci95: [Double]?
    /// Pictures measured.
    public var n: Int

    public init(suite: String, steps: Int, name: String, value: Double, ci95: [Double]? = nil, n: Int) {
      self.suite = suite
      self.steps = steps
      self.name = name
      self.value = value
      self.ci95 = ci95
      self.n = n
    }
  }

  public init(
    kind: Kind, name: String, version: SemanticVersion, task: String, summary: String, license: String,
    requires: Requires, condition: Condition? = nil, geometry: Geometry? = nil, network: Node? = nil,
    encoder: Node? = nil, parameters: [Parameter] = [], sampling: Sampling? = nil, weights: Weights,
    plugin: Plugin? = nil,
    training: Training, metrics: [Metric] = []
  ) {
    format = Manifest.currentFormat
    self.kind = kind
    self.name = name
    self.version = version
    self.task = task
    self.summary = summary
    self.license = license
    self.requires = requires
    self.condition = condition
    self.geometry = geometry
    self.network = network
    self.encoder = encoder
    self.parameters = parameters
    self.sampling = sampling
    self.weights = weights
    self.plugin = plugin
    self.training = training
    self.metrics = metrics
  }

  /// Everything is required but what one kind lacks, `parameters`, and `metrics`.
  public init(from decoder: any Decoder) throws {
    let keys = try decoder.container(keyedBy: CodingKeys.self)
    format = try keys.decode(Int.self, forKey: .format)
    kind = try keys.decode(Kind.self, forKey: .kind)
    name = try keys.decode(String.self, forKey: .name)
    version = try keys.decode(SemanticVersion.self, forKey: .version)
    task = try keys.decode(String.self, forKey: .task)
    summary = try keys.decode(String.self, forKey: .summary)
    license = try keys.decode(String.self, forKey: .license)
    requires = try keys.decode(Requires.self, forKey: .requires)
    condition = try keys.decodeIfPresent(Condition.self, forKey: .condition)
    geometry = try keys.decodeIfPresent(Geometry.self, forKey: .geometry)
    network = try keys.decodeIfPresent(Node.self, forKey: .network)
    encoder = try keys.decodeIfPresent(Node.self, forKey: .encoder)
    parameters = try keys.decodeIfPresent([Parameter].self, forKey: .parameters) ?? []
    sampling = try keys.decodeIfPresent(Sampling.self, forKey: .sampling)
    weights = try keys.decode(Weights.self, forKey: .weights)
    plugin = try keys.decodeIfPresent(Plugin.self, forKey: .plugin)
    training = try keys.decode(Training.self, forKey: .training)
    metrics = try keys.decodeIfPresent([Metric].self, forKey: .metrics) ?? []
  }

  /// Parses and checks a manifest; every error names its line.
  public init(parsing data: Data, source: String) throws(BundleError) {
    try self.init(node: YAML.parse(data, source: source), source: source)
  }

  init(node: Node, source: String) throws(BundleError) {
    let format = node["format"]
    guard let text = format?.text, let number = Int(text), number > 0 else {
      throw YAML.error(
        .invalidValue, source, (format ?? node).mark, "This is not a manifest: \"format\" is not a positive number.",
        remedy: "Write \"format: \(Manifest.currentFormat)\".")
    }
    // A newer format may mean anything, so nothing else in it is interpreted.
    guard number <= Manifest.currentFormat else {
      throw YAML.error(
        .unsupportedFormat, source, (format ?? node).mark,
        "The bundle has format \(number); this program reads up to \(Manifest.currentFormat).", remedy: "Update codi.")
    }
    self = try Options.decode(Manifest.self, from: node, source: source)
    try validate(node, source: source)
  }

  /// The text of `manifest.yaml`; it parses back to an equal manifest.
  public func yaml() throws(BundleError) -> String {
    let text = YAML.write(try Options.encode(self))
    let parsed = try Manifest(parsing: Data(text.utf8), source: BundleEntry.manifest)
    guard parsed == self else {
      throw BundleError(
        .invalidValue, at: BundleEntry.manifest, "The manifest holds a value that YAML cannot carry.",
        remedy: "Remove values that are not finite.")
    }
    return text
  }
}
