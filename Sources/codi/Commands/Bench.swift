import Adapters
public import ArgumentParser
import Bundles
public import Distillation
import Foundation
import Imaging
import Pipelines
import Registry
import Tensor

struct Bench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure conversion and training on this machine.",
    discussion: """
      Run it on an otherwise idle machine; medians of several runs are printed. Ctrl-C and SIGTERM end it after the run
      that is under way, with 130 or 143.
      """)

  @Option(help: "NAME[@VERSION] of an installed adapter to measure conversion with.") var adapter = "super-resolution"
  @Option(help: "Output megapixels of the converted picture.") var megapixels = 1.0
  @Option(help: "Sampling steps of the conversion.") var steps = 4
  @Option(help: "bf16 or f32; bf16 where the CPU has it.") var precision: String?
  @Flag(help: "Leave conversion out.") var trainingOnly = false
  @Flag(help: "Leave training out.") var conversionOnly = false
  @Option(help: "Pairs of conversions with the plugin isolated and in this process; needs a key marked --in-process.")
  var isolationPairs = 0
  @Option(help: "A photograph: measure how far regions show in its result, and in flat, even and noisy pictures'.")
  var seams: String?
  @Option(help: "Measure a network that other engines are timed on instead: pixel or sd15.")
  var shape: NetworkBenchmark.Shape?
  @Flag(help: "Measure sampling on regions of 64 by 64 pixels with a core and an adapter of random weights instead.")
  var sampling = false
  @Option(help: "Train two small cores for so many steps instead, in bf16 and in f32, and compare their losses.")
  var curves = 0
  @Option(help: "With --shape or --sampling: pictures at once.") var batch = 1
  @Option(help: "With --shape or --sampling: runs after two to warm up.") var runs = 9
  @Flag(help: "With --shape: a training step instead of a pass.") var train = false
  @Flag(help: "Print where the time goes, by kind of work.") var trace = false
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let dtype = try Precision.choose(precision)
    if let seams { return try await measureSeams(seams, dtype) }
    if let shape { return try await network(shape, dtype) }
    if curves > 0 { return try await lossCurves() }
    if sampling { return try await samplingSpeed(dtype) }
    if !trainingOnly { try await conversion(dtype) }
    try Interruption.check()
    if isolationPairs > 0 { try await isolation(dtype) }
    if conversionOnly { return }
    for (name, batch, size) in [("core", 64, 64), ("core", 128, 32), ("adapter", 48, 64), ("adapter", 96, 32)] {
      let measured = try await Compute.run { () throws in
        name == "core"
          ? try TrainingBenchmark.core(batch: batch, size: size, precision: dtype, between: Interruption.check)
          : try TrainingBenchmark.adapter(batch: batch, size: size, precision: dtype, between: Interruption.check)
      }
      report(
        "train-\(name)", seconds: measured.seconds, outside: measured.outside,
        ["batch": batch, "size": size, "samples-per-second": Double(batch) / measured.median],
        "\(batch) × \(size)²: \(Int(Double(batch) / measured.median)) samples/s")
      if trace { show(measured.trace) }
    }
  }

  private func network(_ shape: NetworkBenchmark.Shape, _ dtype: DType) async throws {
    let (batch, train, runs) = (max(1, batch), train, runs)
    let measured = try await Compute.run { () throws in
      try NetworkBenchmark.run(shape, batch: batch, train: train, precision: dtype, runs: runs)
    }
    let rate = measured.gigaflop / measured.median
    output.emit(
      [
        "work": "\(shape.rawValue)-\(train ? "train" : "forward")", "batch": batch, "precision": dtype.rawValue,
        "median": measured.median, "min": measured.seconds.min() ?? measured.median, "runs": measured.seconds.count,
        "gigaflop": measured.gigaflop, "gigaflops": rate, "peak-mib": peakMemory >> 20, "onednn": oneDNNVersion,
      ],
      text: String(
        format: "%@ %@, batch %d, %@: median %.4f s, %.0f GFLOP/s, peak memory %d MiB", shape.rawValue,
        train ? "training step" : "pass", batch, dtype.rawValue, measured.median, rate, peakMemory >> 20))
    if trace { show(measured.trace) }
  }

  private func lossCurves() async throws {
    let steps = curves
    let made = try await Compute.run { () throws in
      try PrecisionComparison.run(steps: steps, between: Interruption.check)
    }
    for (i, (low, full)) in zip(made.low, made.full).enumerated() {
      output.emit(
        ["work": "curves", "step": (i + 1) * made.window, "bf16": low, "f32": full],
        text: String(format: "steps to %5d  loss bf16 %.5f  f32 %.5f", min(steps, (i + 1) * made.window), low, full))
    }
    let (mean, deviation) = made.difference
    output.emit(
      ["work": "curves", "difference": mean, "deviation": deviation, "steps": steps],
      text: String(format: "bf16 / f32 - 1: mean %+.4f, standard deviation %.4f over the windows", mean, deviation))
  }

  private func samplingSpeed(_ dtype: DType) async throws {
    let (batch, steps, runs) = (max(1, batch), steps, runs)
    let measured = try await Compute.run { () throws in
      try SamplingBenchmark.run(
        batch: batch, steps: steps, precision: dtype, runs: runs, between: Interruption.check)
    }
    output.emit(
      [
        "work": "sampling", "batch": batch, "steps": steps, "precision": dtype.rawValue, "median": measured.median,
        "min": measured.seconds.min() ?? measured.median, "runs": measured.seconds.count,
        "allocated": measured.allocated, "peak-mib": peakMemory >> 20, "onednn": oneDNNVersion,
      ],
      text: String(
        format: "sampling  %d × 64², %d steps, %@: median %.4f s, peak memory %d MiB, %d bytes allocated meanwhile",
        batch,
        steps, dtype.rawValue, measured.median, peakMemory >> 20, measured.allocated))
    if trace { show(measured.trace) }
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
        try Interruption.check()
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

  /// What isolation costs: conversions with and without it in turn, and the median of the pairs' ratios.
  private func isolation(_ dtype: DType) async throws {
    let store = Locations.store
    let installed = try store.resolve(try Reference(adapter))
    let publisher = String(installed.name.prefix { $0 != "/" })
    guard try store.trust().allowsInProcess(installed.signer, publisher: publisher) else {
      throw Exit.Failure(
        exit: .refused,
        description: "--isolation-pairs also runs the plugin in this process, which its key is not trusted with. "
          + "If you do: `codi trust add \(publisher) KEY --in-process`.")
    }
    let (bundle, coreBundle) = (try store.open(installed), try store.open(try store.core(of: installed)))
    let (steps, megapixels, pairs) = (steps, megapixels, isolationPairs)
    let ratios = try await Compute.run { () throws in
      let adapter = try Adapter(bundle, core: try Core(coreBundle))
      var options = Converter.Options()
      options.steps = steps
      options.precision = dtype
      let scale = Double(bundle.manifest.geometry?.scale ?? 1)
      let side = max(1, Int((megapixels * 1e6).squareRoot() / scale))
      let picture = Picture(width: side, height: side, pixels: (0..<(side * side * 3)).map { Float($0 % 251) / 250 })
      func converter(_ inProcess: Bool) throws -> Converter {
        try Converter(adapter, plugin: try TaskPlugin(bundle, inProcess: inProcess), options: options)
      }
      let converters = [try converter(true), try converter(false)]
      for converter in converters { _ = try converter.convert(picture, digest: [0]) }
      @Compute func seconds(_ converter: Converter) throws -> Double {
        let start = ContinuousClock.now
        _ = try converter.convert(picture, digest: [0])
        return (ContinuousClock.now - start) / .seconds(1)
      }
      return try (0..<pairs).map { pair in
        try Interruption.check()
        // Who goes first changes with every pair.
        if pair % 2 == 0 {
          let direct = try seconds(converters[0])
          return try seconds(converters[1]) / direct
        }
        let isolated = try seconds(converters[1])
        return isolated / (try seconds(converters[0]))
      }.sorted()
    }
    let median = ratios[ratios.count / 2]
    output.emit(
      ["work": "isolation", "median-ratio": median, "ratios": ratios, "pairs": ratios.count],
      text: String(format: "isolation  %.1f %% more time (median of %d pairs)", (median - 1) * 100, ratios.count))
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

extension NetworkBenchmark.Shape: ExpressibleByArgument {}
