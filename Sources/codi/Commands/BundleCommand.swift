import ArgumentParser
import Bundles
import Foundation
import Registry

struct BundleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bundle", abstract: "Look at bundles before they are published.", subcommands: [Lint.self])

  struct Lint: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Run every rule that a bundle must keep to be published. Runs none of its code.",
      discussion: """
        codi publish refuses what breaks one of these rules, or one of codi plugin validate's.
        Example: codi bundle lint sr.codi
        """)

    @Argument(help: "A .codi file.") var bundle: [String]
    @OptionGroup var output: OutputOptions

    func run() throws {
      var isSound = true
      for path in bundle {
        let findings = try BundleCommand.lint(path)
        for finding in findings {
          output.emit(
            [
              "bundle": path, "rule": finding.id, "outcome": finding.outcome.rawValue, "sentence": finding.sentence,
              "detail": finding.detail,
            ],
            text: "\(finding.id) \(finding.outcome.rawValue)  \(finding.sentence)"
              + (finding.detail.isEmpty ? "" : "\n     \(finding.detail)"))
        }
        let failed = findings.filter { $0.outcome == .failed }.count
        output.say("\(path): " + (failed == 0 ? "all rules hold" : "\(failed) of \(findings.count) rules are broken"))
        isSound = isSound && failed == 0
      }
      if !isSound { throw Exit.Code(.someFailed) }
    }
  }

  static func lint(_ path: String) throws -> [BundleLint.Finding] {
    guard FileManager.default.fileExists(atPath: path) else {
      throw Exit.Failure(exit: .notFound, description: "\(path): There is no such file. Check the path.")
    }
    return try BundleLint.run(path)
  }
}
