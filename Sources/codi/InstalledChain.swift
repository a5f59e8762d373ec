import Adapters
import Bundles
import Pipelines
import Registry
import Tensor

/// Installed adapters in the order of a chain, with what is set for each.
struct InstalledChain {
  struct Stage {
    let installed: Installed
    let bundle: InstalledBundle
    var values: [String: ParameterValue] = [:]
    /// Instead of the job's or the adapter's own.
    var steps: Int?
  }

  var stages: [Stage]
  var manifests: [Manifest] { stages.map(\.bundle.manifest) }

  /// What cores are looked for with.
  private let lock: LockFile?

  init(_ installed: [Installed], lock: LockFile? = nil) throws {
    self.lock = lock
    stages = try installed.map { Stage(installed: $0, bundle: try Locations.store.open($0)) }
  }

  /// Opens adapters, their cores and plugins on the compute thread; a core that several need is opened once. Options that
  /// no adapter runs with are refused here.
  func open(_ options: Converter.Options, isStripping: Bool = false, _ output: OutputOptions) async throws -> Chain {
    let store = Locations.store
    let cores = try stages.map { try store.core(of: $0.installed, pinnedIn: lock) }
    let coreBundles = Dictionary(
      try cores.map { ($0.digest, try store.open($0)) }, uniquingKeysWith: { first, _ in first })
    return try await Compute.run { () throws in
      let opened = try coreBundles.mapValues { try Core($0) }
      let made = try stages.indices.map { index throws -> Chain.Stage in
        guard let core = opened[cores[index].digest] else { preconditionFailure("every core was opened") }
        let stage = stages[index]
        return Chain.Stage(
          try Adapter(stage.bundle, core: core), digest: stage.installed.digest, values: stage.values,
          steps: stage.steps,
          plugin: { values, seed in
            try store.plugin(
              of: stage.installed, values: values, seed: seed, isCancelled: { Interruption.isRequested })
          })
      }
      let chain = try Chain(made, options: options, program: Version.current, isStripping: isStripping)
      for level in try chain.check() where !level.isComplete { output.say("codi: plugins: \(level.description)") }
      return chain
    }
  }
}
