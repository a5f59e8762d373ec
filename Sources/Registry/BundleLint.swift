internal import Bundles
internal import Foundation

/// What a bundle must bring to be published, beyond what its format demands: rules of their own, each with an identifier
/// and a sentence. None of the bundle's code runs.
public struct BundleLint: Sendable {
  /// The same as a rule of the plugin interface finds.
  public typealias Finding = Conformance.Finding

  private struct Broken: Error { let reason: String }
  private struct Skipped: Error { let reason: String }

  /// A bundle that was unpacked for a look.
  private struct Subject {
    let bundle: InstalledBundle
    let names: [String]

    var manifest: Manifest { bundle.manifest }

    /// Empty when it is not there.
    func text(_ name: String) throws -> String {
      guard names.contains(name) else { return "" }
      return String(decoding: try Data(contentsOf: bundle.url(of: name)), as: UTF8.self)
    }
  }

  private struct Rule: Sendable {
    let id: String
    let sentence: String
    let check: @Sendable (Subject) throws -> Void

    init(_ id: String, _ sentence: String, _ check: @escaping @Sendable (Subject) throws -> Void) {
      self.id = id
      self.sentence = sentence
      self.check = check
    }
  }

  /// Identifier and sentence of the rule that all others rest on.
  private static let whole = (
    id: "B001", sentence: "Zip, manifest, sums and signature are well-formed, and every file has its digest."
  )

  private static let rules: [Rule] = [
    Rule("B002", "A card says what it is good for and what it does badly.") { subject in
      let card = try subject.text(BundleEntry.card)
      guard card.contains(/(?m)^# \S/) else {
        throw Broken(reason: "\(BundleEntry.card) is missing, or has no title.")
      }
      let words = card.split(whereSeparator: \.isWhitespace).count
      guard words >= 20 else { throw Broken(reason: "\(BundleEntry.card) has \(words) words.") }
      if let open = card.split(separator: "\n").first(where: { $0.contains("TODO") }) {
        throw Broken(reason: "\(BundleEntry.card) is not finished: \(open.prefix(80))")
      }
    },
    Rule("B003", "The text of its licence is there.") { subject in
      guard try subject.text(BundleEntry.license).contains(/\w/) else {
        throw Broken(
          reason: "\(BundleEntry.license) is missing or empty; the manifest says \(subject.manifest.license).")
      }
    },
    Rule("B004", "The data it was trained on are named, each with its licence.") { subject in
      guard !subject.manifest.training.data.isEmpty else { throw Broken(reason: "training.data is empty.") }
    },
    Rule("B005", "What was measured is told: metrics in the manifest, or a section \"Measured\" of the card.") {
      subject in
      guard subject.manifest.kind == .adapter else { throw Skipped(reason: "A core is measured through its adapters.") }
      guard subject.manifest.metrics.isEmpty else { return }
      let section = try subject.text(BundleEntry.card).firstMatch(of: /(?m)^##+ Measured[^\n]*\n+[^\n#]*\w/)
      guard section != nil else {
        throw Broken(reason: "There is neither; `codi evaluate --json` measures, `codi pack --metrics` packs it.")
      }
    },
    Rule("B006", "Proof vectors are there, so that an install finds out whether it works.") { subject in
      guard subject.names.contains(BundleEntry.proof) else {
        throw Broken(reason: "\(BundleEntry.proof) is missing; `codi pack` makes it.")
      }
    },
    Rule("B007", "Every plugin library is one for its platform, needs only libc and libm, and has no run path.") {
      subject in
      guard let plugin = subject.manifest.plugin else { throw Skipped(reason: "A core has no plugin.") }
      for (platform, name) in plugin.libraries.sorted(by: { $0.key < $1.key }) {
        guard let machine = SharedLibrary.machine(of: platform) else { continue }
        do {
          let library = try SharedLibrary(Array(Data(contentsOf: subject.bundle.url(of: name))))
          guard library.machine == machine else { throw Broken(reason: "\(name) is not for \(platform).") }
          guard library.surplus.isEmpty else {
            throw Broken(reason: "\(name) \(library.surplus.joined(separator: ", it ")).")
          }
        } catch let error as SharedLibrary.Malformed { throw Broken(reason: "\(name): \(error.reason).") }
      }
    },
  ]

  /// The identifiers and sentences of all rules.
  public static var list: [(id: String, sentence: String)] { [whole] + rules.map { ($0.id, $0.sentence) } }

  /// Looks at the bundle in the file at `path`, by all rules.
  /// - Throws: `BundleError` when the file cannot be read at all; what is wrong inside is a finding.
  public static func run(_ path: String) throws -> [Finding] {
    func finding(_ id: String, _ sentence: String, _ outcome: Finding.Outcome, _ detail: String = "") -> Finding {
      Finding(id: id, sentence: sentence, outcome: outcome, detail: detail)
    }
    let folder = FileManager.default.temporaryDirectory.appending(path: "codi-lint-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let subject: Subject
    do {
      let reader = try BundleReader(path: path)
      subject = Subject(bundle: try reader.extract(to: folder), names: reader.archive.names)
    } catch {
      if error.code == .inputOutput { throw error }
      return [finding(whole.id, whole.sentence, .failed, "\(error)")]
        + rules.map { finding($0.id, $0.sentence, .skipped, "The bundle cannot be opened.") }
    }
    return [finding(whole.id, whole.sentence, .passed)]
      + rules.map { rule in
        do {
          try rule.check(subject)
          return finding(rule.id, rule.sentence, .passed)
        } catch let broken as Broken {
          return finding(rule.id, rule.sentence, .failed, broken.reason)
        } catch let skipped as Skipped {
          return finding(rule.id, rule.sentence, .skipped, skipped.reason)
        } catch { return finding(rule.id, rule.sentence, .failed, "\(error)") }
      }
  }
}
