import ArgumentParser
import Foundation

/// `--json` and `--quiet`, the same for every command.
struct OutputOptions: ParsableArguments {
  @Flag(help: "Print one JSON object a line on stdout.") var json = false
  @Flag(help: "Print errors only.") var quiet = false

  /// One line of an answer, on stdout: JSON for programs, or text for people.
  func emit(_ fields: [String: any Encodable & Sendable], text: String) {
    if json {
      printLine(OutputOptions.line(fields))
    } else if !quiet {
      printLine(text.printableLines)
    }
  }

  /// What was done: JSON on stdout for programs, or a sentence for people on stderr.
  func report(_ fields: [String: any Encodable & Sendable], text: String) {
    if json {
      printLine(OutputOptions.line(fields))
    } else {
      say(text)
    }
  }

  /// A sentence for people, on stderr.
  func say(_ text: String) {
    if !quiet { StandardStreams.say(text.printableLines + "\n") }
  }

  /// Writes whole lines at once, so that a reader sees each as it happens.
  func printLine(_ text: String) { StandardStreams.answer(text + "\n") }

  /// Keys in alphabetical order.
  static func line(_ fields: [String: any Encodable & Sendable]) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
    let parts = fields.sorted { $0.key < $1.key }.map { key, value in
      "\"\(key)\":" + ((try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "null")
    }
    return "{\(parts.joined(separator: ","))}"
  }
}
