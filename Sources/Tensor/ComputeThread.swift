internal import CKernels
internal import Foundation

/// The one operating-system thread that all tensor work of a process goes through.
///
/// libgomp keeps a pool of helpers for each thread that calls it, and Swift's tasks hop between threads; a global actor on
/// a thread of its own keeps one pool.
@globalActor public actor Compute {
  public static let shared = Compute()
  private let executor = ThreadExecutor(name: "compute")
  public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  /// Runs `body` on the compute thread.
  @Compute public static func run<R: Sendable, E: Error>(_ body: @Compute @Sendable () throws(E) -> R) async throws(E)
    -> R
  {
    try body()
  }

  /// How many threads an operation is shared among, at least 1; at first `OMP_NUM_THREADS` or the number of cores.
  @Compute public static var threads: Int {
    get { Int(ck_threads()) }
    set { ck_set_threads(Int32(clamping: newValue)) }
  }
}

/// A serial executor on its own thread. Unchecked: `jobs` is guarded by `condition`.
private final class ThreadExecutor: SerialExecutor, @unchecked Sendable {
  private let condition = NSCondition()
  private var jobs: [UnownedJob] = []

  init(name: String) {
    let thread = Thread { [unowned self] in self.loop() }
    thread.name = name
    thread.stackSize = 8 << 20
    thread.start()
  }

  private func loop() -> Never {
    while true {
      condition.lock()
      while jobs.isEmpty { condition.wait() }
      let job = jobs.removeFirst()
      condition.unlock()
      job.runSynchronously(on: asUnownedSerialExecutor())
    }
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    condition.lock()
    jobs.append(job)
    condition.signal()
    condition.unlock()
  }
}
