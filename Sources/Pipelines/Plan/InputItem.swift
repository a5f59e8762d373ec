internal import Bundles
public import Foundation

/// One picture that the user named, with what is said for it alone.
public struct InputItem: Sendable, Hashable {
  public var path: String
  /// The folders between the named folder and the picture, without slashes at the ends.
  public var folder = ""
  /// Where its result goes, instead of the name template; relative to the folder for results.
  public var out: String?
  public var choices = ItemChoices()
  /// Whether it was come upon in a folder or by a pattern, and not named.
  var isFound = false
  /// Why it will fail whatever is done: its name is no text, or it is a folder that cannot be read.
  public var problem: String?

  public init(path: String, problem: String? = nil) { (self.path, self.problem) = (path, problem) }
}

/// What may be chosen for one picture alone; what is left out is the job's.
public struct ItemChoices: Sendable, Hashable {
  public var seed: UInt64?
  public var steps: Int?
  /// Parameters of the adapter as a user writes them.
  public var parameters: [String: String] = [:]
  public init() {}
}

extension InputItem {
  /// Lines of NDJSON: `{"path": …, "out": …, "seed": …, "steps": …, "parameters": {…}}`, all but `path` optional.
  ///
  /// - Throws: `ConversionError` that names the line: no JSON object, a key that is unknown, a value of the wrong type.
  public static func parse(ndjson data: Data, source: String) throws(ConversionError) -> [InputItem] {
    var items: [InputItem] = []
    for (number, line) in data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
      guard line.contains(where: { !" \t\r".utf8.contains($0) }) else { continue }
      let place = "\(source):\(number + 1)"
      let item: InputItem
      do { item = try JSONDecoder().decode(Line.self, from: Data(line)).item } catch {
        throw ConversionError(
          .itemsFile, at: place, "The line is not understood: \(Self.reason(error)).",
          remedy: "Write {\"path\": \"a.png\"} with out, seed, steps and parameters as you need them.")
      }
      try item.checkPaths(at: place)
      items.append(item)
    }
    return items
  }

  private func checkPaths(at place: String) throws(ConversionError) {
    for (key, text) in [("path", path), ("out", out ?? "")] where text.utf8.contains(0) {
      throw ConversionError(
        .itemsFile, at: place, "\(key) holds a NUL, at which every file name ends.", remedy: "Leave it out.")
    }
    guard let out, !PathText.staysInside(out) else { return }
    throw ConversionError(
      .options, at: place, "out \(out.debugDescription) would leave the folder for results; nothing was converted.",
      remedy: "Write a name relative to --out, without \"..\".")
  }

  private static func reason(_ error: any Error) -> String {
    guard let error = error as? DecodingError else { return "\(error)" }
    func name(_ context: DecodingError.Context) -> String {
      context.codingPath.map(\.stringValue).joined(separator: ".")
    }
    return switch error {
    case .keyNotFound(let key, _): "\(key.stringValue) is missing"
    case .typeMismatch(let type, let context): "\(name(context)) is no \(type)"
    case .valueNotFound(_, let context): "\(name(context)) is null"
    case .dataCorrupted(let context):
      context.codingPath.isEmpty ? "this is no JSON object" : "\(name(context)): \(context.debugDescription)"
    @unknown default: "\(error)"
    }
  }

  private struct Line: Decodable {
    let item: InputItem

    private enum Key: String, CodingKey, CaseIterable { case path, out, seed, steps, parameters }
    private struct AnyKey: CodingKey {
      let stringValue: String
      var intValue: Int? { nil }
      init(stringValue: String) { self.stringValue = stringValue }
      init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
      // A misspelt key would otherwise be a setting that silently has no effect.
      for key in try decoder.container(keyedBy: AnyKey.self).allKeys where Key(rawValue: key.stringValue) == nil {
        throw DecodingError.dataCorrupted(
          .init(
            codingPath: [key],
            debugDescription: "unknown; known are \(Key.allCases.map(\.rawValue).joined(separator: ", "))"))
      }
      let line = try decoder.container(keyedBy: Key.self)
      var item = InputItem(path: try line.decode(String.self, forKey: .path))
      item.out = try line.decodeIfPresent(String.self, forKey: .out)
      item.choices.seed = try line.decodeIfPresent(UInt64.self, forKey: .seed)
      item.choices.steps = try line.decodeIfPresent(Int.self, forKey: .steps)
      item.choices.parameters =
        try line.decodeIfPresent([String: Scalar].self, forKey: .parameters)?.mapValues(\.text) ?? [:]
      self.item = item
    }
  }

  /// A number, text or truth value as a user would write it after `--set NAME=`.
  private struct Scalar: Decodable {
    let text: String

    init(from decoder: any Decoder) throws {
      let value = try decoder.singleValueContainer()
      if let text = try? value.decode(String.self) {
        self.text = text
      } else if let truth = try? value.decode(Bool.self) {
        text = "\(truth)"
      } else if let number = try? value.decode(Int.self) {
        text = "\(number)"
      } else {
        text = "\(try value.decode(Double.self))"
      }
    }
  }
}
