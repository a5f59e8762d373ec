/// Why training cannot start or go on: what, where, why, and the next command.
public struct TrainingError: Error, Sendable, CustomStringConvertible {
  public enum Code: Sendable { case recipe, data, run, weights, diverged }
  public let code: Code
  public let location: String
  public let reason: String
  public let remedy: String

  public init(_ code: Code, at location: String, _ reason: String, remedy: String) {
    self.code = code
    self.location = location
    self.reason = reason
    self.remedy = remedy
  }

  public var description: String { "\(location): \(reason) \(remedy)" }
}
