internal import Bundles
internal import Foundation
internal import Imaging
internal import Tensor

/// Where a run is, for a progress bar.
public struct TrainingProgress: Sendable {
  public var step, samples, total: Int
  /// Mean loss since the last report.
  public var loss: Double
  public var samplesPerSecond: Double
  /// Seconds until the end at the present speed.
  public var remaining: Double
}

/// How a run ended.
public enum TrainingEnd: Sendable, Hashable { case finished, stopped }

/// What core and adapter training share: steps, learning rate, checkpoints, metrics, pictures, stopping and resuming.
@Compute final class TrainingLoop {
  /// One step's result. `values` are logged under their names.
  struct Outcome {
    var loss: Float
    var gradients: Gradients
    var samples: Int
    var values: [String: Double]
  }

  let folder: RunFolder
  let options: TrainingOptions
  let optimiser: AdamW
  /// Networks beside the trained one that a resumed run needs, by name: a target, a teacher.
  let extra: [String: [Parameter]]
  /// What a resumed run must find unchanged beside its recipe.
  let identity: [String: String]
  let ranks: Ranks
  let diagnostics: DiagnosticsOptions?
  private var counters = Checkpoint.Progress()

  init(
    _ folder: RunFolder, _ options: TrainingOptions, _ optimiser: AdamW, extra: [String: [Parameter]] = [:],
    identity: [String: String] = [:], ranks: Ranks = .alone, diagnostics: DiagnosticsOptions? = nil
  ) {
    self.folder = folder
    self.options = options
    self.optimiser = optimiser
    self.extra = extra
    self.identity = identity
    self.ranks = ranks
    self.diagnostics = diagnostics
  }

  /// Samples seen so far.
  var samples: Int { counters.samples }

  /// Runs until the recipe's samples are seen or `shouldStop` says so; resumes where the folder's checkpoint ends.
  /// - Parameters:
  ///   - step: computes one step's gradients.
  ///   - afterStep: called after each update with the samples seen by then, for example to move a target network.
  ///   - sheet: draws sample pictures with the averaged weights; `nil` for none.
  ///   - measure: what diagnostics look at beside the losses, with the averaged weights.
  ///   - notice: takes what is to be said beside the progress.
  func run(
    threads: ThreadCount = .all, step: (Int) throws -> Outcome, afterStep: (Int) throws -> Void = { _ in },
    sheet: () throws -> Bitmap?, measure: () throws -> [String: Double] = { [:] }, shouldStop: () -> Bool,
    report: (TrainingProgress) -> Void, notice: (String) -> Void = { _ in }
  ) throws -> TrainingEnd {
    func train() throws -> TrainingEnd {
      try runLocked(
        threads: threads, step: step, afterStep: afterStep, sheet: sheet, measure: measure, shouldStop: shouldStop,
        report: report, notice: notice)
    }
    guard ranks.isFirst else { return try train() }
    return try folder.locked { try train() }
  }

  private func runLocked(
    threads: ThreadCount, step: (Int) throws -> Outcome, afterStep: (Int) throws -> Void,
    sheet: () throws -> Bitmap?, measure: () throws -> [String: Double], shouldStop: () -> Bool,
    report: (TrainingProgress) -> Void, notice: (String) -> Void
  ) throws -> TrainingEnd {
    if ranks.isFirst { Checkpoint.removeStale(beside: folder.checkpoint) }
    counters = Checkpoint.Progress()
    if folder.hasCheckpoint {
      counters = try Checkpoint.load(into: optimiser, extra: extra, identity: identity, from: folder.checkpoint)
    }
    try agree()
    // Nothing is written again, so that asking twice changes nothing.
    if folder.hasCheckpoint, counters.samples >= options.samples { return .finished }
    let log = ranks.isFirst ? try MetricsLog(folder, upTo: counters.step) : nil
    let clock = ContinuousClock()
    var (lastReport, lastSave) = (clock.now, clock.now)
    var (reportedSamples, reportLoss) = (counters.samples, (sum: 0.0, count: 0))
    var speed = 0.0
    var choice = ThreadChoice(threads)

    while counters.samples < options.samples {
      if try ranks.any(shouldStop()) {
        try save(log)
        return .stopped
      }
      choice.beforeStep()
      let started = clock.now
      let outcome = try together(try step(counters.step))
      let rate = options.rate(step: counters.step, seen: counters.samples)
      var values = outcome.values
      values["loss"] = Double(outcome.loss)
      if let (name, value) = values.sorted(by: { $0.key < $1.key }).first(where: { !$0.value.isFinite }) {
        throw diverged("\(name) is \(value).")
      }
      let norm: Float
      do {
        norm = try optimiser.update(
          outcome.gradients, rate: rate, averageDecay: options.averageDecay(step: counters.step))
      } catch { throw diverged(error.description) }
      try afterStep(counters.samples + outcome.samples)
      let before = counters.samples
      counters.step += 1
      counters.samples += outcome.samples
      values["gradient-norm"] = Double(norm)
      values["rate"] = Double(rate)
      values["threads"] = Double(Compute.threads)
      values["seconds"] = (clock.now - started) / .seconds(1)
      counters.pending.add(values)
      reportLoss = (reportLoss.sum + Double(outcome.loss), reportLoss.count + 1)

      if counters.step % options.logEvery == 0 {
        try log?.append(counters.pending.line(step: counters.step, samples: counters.samples))
        counters.pending = MetricsMean()
      }
      if let log, let diagnostics, diagnostics.every > 0,
        before / diagnostics.every != counters.samples / diagnostics.every
      {
        try diagnose(diagnostics, log, since: before / diagnostics.every * diagnostics.every, measure, notice)
      }
      if ranks.isFirst, options.sheetEvery > 0, before / options.sheetEvery != counters.samples / options.sheetEvery,
        let picture = try sheet()
      {
        try Data(encodePNG(picture)).write(to: folder.sheet(at: counters.samples), options: .atomic)
      }
      let now = clock.now
      if now - lastReport > .seconds(1) {
        speed = Double(counters.samples - reportedSamples) / ((now - lastReport) / .seconds(1))
        report(progress(loss: reportLoss.sum / Double(reportLoss.count), speed))
        (lastReport, reportedSamples, reportLoss) = (now, counters.samples, (0, 0))
      }
      if now - lastSave > .seconds(options.checkpointMinutes * 60) {
        try save(log)
        lastSave = clock.now
      }
    }
    try save(log)
    if ranks.isFirst, let picture = try sheet() {
      try Data(encodePNG(picture)).write(to: folder.sheet(at: counters.samples), options: .atomic)
    }
    if reportLoss.count > 0 { report(progress(loss: reportLoss.sum / Double(reportLoss.count), speed)) }
    return .finished
  }

  /// The mean of all processes' losses and gradients, over the samples of all.
  private func together(_ mine: Outcome) throws -> Outcome {
    guard ranks.count > 1 else { return mine }
    var (outcome, loss) = (mine, [mine.loss])
    try outcome.gradients.exchange(of: optimiser.entries.map(\.parameter), with: &loss) { try ranks.average($0) }
    outcome.loss = loss[0]
    outcome.samples *= ranks.count
    return outcome
  }

  /// Processes that begin at different places would train different networks.
  private func agree() throws {
    let step = Double(counters.step)
    let ends = try ranks.largest([step, -step])
    guard ends[0] == -ends[1] else {
      throw TrainingError(
        .run, at: folder.url.path,
        "One process begins at step \(Int(-ends[1])), another at \(Int(ends[0])): they do not see the same run folder.",
        remedy: "Set CODI_RUNS to a folder that all machines share.")
    }
  }

  /// Measures, writes a line of metrics and the curves, and says what crosses a limit.
  private func diagnose(
    _ diagnostics: DiagnosticsOptions, _ log: MetricsLog, since: Int, _ measure: () throws -> [String: Double],
    _ notice: (String) -> Void
  ) throws {
    let recent = log.lines.filter { $0.samples > since }
    let values = diagnostics.ofLosses(recent).merging(try measure()) { $1 }
    try log.append(MetricsLine(step: counters.step, samples: counters.samples, values: values))
    let share = Double(counters.samples) / Double(options.samples)
    let found = diagnostics.findings(values, share: share).map { "after \(counters.samples) samples, \($0)" }
    if !found.isEmpty {
      let before = (try? String(contentsOf: folder.log, encoding: .utf8)) ?? ""
      try Data((before + found.map { $0 + "\n" }.joined()).utf8).write(to: folder.log, options: .atomic)
    }
    found.forEach(notice)
  }

  private func diverged(_ reason: String) -> TrainingError {
    TrainingError(
      .diverged, at: "step \(counters.step)", reason,
      remedy: "The last checkpoint is left as it was; lower the rate in the recipe and use --run NAME.")
  }

  private func progress(loss: Double, _ speed: Double) -> TrainingProgress {
    TrainingProgress(
      step: counters.step, samples: counters.samples, total: options.samples, loss: loss, samplesPerSecond: speed,
      remaining: speed > 0 ? Double(options.samples - counters.samples) / speed : .infinity)
  }

  private func save(_ log: MetricsLog?) throws {
    guard let log else { return }
    try Checkpoint.save(optimiser, extra: extra, counters, identity: identity, to: folder.checkpoint)
    let curve = LossCurve.svg(log.lines, title: "\(folder.url.lastPathComponent): loss")
    try Data(curve.utf8).write(to: folder.lossCurve, options: .atomic)
    guard let diagnostics, diagnostics.every > 0, counters.samples >= diagnostics.every else { return }
    let plot = DiagnosticsPlot.svg(log.lines, diagnostics, title: folder.url.lastPathComponent)
    try Data(plot.utf8).write(to: folder.diagnosticsPlot, options: .atomic)
  }
}
