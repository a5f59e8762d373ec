/// Why a picture could not be read or written.
public struct ImagingError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Code: String, Sendable {
    /// There is no such file, or it may not be read.
    case cannotOpen
    /// The bytes are of no known picture format; an empty file is one such.
    case notAPicture
    /// A picture of a format or with channels that are not read or written.
    case unsupported
    /// More pixels than the caller allows; nothing was decoded.
    case tooLarge
    /// Truncated or damaged.
    case damaged
    /// The result could not be encoded or written.
    case cannotWrite
  }

  /// What: stable, for `catch` and for tests.
  public let code: Code
  /// Where: the file, or "picture in memory".
  public let location: String
  /// Why: expected and found.
  public let reason: String
  /// Next: the edit or command that helps.
  public let remedy: String

  public init(code: Code, location: String, reason: String, remedy: String) {
    self.code = code
    self.location = location
    self.reason = reason
    self.remedy = remedy
  }

  public var description: String { "\(location): \(reason) \(remedy)" }
}
