internal import Foundation

/// Makes the batches of coming steps on a thread of its own and hands them out in order.
///
/// The thread ends with `stop()`, when the prefetcher is released, or at the first error, which `next()` then throws.
public final class Prefetcher<Batch: Sendable>: Sendable {
  private let queue: Queue

  /// - Parameters:
  ///   - step: the first step to hand out.
  ///   - ahead: at most so many batches wait; at least 1.
  ///   - make: the batch of a step, called on the prefetcher's thread.
  public init(from step: Int, ahead: Int = 4, _ make: @escaping @Sendable (Int) throws -> Batch) {
    let queue = Queue()
    self.queue = queue
    // The thread holds the queue, not the prefetcher, which can therefore be released.
    let thread = Thread {
      var step = step
      while queue.hasRoom(max(1, ahead)) {
        let batch = Result { try make(step) }
        queue.put(batch)
        if case .failure = batch { break }
        step += 1
      }
      queue.finish()
    }
    thread.name = "batches"
    thread.stackSize = 4 << 20
    thread.start()
  }

  deinit { queue.close() }

  /// The next step's batch, waiting for it if need be; `nil` once stopped or after an error.
  public func next() throws -> Batch? { try queue.take()?.get() }

  /// Ends the thread and returns when it has ended.
  public func stop() {
    queue.close()
    queue.waitUntilFinished()
  }

  /// A bounded queue; every member is guarded by `condition`.
  private final class Queue: @unchecked Sendable {
    private let condition = NSCondition()
    private var batches: [Result<Batch, any Error>] = []
    private var isClosed = false
    private var isFinished = false

    private func locked<R>(_ body: () -> R) -> R {
      condition.lock()
      defer {
        condition.broadcast()
        condition.unlock()
      }
      return body()
    }

    /// Waits until there is room; false once closed.
    func hasRoom(_ limit: Int) -> Bool {
      locked {
        while batches.count >= limit, !isClosed { condition.wait() }
        return !isClosed
      }
    }

    func put(_ batch: Result<Batch, any Error>) { locked { batches.append(batch) } }

    func take() -> Result<Batch, any Error>? {
      locked {
        while batches.isEmpty, !isClosed, !isFinished { condition.wait() }
        return isClosed || batches.isEmpty ? nil : batches.removeFirst()
      }
    }

    func close() { locked { isClosed = true } }
    func finish() { locked { isFinished = true } }
    func waitUntilFinished() { locked { while !isFinished { condition.wait() } } }
  }
}
