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
  /// Files of the other pictures that the adapter takes, by the names in its manifest.
  public var others: [String: String] = [:]
  /// Whether it was come upon in a folder or by a pattern, and not named.
  var isFound = false
  /// Where it is said, as `FILE:LINE`, for a picture with choices of its own.
  var place: String?
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
  /// Lines of NDJSON: `{"path": …, "out": …, "inputs": {…}, "seed": …, "steps": …, "parameters": {…}}`, all but `path`
  /// optional.
  ///
  /// - Throws: `ConversionError` that names the line: no JSON object, a key that is unknown, a value of the wrong type.
  public static func parse(ndjson data: Data, source: String) throws(ConversionError) -> [InputItem] {
    var items: [InputItem] = []
    for (number, line) in data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
      guard line.contains(where: { !" \t\r".utf8.contains($0) }) else { continue }
      let place = "\(source):\(number + 1)"
      var item: InputItem
      do {
        item = try JSONDecoder().decode(Line.self, from: Data(line)).item
        if let key = duplicateKey(in: line) { throw Complaint(text: "\(key) is there twice") }
      } catch {
        throw ConversionError(
          .itemsFile, at: place, "The line is not understood: \(Self.reason(error)).",
          remedy: "Write {\"path\": \"a.png\"} with out, inputs, seed, steps and parameters as you need them.")
      }
      try item.checkPaths(at: place)
      item.place = place
      items.append(item)
    }
    return items
  }

  private func checkPaths(at place: String) throws(ConversionError) {
    let others = others.sorted { $0.key < $1.key }.map { ("inputs.\($0.key)", $0.value) }
    for (key, text) in [("path", path), ("out", out ?? "")] + others where text.utf8.contains(0) {
      throw ConversionError(
        .itemsFile, at: place, "\(key) holds a NUL, at which every file name ends.", remedy: "Leave it out.")
    }
    guard let out, !PathText.staysInside(out) else { return }
    throw ConversionError(
      .options, at: place, "out \(out.debugDescription) would leave the folder for results; nothing was converted.",
      remedy: "Write a name relative to --out, without \"..\".")
  }

  /// What is wrong with a line, in words of NDJSON.
  private struct Complaint: Error { let text: String }

  private static func reason(_ error: any Error) -> String {
    if let error = error as? Complaint { return error.text }
    guard let error = error as? DecodingError else { return "\(error)" }
    func name(_ context: DecodingError.Context) -> String {
      context.codingPath.map(\.stringValue).joined(separator: ".")
    }
    return switch error {
    case .keyNotFound(let key, _): "\(key.stringValue) is missing"
    case .typeMismatch(_, let context):
      context.codingPath.isEmpty ? "this is no JSON object" : "\(name(context)) has a value of the wrong kind"
    case .valueNotFound(_, let context): "\(name(context)) is null"
    case .dataCorrupted(let context):
      context.codingPath.isEmpty ? "this is no JSON object" : "\(name(context)): \(context.debugDescription)"
    @unknown default: "\(error)"
    }
  }

  private struct Line: Decodable {
    let item: InputItem

    private enum Key: String, CodingKey, CaseIterable { case path, out, inputs, seed, steps, parameters }
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
      func value<Value: Decodable>(_ key: Key, _ kind: String) throws -> Value? {
        guard line.contains(key), try !line.decodeNil(forKey: key) else { return nil }
        do { return try line.decode(Value.self, forKey: key) } catch {
          throw Complaint(text: "\(key.rawValue) is no \(kind)")
        }
      }
      guard let path: String = try value(.path, "text") else { throw Complaint(text: "path is missing") }
      var item = InputItem(path: path)
      item.out = try value(.out, "text")
      item.others = try value(.inputs, "object of names and files") ?? [:]
      item.choices.seed = try value(.seed, "whole number from 0 to 18446744073709551615")
      item.choices.steps = try value(.steps, "whole number")
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
