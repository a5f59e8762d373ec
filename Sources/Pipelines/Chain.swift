public import Adapters
public import Bundles
internal import Foundation
package import Imaging
public import Registry
internal import Synchronization
internal import Tensor

/// One adapter or several, each at work on the result of the one before, without files between.
public struct Chain: Sendable {
  /// An adapter with the user's parameters for it.
  public struct Stage: Sendable {
    public let adapter: Adapter
    /// What identifies the adapter beyond its version: the digest of its bundle.
    let digest: String
    let values: [String: ParameterValue]
    /// Network evaluations for each region, where they were chosen for this adapter alone.
    let steps: Int?
    /// Sides of a result over those of its input.
    var scale: Int { max(1, adapter.manifest.geometry?.scale ?? 1) }
    let plugin: @Sendable ([String: ParameterValue], UInt64) throws -> TaskPlugin

    /// - Parameter plugin: starts the adapter's plugin with these values and this seed.
    public init(
      _ adapter: Adapter, digest: String, values: [String: ParameterValue] = [:], steps: Int? = nil,
      plugin: @escaping @Sendable ([String: ParameterValue], UInt64) throws -> TaskPlugin
    ) {
      (self.adapter, self.digest, self.values, self.steps, self.plugin) = (adapter, digest, values, steps, plugin)
    }

    fileprivate var defaultSteps: Int { steps ?? adapter.manifest.sampling?.defaultSteps ?? 4 }
  }

  public let stages: [Stage]
  /// The job's; a picture's own choices come first.
  public let options: Converter.Options
  /// Whether results are written without the source's metadata, and without provenance.
  public let isStripping: Bool
  /// Named in journals, because another version may make other bytes.
  let program: String
  private let kept = Kept()

  /// - Throws: `ConversionError` for no adapter at all.
  public init(
    _ stages: [Stage], options: Converter.Options, program: String, isStripping: Bool = false
  ) throws(ConversionError) {
    guard !stages.isEmpty else {
      throw ConversionError(.options, at: "chain", "It has no adapter.", remedy: "Name one with --adapter.")
    }
    self.stages = stages
    self.options = options
    self.program = program
    self.isStripping = isStripping
  }

  /// Names of the pictures that adapters take beside the one that is converted, in order.
  public var otherInputs: [String] {
    Set(stages.flatMap { ($0.adapter.manifest.condition?.inputs ?? []).dropFirst().map(\.name) }).sorted()
  }

  /// Whether pictures can be converted row by row: by one adapter, that works on regions.
  var canConvertInRows: Bool { stages.count == 1 && !stages[0].adapter.manifest.isWhole }

  /// Refuses a picture that comes without another one that an adapter needs, or with one that none takes.
  func check(_ item: JobItem) throws(ConversionError) {
    let wanted = otherInputs
    guard item.others.count != wanted.count || !wanted.allSatisfy({ item.others[$0] != nil }) else { return }
    let location = item.place ?? item.input
    if let name = wanted.first(where: { item.others[$0] == nil }) {
      throw ConversionError(
        .options, at: location, "The adapter also takes a picture called \(name).",
        remedy: "Write --input \(name)=FILE, with {stem} for the picture's name, or \"inputs\" in a line of --items.")
    }
    let names = item.others.keys.filter { !wanted.contains($0) }.sorted().joined(separator: ", ")
    throw ConversionError(
      .options, at: location, "No adapter takes a picture called \(names).",
      remedy: wanted.isEmpty ? "Leave it out." : "It takes \(wanted.joined(separator: ", ")).")
  }

  /// The same chain with other options.
  func with(_ options: Converter.Options) throws(ConversionError) -> Chain {
    try Chain(stages, options: options, program: program, isStripping: isStripping)
  }

  /// What a picture's result is made with: the job's options, changed by the picture's choices.
  package struct Settings: Hashable, Sendable {
    var seed: UInt64
    /// For each stage.
    var steps: [Int]
    var values: [[String: ParameterValue]]
  }

  /// - Throws: `ConversionError` for a parameter that no adapter has, or with a value out of its range.
  package func settings(_ choices: ItemChoices) throws(ConversionError) -> Settings {
    let steps = choices.steps ?? options.steps
    var settings = Settings(
      seed: choices.seed ?? options.seed, steps: stages.map { steps ?? $0.defaultSteps }, values: stages.map(\.values))
    let given = choices.parameters.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    let typed = try Self.values(given, for: stages.map(\.adapter.manifest))
    for (stage, values) in typed.enumerated() { settings.values[stage].merge(values) { $1 } }
    if let steps = settings.steps.first(where: { !(1...1000).contains($0) }) {
      throw ConversionError(
        .options, at: "steps", "\(steps) steps are not between 1 and 1000.", remedy: "Use --steps 4, for example.")
    }
    return settings
  }

  /// Reads `NAME=VALUE`, for every adapter that has the parameter, or `N:NAME=VALUE` for the N-th of the chain.
  /// - Returns: the values of each adapter.
  public static func values(
    _ settings: [String], for manifests: [Manifest]
  ) throws(ConversionError) -> [[String: ParameterValue]] {
    var values = [[String: ParameterValue]](repeating: [:], count: manifests.count)
    for setting in settings {
      func refuse(_ reason: String, _ remedy: String) -> ConversionError {
        ConversionError(.options, at: "--set \(setting)", reason, remedy: remedy)
      }
      let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      var name = parts[0]
      var wanted = Array(manifests.indices)
      if let colon = name.firstIndex(of: ":") {
        guard let number = Int(name[..<colon]), (1...manifests.count).contains(number) else {
          throw refuse("There is no adapter number \(name[..<colon]).", "Count --adapter from 1.")
        }
        wanted = [number - 1]
        name = String(name[name.index(after: colon)...])
      }
      let having = wanted.filter { manifests[$0].parameters.contains { $0.name == name } }
      guard parts.count == 2, !having.isEmpty else {
        let known = wanted.map { stage -> String in
          let names = manifests[stage].parameters.map(\.name).joined(separator: ", ")
          return manifests[stage].name + (names.isEmpty ? " has no parameters." : " has the parameters \(names).")
        }
        throw refuse(known.joined(separator: " "), "Write --set NAME=VALUE.")
      }
      for stage in having {
        guard let parameter = manifests[stage].parameters.first(where: { $0.name == name }) else { continue }
        guard let value = parameter.value(of: parts[1]) else {
          throw refuse("\(name) must be \(parameter.range).", "codi info \(manifests[stage].name) explains it.")
        }
        values[stage][name] = value
      }
    }
    return values
  }

  /// Makes the converters for pictures without choices of their own, so that what cannot run is refused at once.
  /// - Returns: the walls around each plugin that runs in a process of its own.
  /// - Throws: `ConversionError` when an adapter cannot run with these options.
  @Compute public func check() throws -> [IsolationLevel] {
    try converters(try settings(ItemChoices())).compactMap(\.plugin.isolation)
  }

  /// The converters of a picture, one for each stage; those used lately are kept.
  @Compute func converters(_ settings: Settings) throws -> [Converter] {
    if let known = kept.find(settings) { return known }
    var options = options
    options.seed = settings.seed
    let made = try stages.indices.map { index in
      options.steps = settings.steps[index]
      let plugin = try stages[index].plugin(settings.values[index], settings.seed)
      return try Converter(stages[index].adapter, plugin: plugin, options: options)
    }
    kept.keep(made, for: settings)
    return made
  }

  /// Seeds differ from picture to picture in some jobs, so only a few are kept.
  private final class Kept: Sendable {
    private let list = Mutex<[(Settings, [Converter])]>([])

    func find(_ settings: Settings) -> [Converter]? {
      list.withLock { $0.first { $0.0 == settings }?.1 }
    }

    func keep(_ converters: [Converter], for settings: Settings) {
      list.withLock { $0 = Array(([(settings, converters)] + $0).prefix(4)) }
    }
  }

  /// Everything that decides the bytes of a result beside its input's.
  func making(_ settings: Settings) -> Making {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    func text(_ values: [String: ParameterValue]) -> String {
      (try? encoder.encode(values.mapValues(\.text))).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
    return Making(
      adapter: stages.map { "\($0.adapter.manifest.name)@\($0.adapter.manifest.version) \($0.digest)" }
        .joined(separator: "\n"),
      core: stages.map { "\($0.adapter.core.reference) \($0.adapter.core.digest)" }.joined(separator: "\n"),
      numerics: "\(options.precision.rawValue), \(Self.numericsOfThisMachine), codi \(program), "
        + "regions of \(options.region) over \(options.overlap)" + (isStripping ? ", metadata dropped" : ""),
      parameters: settings.values.map(text).joined(separator: "\n"), seed: "\(settings.seed)",
      steps: settings.steps.map { "\($0)" }.joined(separator: "\n"))
  }
}

extension Chain {
  /// A picture after all stages, and the seconds that they took without waiting for others.
  /// - Parameters:
  ///   - others: the pictures that adapters take beside it, by name.
  ///   - digest: SHA-256 of the source file. Later stages see that of it and their number, so that no two stages share
  ///     their noise.
  ///   - progress: share done, 0…1.
  package func convert(
    _ picture: Picture, with others: [String: Picture] = [:], digest: [UInt8], _ settings: Settings,
    in queue: NetworkQueue, progress: @escaping @Sendable (Double) -> Void,
    shouldStop: @escaping @Sendable () -> Bool
  ) async throws -> (picture: Picture, seconds: Double) {
    var made = (picture: picture, seconds: 0.0)
    let converters: [Converter]
    if let known = kept.find(settings) {
      converters = known
    } else {
      converters = try await Compute.run { () throws in try self.converters(settings) }
    }
    for (number, converter) in converters.enumerated() {
      let own = number == 0 ? digest : SHA256.digest(of: Data(digest + [UInt8(truncatingIfNeeded: number)]))
      let next = try await queue.convert(
        [made.picture] + converter.inputs.dropFirst().compactMap { others[$0.name] }, digest: own, converter, settings,
        stage: number,
        progress: { progress((Double(number) + $0) / Double(converters.count)) }, shouldStop: shouldStop)
      made = (next.picture, made.seconds + next.seconds)
    }
    return made
  }
}
