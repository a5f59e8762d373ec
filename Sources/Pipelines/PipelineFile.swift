public import Bundles
internal import Foundation
public import Registry

/// A chain of adapters written down: what `codi convert --pipeline FILE` runs.
///
/// ```yaml
/// format: 1
/// seed: 7                          # optional, as --seed
/// precision: f32                   # optional, as --precision
/// stages:
///   - adapter: super-resolution@^0.1
///     steps: 2                     # optional, as --steps, for this adapter alone
///     parameters: { strength: 0.5 }
/// ```
public struct PipelineFile: Sendable {
  public struct Stage: Sendable {
    /// `NAME[@VERSION]` of an installed adapter.
    public let adapter: String
    public let steps: Int?
    fileprivate let parameters: [Node.Pair]
  }

  public let stages: [Stage]
  public let seed: UInt64?
  public let precision: String?
  private let source: String

  private struct Text: Decodable {
    struct Stage: Decodable {
      var adapter: String
      var steps: Node?
      var parameters: Node?
    }
    var format: Int
    var seed: UInt64?
    var precision: String?
    var stages: [Stage]
  }

  /// Reads a file: unknown keys, wrong types and numbers out of range are refused with their line.
  /// - Throws: `BundleError` that names file, line and column.
  public init(path: String) throws(BundleError) {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw BundleError(.inputOutput, at: path, "The file cannot be read.", remedy: "Check the name.")
    }
    try self.init(YAML.parse(data, source: path), source: path)
  }

  init(_ node: Node, source: String) throws(BundleError) {
    let text = try Options.decode(Text.self, from: node, source: source)
    func refuse(_ node: Node?, _ reason: String, _ remedy: String) -> BundleError {
      BundleError(.invalidValue, at: node.map { "\(source):\($0.mark)" } ?? source, reason, remedy: remedy)
    }
    guard text.format == 1 else {
      throw BundleError(
        .unsupportedFormat, at: source, "The file has format \(text.format); this program reads 1.",
        remedy: "Update codi.")
    }
    guard !text.stages.isEmpty else {
      throw refuse(node["stages"], "There is no stage.", "Name an adapter: - adapter: super-resolution")
    }
    if let precision = text.precision, !["bf16", "f32"].contains(precision) {
      throw refuse(node["precision"], "\"\(precision)\" is no precision.", "Use bf16 or f32.")
    }
    var stages: [Stage] = []
    for stage in text.stages {
      var steps: Int?
      if let node = stage.steps {
        guard case .scalar(let digits, quoted: false) = node.value, let number = Int(digits),
          (1...1000).contains(number)
        else { throw refuse(node, "steps is \(node.summary), and no number from 1 to 1000.", "Write steps: 4.") }
        steps = number
      }
      if let node = stage.parameters, node.pairs == nil {
        throw refuse(node, "parameters is \(node.summary), and no mapping.", "Write parameters: { name: value }.")
      }
      stages.append(Stage(adapter: stage.adapter, steps: steps, parameters: stage.parameters?.pairs ?? []))
    }
    (self.stages, seed, precision, self.source) = (stages, text.seed, text.precision, source)
  }

  /// The values of each stage's parameters, checked against the manifest of its adapter.
  /// - Throws: `BundleError` that names the line of a parameter that the adapter has not, or of a value that is of the
  ///   wrong type or out of range.
  public func values(for manifests: [Manifest]) throws(BundleError) -> [[String: ParameterValue]] {
    precondition(manifests.count == stages.count, "a manifest for each stage")
    var all: [[String: ParameterValue]] = []
    for (stage, manifest) in zip(stages, manifests) {
      var values: [String: ParameterValue] = [:]
      for pair in stage.parameters {
        guard let parameter = manifest.parameters.first(where: { $0.name == pair.key }) else {
          let known = manifest.parameters.map(\.name).joined(separator: ", ")
          throw BundleError(
            .unknownKey, at: "\(source):\(pair.keyMark)", "\(manifest.name) has no parameter \"\(pair.key)\".",
            remedy: known.isEmpty ? "It has none: remove the line." : "It has \(known).")
        }
        guard let value = Self.value(pair.value, parameter) else {
          throw BundleError(
            .invalidValue, at: "\(source):\(pair.value.mark)",
            "\(pair.key) is \(pair.value.summary), and must be \(parameter.range).",
            remedy: "`codi info \(manifest.name)` explains it.")
        }
        values[pair.key] = value
      }
      all.append(values)
    }
    return all
  }

  /// Quotes make a text: they are no way to write a number.
  private static func value(_ node: Node, _ parameter: Manifest.Parameter) -> ParameterValue? {
    guard case .scalar(let text, let quoted) = node.value else { return nil }
    switch parameter.type {
    case .number, .integer, .boolean: return quoted ? nil : parameter.value(of: text)
    case .choice, .text: return parameter.value(of: text)
    }
  }
}
