/// What is wrong with a task plugin or one of its calls, where, why, and what to do next.
public struct PluginError: Error, Sendable, CustomStringConvertible {
  /// What went wrong: stable, for `catch` and for tests.
  public enum Code: String, Sendable, CaseIterable {
    /// The manifest or the library speaks another ABI version than this program.
    case abi
    /// The library cannot be opened, or has no symbol `codi_plugin`.
    case library
    /// A field of the descriptor is not what it must be.
    case descriptor
    /// The plugin refused a parameter.
    case parameter
    /// A size, channel count or region does not fit; found by us or by the plugin.
    case region
    case cancelled
    case outOfMemory
    /// The plugin reported any other failure.
    case failed
  }

  public let code: Code
  /// Where: the library, or the library and the function.
  public let location: String
  /// Why: what was wanted and what was found, or the plugin's own sentence.
  public let reason: String
  /// Next: the edit or command that helps.
  public let remedy: String

  public init(_ code: Code, at location: String, _ reason: String, remedy: String) {
    self.code = code
    self.location = location
    self.reason = reason
    self.remedy = remedy
  }

  public var description: String { "\(location): \(reason) \(remedy)" }
}
