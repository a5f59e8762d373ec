/// Why a picture, or a whole job, cannot be converted: what, where, why, and what to do next.
public struct ConversionError: Error, Sendable, CustomStringConvertible {
  public enum Code: String, Sendable {
    case options, unsupported, noInput, itemsFile, collision, existing, outputFolder, journal, busy, provenance, memory
    case changed
  }
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
