public import Bundles

/// The rules of the plugin interface as tests of one library, each run in an isolated process of its own.
public struct Conformance: Sendable {
  /// What a rule found.
  public struct Finding: Sendable, Hashable {
    public enum Outcome: String, Sendable, CaseIterable { case passed, failed, skipped }

    /// Stable: `P001` …
    public let id: String
    /// What must hold.
    public let sentence: String
    public let outcome: Outcome
    /// Why it failed or was skipped; empty otherwise.
    public let detail: String
  }

  /// What a plugin's manifest says of it, as far as the rules need it.
  public struct Profile: Sendable {
    public var task: String?
    /// Channels of each input, in order.
    public var inputs = [3]
    public var conditionChannels = 3
    /// Channels of the clean pictures for `degrade`.
    public var cleanChannels = 3
    /// Output size over input size in `tile` mode; `nil` lets `output_size` say it.
    public var scale: Int?
    public var halo: Int?
    /// Whether every region alone must give what the whole picture gives.
    public var isTiled = true
    public var parameters: [Manifest.Parameter] = []

    public init() {}

    public init(
      task: String, condition: Manifest.Condition, geometry: Manifest.Geometry, parameters: [Manifest.Parameter]
    ) {
      self.task = task
      inputs = condition.inputs.map(\.kind.channels)
      conditionChannels = condition.channels
      cleanChannels = condition.cleanChannels
      isTiled = geometry.mode == .tile
      scale = isTiled ? geometry.scale : nil
      halo = isTiled ? geometry.halo : nil
      self.parameters = parameters
    }
  }

  /// Why a rule does not hold, or does not apply.
  struct Broken: Error { let reason: String }
  struct Skipped: Error { let reason: String }

  struct Rule: Sendable {
    let id: String
    let sentence: String
    /// Whether it looks at the library's bytes only, so that it applies also where the library cannot be opened.
    let isStatic: Bool
    let check: @Sendable (ConformanceSubject) throws -> Void

    init(
      _ id: String, _ sentence: String, isStatic: Bool = false,
      _ check: @escaping @Sendable (ConformanceSubject) throws -> Void
    ) {
      self.isStatic = isStatic
      self.id = id
      self.sentence = sentence
      self.check = check
    }
  }

  /// All rules, in order.
  static let rules: [Rule] = lifeRules + pictureRules + independenceRules + robustnessRules

  /// The identifiers and sentences of all rules.
  public static var list: [(id: String, sentence: String)] { rules.map { ($0.id, $0.sentence) } }

  private let subject: ConformanceSubject

  /// - Parameters:
  ///   - seed: of the fuzzing; the same seed repeats the same calls.
  ///   - calls: how many calls the fuzzing makes.
  public init(_ file: PluginFile, _ profile: Profile, seed: UInt64, calls: Int = 200) {
    subject = ConformanceSubject(file: file, profile: profile, seed: seed, calls: calls)
  }

  /// Runs all rules; once the library cannot be opened or makes no instance, the others are skipped.
  /// - Parameter report: told of every finding at once.
  @discardableResult
  public func run(report: (Finding) -> Void = { _ in }) -> [Finding] {
    var findings: [Finding] = []
    var isUsable = true
    for rule in Self.rules {
      var (outcome, detail): (Finding.Outcome, String) = (.passed, "")
      if isUsable || rule.isStatic {
        do {
          try rule.check(subject)
        } catch let skipped as Skipped {
          (outcome, detail) = (.skipped, skipped.reason)
        } catch let broken as Broken {
          (outcome, detail) = (.failed, broken.reason)
        } catch let error as PluginError {
          (outcome, detail) = (.failed, error.reason)
        } catch { (outcome, detail) = (.failed, "\(error)") }
        if outcome == .failed, rule.id <= "P002" { isUsable = false }
      } else {
        (outcome, detail) = (.skipped, "There is no instance to ask.")
      }
      let finding = Finding(id: rule.id, sentence: rule.sentence, outcome: outcome, detail: detail)
      findings.append(finding)
      report(finding)
    }
    return findings
  }
}
