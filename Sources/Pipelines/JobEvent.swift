internal import Foundation

/// What happens in a job: one line of NDJSON each, with the fields that Documentation/Batch.md names.
public enum JobEvent: Sendable {
  /// `items` of this share, of which `skipped` need nothing.
  case started(items: Int, skipped: Int, share: Share)
  case skipped(JobItem, SkipReason)
  case converted(JobItem, Conversion)
  /// The attempt failed; another one followed.
  case retried(JobItem, attempt: Int, reason: String)
  case failed(JobItem, attempts: Int, reason: String)
  /// Also when the job was stopped; then some items remain.
  case finished(JobResult, seconds: Double)

  public enum SkipReason: String, Sendable {
    /// The journal has it, and it is there as it was written.
    case done
    /// A file has the name, and `--existing skip` leaves it.
    case exists
  }

  /// A result that was written.
  public struct Conversion: Sendable, Hashable {
    public var width: Int
    public var height: Int
    /// SHA-256 of the result's file.
    public var digest: String
    public var seed: UInt64
    /// In this run, 1 when the first one succeeded.
    public var attempts: Int
    public var timing: ItemTiming

    public init(width: Int, height: Int, digest: String, seed: UInt64, attempts: Int, timing: ItemTiming) {
      self.width = width
      self.height = height
      self.digest = digest
      self.seed = seed
      self.attempts = attempts
      self.timing = timing
    }
  }

  /// Stable fields for `--json`, `event` first.
  public var json: String {
    let fields: [(String, any Encodable)] =
      switch self {
      case .started(let items, let skipped, let share):
        [("event", "started"), ("items", items), ("skipped", skipped), ("share", share.description)]
      case .skipped(let item, let reason): Self.fields("skipped", item) + [("reason", reason.rawValue)]
      case .converted(let item, let made):
        Self.fields("converted", item) + [
          ("width", made.width), ("height", made.height), ("sha256", made.digest), ("seed", made.seed),
          ("attempts", made.attempts), ("seconds", made.timing.total), ("timing", made.timing),
        ]
      case .retried(let item, let attempt, let reason):
        Self.fields("retried", item) + [("attempt", attempt), ("reason", reason)]
      case .failed(let item, let attempts, let reason):
        Self.fields("failed", item) + [("attempts", attempts), ("reason", reason)]
      case .finished(let result, let seconds):
        [
          ("event", "finished"), ("converted", result.converted), ("skipped", result.skipped),
          ("failed", result.failures.count), ("remaining", result.remaining), ("seconds", seconds),
          ("bytes", result.bytes), ("failures", result.failures.map { ["input": $0.item.input, "reason": $0.reason] }),
        ]
      }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
    let parts = fields.map { name, value in
      "\"\(name)\":" + ((try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "null")
    }
    return "{\(parts.joined(separator: ","))}"
  }

  private static func fields(_ event: String, _ item: JobItem) -> [(String, any Encodable)] {
    [("event", event), ("input", item.input), ("output", item.output)]
  }
}
