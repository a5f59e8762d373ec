/// How a job is run; none of it changes a byte of a result.
public struct JobOptions: Sendable, Hashable {
  /// What happens where a result's name is taken by a file that the job would not write just so.
  public enum Existing: String, Sendable, CaseIterable { case skip, overwrite, error }
  /// What happens after a picture that failed.
  public enum OnError: String, Sendable, CaseIterable { case skip, stop }

  /// Pictures under way at a time, at least 1: while one is in the network others are decoded and encoded. More where they
  /// are small and several share the network (`Room`); with 1 they do not.
  public var jobs = 3
  /// Results of so many pixels and more are made row by row: decoding and encoding then no longer overlap with another
  /// picture's network, which matters little there, and memory no longer grows with the height.
  public var rowsFrom = 1 << 24
  /// Attempts after a first that failed, for each picture.
  public var retries = 0
  public var onError = OnError.skip
  public var existing = Existing.error
  public var share = Share.whole
  public init() {}
}

/// What a run of a job came to.
public struct JobResult: Sendable {
  public struct Failure: Sendable, Hashable {
    public let item: JobItem
    public let reason: String
    public init(item: JobItem, reason: String) {
      self.item = item
      self.reason = reason
    }
  }

  public var converted = 0
  /// Left alone: finished before, or in the way.
  public var skipped = 0
  public var failures: [Failure] = []
  /// Not tried: the run was stopped.
  public var remaining = 0
  /// The most memory that the process has held.
  public var bytes = 0
  public init() {}
}
