/// How registries elsewhere are talked to.
public struct Network: Sendable {
  /// Refuses every registry elsewhere before a socket is made.
  public var isOffline = false
  /// Allows addresses without encryption also where the host is not this machine.
  public var allowsPlain = false
  public var credentials = Credentials()
  /// Who may vouch for the hosts of registries.
  public var authorities = CertificateAuthorities()
  /// How often the same request is tried in vain; a download that moves on starts to count anew.
  public var attempts = 5
  /// Seconds before the second attempt; each further pause is twice as long, half of it at random.
  public var firstPause = 0.5
  /// Seconds that no pause exceeds, neither by doubling nor because a server asks for it.
  public var longestPause = 60.0
  /// Seconds for making a connection.
  public var connectSeconds = 15
  /// Seconds during which fewer than 1024 bytes a second may arrive.
  public var stallSeconds = 30
  /// Bytes that an upload sends at a time.
  public var chunk = 32 << 20
  /// Asked again and again while something moves: whether the user wants it to stop.
  public var isStopped: @Sendable () -> Bool = { false }
  /// Told how far a download is.
  public var progress: @Sendable (_ digest: String, _ bytes: Int, _ of: Int) -> Void = { _, _, _ in }
  /// Told in one sentence why something is tried again.
  public var note: @Sendable (String) -> Void = { _ in }

  public init() {}
}
