import CPluginABI

/// Why a call of the plugin failed: a `CODI_…` status and the sentence the host shows.
///
/// Throw it inside ``attempt(_:_:)``; it never leaves the library.
public struct PluginError: Error {
  public let status: Int32
  public let message: String

  public init(_ status: Int32, _ message: String) {
    self.status = status
    self.message = message
  }

  /// The parameter has no such value: `CODI_BAD_PARAMETER`.
  public static func parameter(_ message: String) -> PluginError { PluginError(CODI_BAD_PARAMETER, message) }

  /// A view has the wrong size, channels or reach: `CODI_BAD_REGION`.
  public static func region(_ message: String) -> PluginError { PluginError(CODI_BAD_REGION, message) }

  /// The host asked to stop: `CODI_CANCELLED`.
  public static var cancelled: PluginError { PluginError(CODI_CANCELLED, "Cancelled.") }
}

/// Runs `body` and turns what it throws into a status and a sentence in the host's buffer of `CODI_ERROR_SIZE` bytes.
public func attempt(_ error: UnsafeMutablePointer<CChar>?, _ body: () throws(PluginError) -> Void) -> Int32 {
  do {
    try body()
    return CODI_OK
  } catch let failure {
    if let error {
      var end = 0
      for byte in failure.message.utf8 where end < Int(CODI_ERROR_SIZE) - 1 {
        error[end] = CChar(bitPattern: byte)
        end += 1
      }
      error[end] = 0
    }
    return failure.status
  }
}
