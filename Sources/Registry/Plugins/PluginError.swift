internal import CPluginABI

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
    /// The plugin's process ended in the middle of a call: a fault, a trap, `abort`, `exit`.
    case crashed
    /// The call took longer than it may.
    case deadline
    /// The plugin asked the system for something that no plugin may do.
    case forbidden
    /// What the plugin left or said breaks the contract: it wrote outside its span, or answered nonsense.
    case contract
    /// No isolated process can be had on this machine.
    case isolation
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

extension PluginError {
  static let publisher = "Tell the adapter's publisher."

  /// What a function's status other than `CODI_OK` means, with the plugin's own sentence if it wrote one.
  init(status: Int32, _ message: String, at location: String) {
    let code: Code
    var remedy = Self.publisher
    switch status {
    case CODI_BAD_PARAMETER: (code, remedy) = (.parameter, "`codi info` lists the adapter's parameters.")
    case CODI_BAD_REGION: code = .region
    case CODI_CANCELLED: (code, remedy) = (.cancelled, "Run it again.")
    case CODI_OUT_OF_MEMORY: (code, remedy) = (.outOfMemory, "Use smaller tiles or fewer workers.")
    default: code = .failed
    }
    self.init(code, at: location, message.isEmpty ? "It failed with status \(status)." : message, remedy: remedy)
  }
}
