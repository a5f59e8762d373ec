internal import Adapters
internal import Bundles
internal import Foundation
internal import Imaging
internal import Networks
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
  private let queue = NetworkQueue()

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

    let convert: @Sendable (Work, Int) async -> Outcome = { work, pixels in
      let weight = weight(work)
      return await process(
        work, pixels, settings: agenda.settings[work.settings],
        progress: { share in
          progress(
            pace.withLock {
              $0.go(share * weight)
              return $0.progress(at: elapsed())
            })
        }, shouldStop: shouldStop)
    }

    // What is in memory at a time has a bound; the tasks end with the group.
    await withTaskGroup(of: Outcome.self) { group in
      var waiting = agenda.todo.makeIterator()
      var isStopped = options.onError == .stop && !unusable.isEmpty
      var room = Room(jobs: options.jobs, region: chain.options.region)
      var next = waiting.next().map { ($0, resultPixels(of: $0)) }
      func add() {
        while !isStopped, !shouldStop(), let (work, pixels) = next, room.take(pixels, isAlone: work.isSuspect) {
          group.addTask { await convert(work, pixels) }
          next = waiting.next().map { ($0, resultPixels(of: $0)) }
        }
      }
      add()
      for await outcome in group {
        room.give(outcome.pixels)
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

  /// Pixels of a result, judged by the header of its source; none where that cannot be read, which fails soon.
  private func resultPixels(of work: Work) -> Int {
    (try? probe(plan.items[work.number].input)).map { resultPixels(of: $0) } ?? 0
  }

  private func resultPixels(of header: PictureHeader) -> Int {
    chain.stages.reduce(header.width * header.height) { pixels, stage in
      // From a whole picture on, sizes are the core's own.
      if stage.adapter.manifest.isWhole {
        let side = stage.adapter.core.network.configuration.nativeSize
        return side * side
      }
      let (made, isTooMuch) = pixels.multipliedReportingOverflow(by: stage.scale * stage.scale)
      return isTooMuch ? .max : made
    }
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
    /// Of its result, as its header was read when it was begun.
    let pixels: Int
    /// Why attempts before the last failed.
    var retried: [String] = []
    var end: End
  }

  /// From file to file, again and again within the limit.
  private func process(
    _ work: Work, _ pixels: Int, settings: Chain.Settings, progress: @escaping @Sendable (Double) -> Void,
    shouldStop: @escaping @Sendable () -> Bool
  ) async -> Outcome {
    let item = plan.items[work.number]
    var record = ItemRecord(output: plan.key(of: item), input: item.input, making: work.making, attempts: work.attempts)
    var outcome = Outcome(work: work, pixels: pixels, end: .abandoned)
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
    try checkRows(item, settings)
    let made =
      try isLarge(item)
      ? await convertInRows(item, settings, &record, &timing, progress, shouldStop)
      : await convertAtOnce(item, settings, &record, &timing, progress, shouldStop)
    // Pixels and digest are read one after the other: they must be those of one file.
    guard Stamp(of: item.input) == record.inputStamp else {
      throw ConversionError(
        .changed, at: item.input, "It was changed while it was converted.", remedy: "Run the same command again.")
    }
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
    try chain.canConvertInRows && resultPixels(of: try probe(item.input)) >= options.rowsFrom
  }

  /// Decodes, converts and encodes, each on a thread of its own, so that other pictures can be at the other steps.
  private func convertAtOnce(
    _ item: JobItem, _ settings: Chain.Settings, _ record: inout ItemRecord, _ timing: inout ItemTiming,
    _ progress: @escaping @Sendable (Double) -> Void, _ shouldStop: @escaping @Sendable () -> Bool
  ) async throws -> Made {
    try checkChainResult(item)
    let (source, digest, others) = try timed(&timing.decode) {
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
    let (picture, seconds) = try await chain.convert(
      source, with: others.mapValues(\.picture), digest: digest, settings, in: queue, progress: progress,
      shouldStop: shouldStop)
    timing.network = seconds
    return try timed(&timing.encode) {
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
    let (digest, others) = try timed(&timing.decode) {
      (try Self.digest(of: item.input, shouldStop), try item.others.mapValues { try Self.digest(of: $0, shouldStop) })
    }
    record.inputDigest = hex(digest)
    record.note(others)
    let (made, seconds) = try await Compute.run { () throws in
      if shouldStop() { throw CancellationError() }
      var seconds = 0.0
      let made = try timed(&seconds) {
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
    return try timed(&timing.encode) {
      var hash = SHA256()
      try made.file.read { hash.update(Data($0)) }
      return Made(file: made.file, digest: hex(hash.digest()), width: made.width, height: made.height)
    }
  }

  /// SHA-256 of a file, as long as it is when the reading begins: one that grows meanwhile has an end, too.
  private static func digest(of path: String, _ shouldStop: () -> Bool) throws -> [UInt8] {
    var hash = SHA256()
    var left = Stamp(of: path)?.size ?? 0
    let file = try FileHandle(forReadingFrom: URL(filePath: path))
    while left > 0, let part = try file.read(upToCount: min(Int(left), 1 << 20)), !part.isEmpty {
      if shouldStop() { throw CancellationError() }
      hash.update(part)
      left -= numericCast(part.count)
    }
    return hash.digest()
  }
}
