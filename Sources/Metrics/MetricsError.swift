/// Why something cannot be measured.
public struct MetricsError: Error, Sendable, Hashable, CustomStringConvertible {
  public enum Code: Sendable {
    /// The measuring network's weights are not where they were looked for.
    case missingWeights
    /// The pictures are too small for the metric.
    case tooSmall
    /// Too few pictures for the metric.
    case tooFew
    /// Two pictures, or two lists of values, that do not belong together.
    case mismatch
  }

  /// What: stable, for `catch` and for tests.
  public let code: Code
  /// Where: the metric.
  public let location: String
  /// Why: expected and found.
  public let reason: String
  /// Next: the edit or command that helps.
  public let remedy: String

  public var description: String { "\(location): \(reason) \(remedy)" }

  init(_ code: Code, at location: String, _ reason: String, remedy: String) {
    self.code = code
    self.location = location
    self.reason = reason
    self.remedy = remedy
  }
}
