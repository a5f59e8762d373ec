import Adapters
import ArgumentParser
import Bundles
import Distillation
import Foundation
import Imaging
import Pipelines
import Registry
import Tensor

struct Bench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure conversion and training on this machine.",
    discussion: "Run it on an otherwise idle machine; medians of several runs are printed.")

  @Option(help: "NAME[@VERSION] of an installed adapter to measure conversion with.") var adapter = "super-resolution"
  @Option(help: "Output megapixels of the converted picture.") var megapixels = 1.0
  @Option(help: "Sampling steps of the conversion.") var steps = 4
  @Option(help: "bf16 or f32; bf16 where the CPU has it.") var precision: String?
  @Flag(help: "Leave conversion out.") var trainingOnly = false
  @Flag(help: "Print where the time inside oneDNN goes, by kind of work.") var trace = false
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let dtype = try Precision.choose(precision)
    if !trainingOnly { try await conversion(dtype) }
    for (name, batch, size) in [("core", 64, 64), ("core", 128, 32), ("adapter", 48, 64), ("adapter", 96, 32)] {
      let measured = try await Compute.run { () throws in
        name == "core"
          ? try TrainingBenchmark.core(batch: batch, size: size, precision: dtype)
          : try TrainingBenchmark.adapter(batch: batch, size: size, precision: dtype)
      }
      report(
        "train-\(name)", seconds: measured.seconds, outside: measured.outside,
        ["batch": batch, "size": size, "samples-per-second": Double(batch) / measured.median],
        "\(batch) × \(size)²: \(Int(Double(batch) / measured.median)) samples/s")
      if trace { show(measured.trace) }
    }
  }

  private func show(_ rows: [KernelClock.Row]) {
    for row in rows {
      output.emit(
        ["work": row.work, "calls": row.calls, "seconds": row.seconds, "gigaflop": row.gigaflop],
        text: String(
          format: "  %8.2f ms %5d calls %7.0f GFLOP/s  ", row.seconds * 1e3, row.calls, row.gigaflop / row.seconds)
          + row.work)
    }
  }

  private func conversion(_ dtype: DType) async throws {
    let store = Locations.store
    let installed = try store.resolve(try Reference(adapter))
    let (bundle, coreBundle) = (try store.open(installed), try store.open(try store.core(of: installed)))
    let (steps, megapixels) = (steps, megapixels)
    let result = try await Compute.run { () throws in
      let adapter = try Adapter(bundle, core: try Core(coreBundle))
      let plugin = try store.plugin(of: installed)
      var options = Converter.Options()
      options.steps = steps
      options.precision = dtype
      let converter = try Converter(adapter, plugin: plugin, options: options)
      let scale = Double(bundle.manifest.geometry?.scale ?? 1)
      let side = max(1, Int((megapixels * 1e6).squareRoot() / scale))
      let pixels = (0..<(side * side * 3)).map { Float($0 % 251) / 250 }
      let picture = Picture(width: side, height: side, pixels: pixels)
      var seconds: [Double] = []
      _ = try converter.convert(picture, digest: [0])
      let before = KernelClock.secondsInOneDNN
      for _ in 0..<3 {
        let start = ContinuousClock.now
        _ = try converter.convert(picture, digest: [0])
        seconds.append((ContinuousClock.now - start) / .seconds(1))
      }
      let inside = KernelClock.secondsInOneDNN - before
      let area = Double(side) * scale * Double(side) * scale / 1e6
      return (seconds, 1 - inside / seconds.reduce(0, +), area)
    }
    let median = result.0.sorted()[result.0.count / 2]
    report(
      "convert", seconds: result.0, outside: result.1,
      ["megapixels": result.2, "steps": steps, "seconds-per-megapixel": median / result.2],
      String(format: "%.2f megapixels, %d steps: %.2f s a megapixel", result.2, steps, median / result.2))
  }

  private func report(
    _ work: String, seconds: [Double], outside: Double, _ more: [String: any Encodable & Sendable], _ text: String
  ) {
    let median = seconds.sorted()[seconds.count / 2]
    var fields: [String: any Encodable & Sendable] = [
      "work": work, "median": median, "min": seconds.min() ?? median, "runs": seconds.count, "outside-onednn": outside,
      "onednn": oneDNNVersion,
    ]
    fields.merge(more) { a, _ in a }
    output.emit(
      fields, text: String(format: "%@  %@, median %.3f s, %.0f %% outside oneDNN", work, text, median, outside * 100))
  }
}
