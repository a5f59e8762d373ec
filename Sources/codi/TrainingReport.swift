import Bundles
import Distillation
import Foundation
import Pipelines
import Tensor

/// What `codi train` says: a bar and sentences on stderr, with `--json` one object a line on stdout.
struct TrainingReport: Sendable {
  private let folder: RunFolder
  private let output: OutputOptions
  private let bar: ProgressBar
  private let isFirst: Bool

  /// - Parameter ranks: of several processes the first one speaks.
  init(_ folder: RunFolder, _ output: OutputOptions, _ ranks: Ranks = .alone) {
    self.folder = folder
    var output = output
    if !ranks.isFirst { (output.json, output.quiet) = (false, true) }
    self.output = output
    isFirst = ranks.isFirst
    bar = ProgressBar(quiet: output.quiet)
  }

  /// Says now and then how many pictures have been read.
  var loading: @Sendable (Int, Int) -> Void {
    let output = output
    return { done, total in if done % 1000 == 0 || done == total { output.say("read \(done) of \(total) pictures") } }
  }

  /// Tells a slower type of activations than the recipe's; counts and names the photographs that are left out.
  func start(leftOut broken: [Photographs.Broken], wanted: DType, precision: DType) {
    if precision != wanted {
      output.say("this CPU has no bfloat16 that may be used: training in float32, which is slower")
    }
    guard !broken.isEmpty, isFirst else { return }
    let shown = broken.prefix(20).map { "  \($0.name): \($0.reason)\n" }.joined()
    let rest = broken.count > 20 ? "  and \(broken.count - 20) more\n" : ""
    // Said when quiet, too: what is missing changes what comes out.
    StandardStreams.say("pictures that cannot be used and are left out: \(broken.count)\n\(shown)\(rest)")
  }

  /// Called about once a second.
  func show(_ p: TrainingProgress) {
    bar.show(
      Double(p.samples) / Double(max(1, p.total)),
      "\(p.samples)/\(p.total) samples, loss \(String(format: "%.4f", p.loss)), "
        + "\(Int(p.samplesPerSecond)) samples/s, \(ProgressBar.duration(p.remaining)) left")
    guard output.json else { return }
    output.printLine(
      OutputOptions.line([
        "event": "progress", "step": p.step, "samples": p.samples, "total": p.total, "loss": p.loss,
        "samples-per-second": p.samplesPerSecond,
      ]))
  }

  /// A run in trouble, said when quiet too: it may cost days.
  func notice(_ text: String) {
    guard isFirst else { return }
    if output.json { output.printLine(OutputOptions.line(["event": "warning", "reason": text])) }
    StandardStreams.say("warning: \(text)\n")
  }

  /// The last line, and the page of the run.
  /// - Throws: the exit code of a run that was stopped, so that `codi train … && codi pack …` ships no half of one.
  func finish(_ end: TrainingEnd) throws {
    bar.finish()
    let page = folder.url.appending(path: "report.html").path
    try TrainingPage(folder.url).write(to: page)
    switch end {
    case .finished:
      output.report(
        ["event": "finished", "run": folder.url.path, "report": page],
        text: "finished: \(folder.url.path)\nlook at \(page)")
    case .stopped:
      output.report(
        ["event": "stopped", "run": folder.url.path, "report": page],
        text: "stopped; the same command goes on: \(folder.url.path)")
      throw Exit.Code(Interruption.exit)
    }
  }
}
