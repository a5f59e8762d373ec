/// What is wrong with a bundle or one of its files, where, why, and what to do next.
public struct BundleError: Error, Sendable, CustomStringConvertible {
  /// What went wrong: stable, for `catch` and for tests.
  public enum Code: String, Sendable, CaseIterable {
    /// A file cannot be opened, read, written, or moved.
    case inputOutput
    /// Text that is not well-formed: YAML, JSON, versions, sums.
    case syntax
    /// Well-formed, but outside the strict profile that bundles keep.
    case forbidden
    /// Larger, deeper, or more numerous than allowed.
    case limit
    case unknownKey, missingKey, invalidValue
    /// A format or bundle made for a newer program.
    case unsupportedFormat
    /// A zip that breaks the format or the bundle profile.
    case badArchive
    /// A safetensors file that breaks the format.
    case badTensorFile
    case missingEntry, unlistedEntry, checksumMismatch
    case missingTensor, wrongShape, notFinite
    /// A signature that is not one of these bytes, or is for another bundle.
    case badSignature
    /// Signed by another key than the one asked for.
    case wrongKey
    case wrongPassword
    /// No plugin library for this platform, or one of another ABI.
    case unsupportedPlugin
  }

  public let code: Code
  /// Where: file, entry, tensor, or `file:line:column`.
  public let location: String
  /// Why: what was expected and what was found.
  public let reason: String
  /// Next: the edit or command that fixes it.
  public let remedy: String

  public init(_ code: Code, at location: String, _ reason: String, remedy: String) {
    self.code = code
    self.location = location
    self.reason = reason
    self.remedy = remedy
  }

  public var description: String { "\(location): \(reason) \(remedy)" }
}
