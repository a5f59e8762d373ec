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
  /// Parameters beside the trained ones that a resumed run needs: a target network.
  let extra: [Parameter]
  /// What a resumed run must find unchanged beside its recipe.
  let identity: [String: String]
  private var counters = Checkpoint.Progress()

  init(
    _ folder: RunFolder, _ options: TrainingOptions, _ optimiser: AdamW, extra: [Parameter] = [],
    identity: [String: String] = [:]
  ) {
    self.folder = folder
    self.options = options
    self.optimiser = optimiser
    self.extra = extra
    self.identity = identity
  }

  /// Samples seen so far.
  var samples: Int { counters.samples }

  /// Runs until the recipe's samples are seen or `shouldStop` says so; resumes where the folder's checkpoint ends.
  /// - Parameters:
  ///   - step: computes one step's gradients.
  ///   - afterStep: called after each update, for example to move a target network.
  ///   - sheet: draws sample pictures with the averaged weights; `nil` for none.
  func run(
    threads: ThreadCount = .all, step: (Int) throws -> Outcome, afterStep: () throws -> Void = {},
    sheet: () throws -> Bitmap?, shouldStop: () -> Bool, report: (TrainingProgress) -> Void
  ) throws -> TrainingEnd {
    try folder.locked {
      try runLocked(
        threads: threads, step: step, afterStep: afterStep, sheet: sheet, shouldStop: shouldStop, report: report)
    }
  }

  private func runLocked(
    threads: ThreadCount, step: (Int) throws -> Outcome, afterStep: () throws -> Void,
    sheet: () throws -> Bitmap?, shouldStop: () -> Bool, report: (TrainingProgress) -> Void
  ) throws -> TrainingEnd {
    Checkpoint.removeStale(beside: folder.checkpoint)
    counters = Checkpoint.Progress()
    if folder.hasCheckpoint {
      counters = try Checkpoint.load(into: optimiser, extra: extra, identity: identity, from: folder.checkpoint)
      // Nothing is written again, so that asking twice changes nothing.
      if counters.samples >= options.samples { return .finished }
    }
    let log = try MetricsLog(folder, upTo: counters.step)
    let clock = ContinuousClock()
    var (lastReport, lastSave) = (clock.now, clock.now)
    var (reportedSamples, reportLoss) = (counters.samples, (sum: 0.0, count: 0))
    var speed = 0.0
    var choice = ThreadChoice(threads)

    while counters.samples < options.samples {
      if shouldStop() {
        try save(log)
        return .stopped
      }
      choice.beforeStep()
      let started = clock.now
      let outcome = try step(counters.step)
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
      try afterStep()
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
        try log.append(counters.pending.line(step: counters.step, samples: counters.samples))
        counters.pending = MetricsMean()
      }
      if options.sheetEvery > 0, before / options.sheetEvery != counters.samples / options.sheetEvery,
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
    if let picture = try sheet() {
      try Data(encodePNG(picture)).write(to: folder.sheet(at: counters.samples), options: .atomic)
    }
    if reportLoss.count > 0 { report(progress(loss: reportLoss.sum / Double(reportLoss.count), speed)) }
    return .finished
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

  private func save(_ log: MetricsLog) throws {
    let state = extra.map { (name: $0.name, tensor: $0.value) }
    try Checkpoint.save(optimiser, extra: state, counters, identity: identity, to: folder.checkpoint)
    let curve = LossCurve.svg(log.lines, title: "\(folder.url.lastPathComponent): loss")
    try Data(curve.utf8).write(to: folder.lossCurve, options: .atomic)
  }
}
