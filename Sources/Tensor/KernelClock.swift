internal import Synchronization

/// Time that has passed inside oneDNN, in all and by kind of work: what remains of a run is time that this project can
/// shorten.
public enum KernelClock {
  /// One row of a trace.
  public struct Row: Sendable {
    /// What was computed: part, shape, implementation.
    public let work: String
    public let calls: Int
    public let seconds: Double
    /// Arithmetic of all calls, in 10⁹ operations; 0 for what only moves data.
    public let gigaflop: Double
  }

  private static let nanoseconds = Atomic<UInt64>(0)
  private static let isTracing = Atomic<Bool>(false)
  private static let rows = Mutex<[String: (calls: Int, seconds: Double, gigaflop: Double)]>([:])

  /// Seconds inside oneDNN so far, over all threads that called it.
  public static var secondsInOneDNN: Double { Double(nanoseconds.load(ordering: .relaxed)) * 1e-9 }

  /// Runs `body` and returns where its time went, longest first: every call of oneDNN, and the larger operations beside it.
  public static func trace(_ body: () throws -> Void) rethrows -> [Row] {
    rows.withLock { $0 = [:] }
    isTracing.store(true, ordering: .relaxed)
    defer { isTracing.store(false, ordering: .relaxed) }
    try body()
    return rows.withLock { rows in
      rows.map { Row(work: $0.key, calls: $0.value.calls, seconds: $0.value.seconds, gigaflop: $0.value.gigaflop) }
    }.sorted { $0.seconds > $1.seconds }
  }

  /// Runs `body`, an operation of our own; timed in a trace only.
  static func note<R>(_ work: @autoclosure () -> String, gigaflop: Double = 0, _ body: () -> R) -> R {
    guard isTracing.load(ordering: .relaxed) else { return body() }
    let start = ContinuousClock.now
    let result = body()
    add(work(), (ContinuousClock.now - start) / .seconds(1), gigaflop)
    return result
  }

  private static func add(_ work: String, _ seconds: Double, _ gigaflop: Double) {
    rows.withLock { rows in
      let old = rows[work] ?? (0, 0, 0)
      rows[work] = (old.calls + 1, old.seconds + seconds, old.gigaflop + gigaflop)
    }
  }

  /// Runs `body`, a call into oneDNN, and adds its time.
  static func measure<R>(_ work: @autoclosure () -> String, gigaflop: Double, _ body: () -> R) -> R {
    let start = ContinuousClock.now
    let result = body()
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    nanoseconds.wrappingAdd(UInt64(max(0, seconds) * 1e9), ordering: .relaxed)
    if isTracing.load(ordering: .relaxed) { add(work(), seconds, gigaflop) }
    return result
  }
}
