import ArgumentParser
import Foundation
import Pipelines

struct Jobs: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Look at the journals of conversions, and merge those of several processes.",
    subcommands: [Show.self, Merge.self])

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print what a journal knows of every result.",
      discussion:
        "Journals of shares are read with the main one. --json prints digests, parameters, numerics and times.")

    @Argument(help: "A folder of results, or a journal's file.") var job: String
    @Flag(help: "Failed pictures only.") var failed = false
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let entries = try Jobs.files(job).snapshot().entries().filter { !failed || $0.state == "failed" }
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
      for entry in entries {
        if output.json {
          output.printLine(String(decoding: try encoder.encode(entry), as: UTF8.self))
        } else if !output.quiet {
          output.printLine(("\(entry.state) \(entry.output)" + (entry.error.map { ": \($0)" } ?? "")).printable())
        }
      }
      guard !output.json else { return }
      let states = Dictionary(grouping: entries, by: \.state).mapValues(\.count).sorted { $0.key < $1.key }
      output.say(states.isEmpty ? "nothing" : states.map { "\($0.value) \($0.key)" }.joined(separator: ", "))
    }
  }

  struct Merge: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take the journals of all shares into the main one.",
      discussion: "codi convert without a share does this by itself. Processes that still work are left to finish.")

    @Argument(help: "A folder of results, or the main journal's file.") var job: String
    @OptionGroup var output: OutputOptions

    func run() async throws {
      let files = try Jobs.files(job)
      let journal = try Journal(path: files.main)
      defer { journal.close() }
      let count = try files.merge(into: journal)
      output.report(["event": "merged", "journals": count], text: "merged \(count) journals into \(files.main)")
    }
  }

  private static func files(_ job: String) throws -> JournalFiles {
    var isFolder: ObjCBool = false
    let exists = FileManager.default.fileExists(atPath: job, isDirectory: &isFolder)
    let files = isFolder.boolValue ? JournalFiles(folder: job) : JournalFiles(main: job)
    guard exists || !files.shares().isEmpty,
      FileManager.default.fileExists(atPath: files.main) || !files.shares().isEmpty
    else {
      throw Exit.Failure(
        exit: .notFound,
        description: "\(job): There is no journal; codi convert writes \(Journal.fileName) beside its results.")
    }
    return files
  }
}
