/// Why training pictures cannot be read.
public struct DataError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Code: String, Sendable {
    /// A path names an environment variable that is not set.
    case environment
    /// No such file or folder, or it may not be read.
    case missing
    /// The source holds no usable picture.
    case empty
    /// A shard is not a plain tar archive, or is cut short.
    case damaged
    /// A shard's SHA-256 is not the recipe's.
    case checksum
    /// The options contradict each other or the pictures.
    case options
  }

  /// What: stable, for `catch` and for tests.
  public let code: Code
  /// Where: the shard, folder or option.
  public let location: String
  /// Why: expected and found.
  public let reason: String
  /// Next: the edit or command that helps.
  public let remedy: String

  init(_ code: Code, at location: String, _ reason: String, remedy: String) {
    self.code = code
    self.location = location
    self.reason = reason
    self.remedy = remedy
  }

  public var description: String { "\(location): \(reason) \(remedy)" }
}
