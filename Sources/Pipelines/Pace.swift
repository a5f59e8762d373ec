/// How far a job is.
public struct JobProgress: Sendable, Hashable {
  /// Pictures tried, of those to do.
  public var finished: Int
  public var items: Int
  /// Share of the work that is done, 0…1.
  public var fraction: Double
  /// Seconds left: from the pace of the whole run and from that of late, whichever is faster, to the slower one. `nil`
  /// until there is a pace.
  public var left: ClosedRange<Double>?
}

/// Guesses what is left of a job from what is done. Pictures count by the bytes of their files, for their headers are
/// not read beforehand.
package struct Pace: Sendable {
  private let total: Double
  private let items: Int
  private var finished = 0
  private var done = 0.0
  private var part = 0.0
  /// Time and work done at the last pictures' ends.
  private var recent: [(time: Double, done: Double)] = [(0, 0)]
  private static let window = 32

  package init(items: Int, total: Double) {
    self.items = items
    self.total = max(total, 1e-9)
  }

  /// What a picture counts: small files still have to be opened.
  package static func weight(bytes: Int?) -> Double { Double(max(4096, bytes ?? 0)) }

  /// The picture in the network has this much of its work done.
  package mutating func go(_ work: Double) { part = work }

  package mutating func finish(_ weight: Double, at time: Double) {
    finished += 1
    done += weight
    part = 0
    recent.append((time, done))
    if recent.count > Self.window { recent.removeFirst() }
  }

  package func progress(at time: Double) -> JobProgress {
    let now = min(total, done + part)
    var left: ClosedRange<Double>?
    if finished > 0, time > 2, let first = recent.first, now > first.done {
      let overall = (total - now) * time / now
      let late = (total - now) * (time - first.time) / (now - first.done)
      left = min(overall, late)...max(overall, late)
    }
    // A picture whose regions are done is still to be written: all is done when the last one is.
    let fraction = finished == items ? 1 : min(now / total, 0.99)
    return JobProgress(finished: finished, items: items, fraction: fraction, left: left)
  }
}
