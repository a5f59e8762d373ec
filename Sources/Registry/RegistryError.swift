/// What is wrong with a registry, the store, or a request to them, where, why, and what to do next.
public struct RegistryError: Error, Sendable, CustomStringConvertible {
  /// What went wrong: stable, for `catch` and for tests.
  public enum Code: String, Sendable, CaseIterable {
    /// A name or requirement that is not written as one.
    case syntax
    case notFound
    /// A short name that several publishers use.
    case ambiguous
    /// Bytes that do not have their digest, or documents that contradict each other.
    case corrupt
    /// A published or installed version is known with other contents.
    case conflict
    /// The bundle needs another program version, platform, or plugin ABI.
    case unsupported
    /// A lock file pins something else.
    case locked
    /// The core that an adapter was made for is not there.
    case core
    /// A bundle without a signature, where one is asked for.
    case unsigned
    /// Signed by a key that is not known to be the publisher's.
    case untrusted
    /// Signed by a key that was revoked.
    case revoked
    /// Taken back by its publisher.
    case yanked
    /// A registry elsewhere shows only what is too old.
    case expired
    /// Something installed still needs it.
    case inUse
    /// A file or folder cannot be read or written.
    case inputOutput
    /// A registry elsewhere cannot be reached, or answers with an error.
    case network
    /// A registry elsewhere does not show a certificate that is accepted.
    case certificate
    /// A registry elsewhere wants credentials, or others.
    case unauthorized
    /// It would take the network, which the user forbade.
    case offline
    /// The user stopped it; what was downloaded stays for the next time.
    case stopped
  }

  public let code: Code
  /// Where: registry, store, bundle, or file.
  public let location: String
  /// Why: what was wanted and what was found.
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
