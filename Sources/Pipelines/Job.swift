internal import Bundles
internal import Foundation
internal import Imaging
internal import Registry
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
    // One share tells of what all have found.
    let unusable = options.share.index == 0 ? plan.unusable : []
    events(
      .started(
        items: agenda.todo.count + agenda.skipped.count + unusable.count, skipped: agenda.skipped.count,
        share: options.share))
    for (number, reason) in agenda.skipped { events(.skipped(plan.items[number], reason)) }
    var result = JobResult()
    result.skipped = agenda.skipped.count
    result.failures = unusable
    for failure in unusable { events(.failed(failure.item, attempts: 0, reason: failure.reason)) }
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
      var isStopped = options.onError == .stop && !unusable.isEmpty
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
    result.remaining = agenda.todo.count - result.converted - (result.failures.count - unusable.count)
    result.bytes = peakMemory
    events(.finished(result, seconds: elapsed()))
    return result
  }

  private func weight(_ work: Work) -> Double { Pace.weight(bytes: Stamp(of: plan.items[work.number].input)?.size) }

  /// Removes what writers that were killed left in the folders for results.
  private func sweep() {
    for folder in Set(plan.items.map { PathText.folder(of: $0.output) }) {
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
      } catch  where shouldStop() && Self.isCancellation(error) {
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

  /// What stopping looks like from here, and from a plugin that was asked to stop.
  private static func isCancellation(_ error: any Error) -> Bool {
    error is CancellationError || (error as? PluginError)?.code == .cancelled
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
    record.begin(item)
    let made =
      try isLarge(item)
      ? await convertInRows(item, settings, &record, &timing, progress, shouldStop)
      : await convertAtOnce(item, settings, &record, &timing, progress, shouldStop)
    // The journal comes first: a file that gets its name without an entry could not be told from somebody else's.
    let result = ItemRecord.Result(
      digest: made.digest, stamp: Stamp(size: made.file.size, time: made.file.time), width: made.width,
      height: made.height)
    record.state = .done
    (record.result, record.timing, record.error) = (result, timing, nil)
    try journal.save(record)
    try made.file.publish()
    return result
  }

  /// A result that waits for its name.
  private struct Made: Sendable {
    let file: StagedFile
    let digest: String
    let width, height: Int
  }

  /// Whether a picture is converted in rows; judged without the plugin and the compute thread, which are busy with another
  /// picture.
  private func isLarge(_ item: JobItem) throws -> Bool {
    guard chain.canConvertInRows else { return false }
    let header = try probe(item.input)
    return header.width * header.height * chain.stages[0].scale * chain.stages[0].scale >= options.rowsFrom
  }

  /// Decodes, converts and encodes, each on a thread of its own, so that other pictures can be at the other steps.
  private func convertAtOnce(
    _ item: JobItem, _ settings: Chain.Settings, _ record: inout ItemRecord, _ timing: inout ItemTiming,
    _ progress: @escaping @Sendable (Double) -> Void, _ shouldStop: @escaping @Sendable () -> Bool
  ) async throws -> Made {
    try checkChainResult(item)
    let (source, digest, others) = try Self.timed(&timing.decode) {
      func read(_ path: String) throws -> (picture: Picture, digest: [UInt8]) {
        // Decoding comes first: it refuses what is no regular file, such as a pipe that would never end.
        guard let picture = try readPicture(path, shouldStop: shouldStop) else { throw CancellationError() }
        return (picture, try Self.digest(of: path, shouldStop))
      }
      let source = try read(item.input)
      return (source.picture, source.digest, try item.others.mapValues(read))
    }
    record.inputDigest = hex(digest)
    record.note(others.mapValues(\.digest))
    let (picture, seconds) = try await Compute.run { () throws in
      if shouldStop() { throw CancellationError() }
      lane.enter(width: source.width, height: source.height)
      var seconds = 0.0
      let picture = try Self.timed(&seconds) {
        try chain.converters(settings).convert(
          source, with: others.mapValues(\.picture), digest: digest, progress: progress, shouldStop: shouldStop)
      }
      return (picture, seconds)
    }
    timing.network = seconds
    return try Self.timed(&timing.encode) {
      guard let format = PictureFormat(path: item.output) else {
        throw ConversionError(.options, at: item.output, "The name says no format.", remedy: "End it in .png.")
      }
      var picture = picture
      picture.metadata = chain.metadata(
        picture.metadata, settings, source: digest, others: others.mapValues(\.digest), for: format)
      let bytes = try encode(picture, as: format)
      return Made(
        file: try StagedFile(bytes, for: item.output), digest: hex(SHA256.digest(of: Data(bytes))),
        width: picture.width, height: picture.height)
    }
  }

  /// Converts a picture whose result would take too much memory as a whole.
  private func convertInRows(
    _ item: JobItem, _ settings: Chain.Settings, _ record: inout ItemRecord, _ timing: inout ItemTiming,
    _ progress: @escaping @Sendable (Double) -> Void, _ shouldStop: @escaping @Sendable () -> Bool
  ) async throws -> Made {
    let (digest, others) = try Self.timed(&timing.decode) {
      (try Self.digest(of: item.input, shouldStop), try item.others.mapValues { try Self.digest(of: $0, shouldStop) })
    }
    record.inputDigest = hex(digest)
    record.note(others)
    let (made, seconds) = try await Compute.run { () throws in
      if shouldStop() { throw CancellationError() }
      var seconds = 0.0
      let made = try Self.timed(&seconds) {
        guard let converter = try chain.converters(settings).first else {
          throw ConversionError(.options, at: "chain", "It has no adapter.", remedy: "Name one with --adapter.")
        }
        return try converter.convert(
          file: item.input, with: converter.inputs.dropFirst().compactMap { item.others[$0.name] }, digest: digest,
          to: item.output,
          metadata: {
            chain.metadata($0, settings, source: digest, others: others, for: PictureFormat(path: item.output))
          },
          progress: { done, all in progress(Double(done) / Double(max(1, all))) }, shouldStop: shouldStop)
      }
      return (made, seconds)
    }
    timing.network = seconds
    return try Self.timed(&timing.encode) {
      var hash = SHA256()
      try made.file.read { hash.update(Data($0)) }
      return Made(file: made.file, digest: hex(hash.digest()), width: made.width, height: made.height)
    }
  }

  /// SHA-256 of a file.
  private static func digest(of path: String, _ shouldStop: () -> Bool) throws -> [UInt8] {
    var hash = SHA256()
    let file = try FileHandle(forReadingFrom: URL(filePath: path))
    while let part = try file.read(upToCount: 1 << 20), !part.isEmpty {
      if shouldStop() { throw CancellationError() }
      hash.update(part)
    }
    return hash.digest()
  }

  private static func timed<R>(_ seconds: inout Double, _ body: () throws -> R) rethrows -> R {
    let start = ContinuousClock.now
    defer { seconds += (ContinuousClock.now - start) / .seconds(1) }
    return try body()
  }
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
