internal import Foundation

/// What happens in a job, in order: one line of NDJSON each.
public enum JobEvent: Sendable {
  case started(items: Int)
  /// `seconds` from the start of its conversion to the finished file.
  case converted(JobItem, width: Int, height: Int, seconds: Double)
  case failed(JobItem, reason: String)
  /// Also when the job was stopped; then the two counts add up to less than the items.
  case finished(converted: Int, failed: Int, seconds: Double)

  /// Stable fields for `--json`, `event` first.
  public var json: String {
    let fields: [(String, any Encodable)] =
      switch self {
      case .started(let items): [("event", "started"), ("items", items)]
      case .converted(let item, let width, let height, let seconds):
        [
          ("event", "converted"), ("input", item.input), ("output", item.output), ("width", width), ("height", height),
          ("seconds", seconds),
        ]
      case .failed(let item, let reason):
        [("event", "failed"), ("input", item.input), ("output", item.output), ("reason", reason)]
      case .finished(let converted, let failed, let seconds):
        [("event", "finished"), ("converted", converted), ("failed", failed), ("seconds", seconds)]
      }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.withoutEscapingSlashes]
    let parts = fields.map { name, value in
      "\"\(name)\":" + ((try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "null")
    }
    return "{\(parts.joined(separator: ","))}"
  }
}
