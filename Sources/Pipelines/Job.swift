internal import Bundles
internal import Foundation
internal import Imaging
internal import Synchronization
internal import Tensor

/// Runs a plan and writes a journal: decodes and encodes some pictures while another is in the network, goes on after a
/// broken one, and leaves alone what an earlier run finished.
public struct Job: Sendable {
  public let plan: JobPlan
  public let chain: Chain
  public let journal: Journal
  public let options: JobOptions

  public init(_ plan: JobPlan, _ chain: Chain, _ journal: Journal, options: JobOptions = JobOptions()) {
    self.plan = plan
    self.chain = chain
    self.journal = journal
    self.options = options
  }

  /// Looks at what is there, then converts the rest. Every result appears complete or not at all.
  /// - Parameters:
  ///   - events: called in order, never twice at a time.
  ///   - shouldStop: asked between regions; pictures that were begun are then abandoned.
  /// - Throws: `ConversionError` before the first conversion, as `agenda` does.
  public func run(
    events: @escaping @Sendable (JobEvent) -> Void, progress: @escaping @Sendable (JobProgress) -> Void = { _ in },
    shouldStop: @escaping @Sendable () -> Bool = { false }
  ) async throws -> JobResult {
    let start = ContinuousClock.now
    let agenda = try agenda()
    sweep()
    events(
      .started(items: agenda.todo.count + agenda.skipped.count, skipped: agenda.skipped.count, share: options.share))
    for (number, reason) in agenda.skipped { events(.skipped(plan.items[number], reason)) }
    var result = JobResult()
    result.skipped = agenda.skipped.count
    let total = agenda.todo.reduce(0) { $0 + weight($1) }
    let pace = Mutex(Pace(items: agenda.todo.count, total: total))
    let elapsed: @Sendable () -> Double = { (ContinuousClock.now - start) / .seconds(1) }

    let convert: @Sendable (Work) async -> Outcome = { work in
      let weight = weight(work)
      return await process(
        work, settings: agenda.settings[work.settings],
        progress: { share in
          progress(
            pace.withLock {
              $0.go(share * weight)
              return $0.progress(at: elapsed())
            })
        }, shouldStop: shouldStop)
    }

    // So many pictures are in memory at a time; the tasks end with the group.
    await withTaskGroup(of: Outcome.self) { group in
      var waiting = agenda.todo.makeIterator()
      var isStopped = false
      func add() {
        guard !isStopped, !shouldStop(), let work = waiting.next() else { return }
        group.addTask { await convert(work) }
      }
      for _ in 0..<max(1, options.jobs) { add() }
      for await outcome in group {
        let item = plan.items[outcome.work.number]
        for (attempt, reason) in outcome.retried.enumerated() {
          events(.retried(item, attempt: attempt + 1, reason: reason))
        }
        switch outcome.end {
        case .converted(let made):
          result.converted += 1
          events(.converted(item, made))
        case .failed(let reason):
          result.failures.append(.init(item: item, reason: reason))
          if options.onError == .stop { isStopped = true }
          events(.failed(item, attempts: outcome.retried.count + 1, reason: reason))
        case .abandoned: isStopped = true
        }
        if case .abandoned = outcome.end {
        } else {
          progress(
            pace.withLock {
              $0.finish(weight(outcome.work), at: elapsed())
              return $0.progress(at: elapsed())
            })
        }
        add()
      }
    }
    result.remaining = agenda.todo.count - result.converted - result.failures.count
    events(.finished(result, seconds: elapsed()))
    return result
  }

  private func weight(_ work: Work) -> Double { Pace.weight(bytes: Stamp(of: plan.items[work.number].input)?.size) }

  /// Removes what writers that were killed left in the folders for results.
  private func sweep() {
    for folder in Set(plan.items.map { ($0.output as NSString).deletingLastPathComponent }) {
      StagedFile.sweep(folder.isEmpty ? "." : folder)
    }
  }
}

// MARK: - One picture

extension Job {
  private struct Outcome: Sendable {
    enum End {
      case converted(JobEvent.Conversion)
      case failed(String)
      case abandoned
    }
    let work: Work
    /// Why attempts before the last failed.
    var retried: [String] = []
    var end: End
  }

  /// From file to file, again and again within the limit.
  private func process(
    _ work: Work, settings: Chain.Settings, progress: @escaping @Sendable (Double) -> Void,
    shouldStop: @escaping @Sendable () -> Bool
  ) async -> Outcome {
    let item = plan.items[work.number]
    var record = ItemRecord(output: plan.key(of: item), input: item.input, making: work.making, attempts: work.attempts)
    var outcome = Outcome(work: work, end: .abandoned)
    while true {
      do {
        if shouldStop() { throw CancellationError() }
        let made = try await attempt(item, settings, &record, progress, shouldStop)
        outcome.end = .converted(
          .init(
            width: made.width, height: made.height, digest: made.digest, seed: settings.seed,
            attempts: outcome.retried.count + 1, timing: record.timing ?? ItemTiming()))
        return outcome
      } catch is CancellationError {
        if record.state == .running {
          record.state = .planned
          record.attempts -= 1
          // Where this cannot be noted the next start finds the picture begun, and begins it again.
          try? journal.save(record)
        }
        return outcome
      } catch {
        let reason = "\(error)"
        guard outcome.retried.count < options.retries else {
          record.state = .failed
          record.error = reason
          try? journal.save(record)
          outcome.end = .failed(reason)
          return outcome
        }
        outcome.retried.append(reason)
      }
    }
  }

  private func attempt(
    _ item: JobItem, _ settings: Chain.Settings, _ record: inout ItemRecord,
    _ progress: @escaping @Sendable (Double) -> Void, _ shouldStop: @escaping @Sendable () -> Bool
  ) async throws -> ItemRecord.Result {
    record.state = .running
    record.attempts += 1
    record.started = Date.now.timeIntervalSince1970
    try journal.save(record)

    var timing = ItemTiming()
    record.inputStamp = Stamp(of: item.input)
    let source = try Self.timed(&timing.decode) { try Self.read(item.input) }
    record.inputDigest = hex(source.digest)

    let (picture, seconds) = try await Compute.run { () throws in
      if shouldStop() { throw CancellationError() }
      lane.enter(width: source.picture.width, height: source.picture.height)
      var seconds = 0.0
      let picture = try Self.timed(&seconds) {
        try chain.converters(settings)
          .convert(source.picture, digest: source.digest, progress: progress, shouldStop: shouldStop)
      }
      return (picture, seconds)
    }
    timing.network = seconds

    let (file, digest) = try Self.timed(&timing.encode) {
      guard let format = PictureFormat(path: item.output) else {
        throw ConversionError(.options, at: item.output, "The name says no format.", remedy: "End it in .png.")
      }
      let bytes = try encode(picture, as: format)
      return (try StagedFile(bytes, for: item.output), hex(SHA256.digest(of: Data(bytes))))
    }
    // The journal comes first: a file that gets its name without an entry could not be told from somebody else's.
    let result = ItemRecord.Result(
      digest: digest, stamp: Stamp(size: file.size, time: file.time), width: picture.width, height: picture.height)
    record.state = .done
    (record.result, record.timing, record.error) = (result, timing, nil)
    try journal.save(record)
    try file.publish()
    return result
  }

  /// The decoded picture and the SHA-256 of its file.
  private static func read(_ path: String) throws -> (picture: Picture, digest: [UInt8]) {
    // Decoding comes first: it refuses what is no regular file, such as a pipe that would never end.
    let picture = try readPicture(path)
    var hash = SHA256()
    let file = try FileHandle(forReadingFrom: URL(filePath: path))
    while let part = try file.read(upToCount: 1 << 20), !part.isEmpty { hash.update(part) }
    return (picture, hash.digest())
  }

  private static func timed<R>(_ seconds: inout Double, _ body: () throws -> R) rethrows -> R {
    let start = ContinuousClock.now
    defer { seconds += (ContinuousClock.now - start) / .seconds(1) }
    return try body()
  }
}

private func hex(_ digest: [UInt8]) -> String {
  digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

/// The compute thread's memory of the last picture's size.
@Compute private final class Lane {
  private var size: (width: Int, height: Int)?

  nonisolated init() {}

  /// Blocks of the last size would only pile up beside those of the next.
  func enter(width: Int, height: Int) {
    if let size, size != (width, height) { trimMemoryPool() }
    size = (width, height)
  }
}

private let lane = Lane()
