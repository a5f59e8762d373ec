import Adapters
import ArgumentParser
import Bundles
import Foundation
import Imaging
import Metrics
import Pipelines
import Registry
import Tensor

struct Evaluate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure an installed super-resolution adapter on pictures whose originals are known.",
    discussion: """
      Every figure is a mean over the pictures with a 95 % bootstrap interval. --json prints lines for codi pack --metrics.
      Example: codi evaluate kodak24/ --adapter super-resolution --suite sr4-kodak24
      """)

  @Argument(help: "Pictures, or folders of pictures, at full size.") var paths: [String]
  @Option(help: "NAME[@VERSION] of an installed adapter.") var adapter = "super-resolution"
  @Option(help: "Name of the suite in the output.") var suite = "sr4"
  @Option(help: "Numbers of steps, separated by commas.") var steps = "1,2,4,50"
  @Option(help: "Seeds per picture for the difference between seeds.") var seeds = 4
  @Option(help: "Folder with squeezenet11_caffe_trunk.safetensors; without it no perceptual distance is printed.")
  var weights: String?
  @Option(help: "bf16 or f32; bf16 where the CPU has it.") var precision: String?
  @Option(help: "Write the results of the largest number of steps up to 4 here, as PNG.") var out: String?
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let counts = steps.split(separator: ",").compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
    guard !counts.isEmpty, counts.allSatisfy({ (1...1000).contains($0) }) else {
      throw Exit.Failure(exit: .usage, description: "--steps \(steps): write numbers such as 1,2,4,50.")
    }
    let store = Locations.store
    let installed = try store.resolve(try Reference(adapter))
    let (bundle, coreBundle) = (try store.open(installed), try store.open(try store.core(of: installed)))
    let plan = try JobPlan(inputs: paths, into: NSTemporaryDirectory(), format: .png)
    let dtype = try Precision.choose(precision)
    let (weights, suite, seeds, out, quiet) = (weights, suite, seeds, out, output.quiet)
    if let out { try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true) }

    let found = try await Compute.run { () throws in
      let perceptual = try weights.map { try PerceptualDistance(weightsIn: $0) }
      let suite = SuperResolutionSuite(name: suite, perceptual: perceptual)
      let adapter = try Adapter(bundle, core: try Core(coreBundle))
      let plugin = try store.plugin(of: installed)
      func converter(_ steps: Int, seed: UInt64 = 0) throws -> Converter {
        var options = Converter.Options()
        options.steps = steps
        options.seed = seed
        options.precision = dtype
        return try Converter(adapter, plugin: plugin, options: options)
      }
      var rows: [Int: [SuperResolutionSuite.Row]] = [:]
      var differences: [Double] = []
      let bar = ProgressBar(quiet: quiet)
      for (number, item) in plan.items.enumerated() {
        let (original, input) = suite.pair(try readBitmap(item.input))
        let name = URL(filePath: item.input).lastPathComponent
        let digest = SHA256.digest(of: Data(input.pixels))
        rows[0, default: []].append(
          try suite.compare(nil, picture: name, method: "bicubic", original: original, input: input, seconds: 0))
        let shown = counts.filter { $0 <= 4 }.max() ?? counts[0]
        for count in counts {
          if Interruption.isRequested { throw CancellationError() }
          let start = ContinuousClock.now
          let made = Bitmap(try converter(count).convert(Picture(input), digest: digest))
          let seconds = (ContinuousClock.now - start) / .seconds(1)
          rows[count, default: []].append(
            try suite.compare(
              made, picture: name, method: "\(count)", original: original, input: input, seconds: seconds))
          guard count == shown else { continue }
          if let out { try Data(encodePNG(made)).write(to: URL(filePath: out).appending(path: "\(name).png")) }
          for seed in 1..<max(1, seeds) {
            let other = Bitmap(try converter(count, seed: UInt64(seed)).convert(Picture(input), digest: digest))
            differences.append(Self.rootMeanSquare(made, other))
          }
        }
        bar.show(Double(number + 1) / Double(plan.items.count), name)
      }
      bar.finish()
      return (suite, rows, differences)
    }
    report(found.0, found.1, found.2)
  }

  private func report(
    _ suite: SuperResolutionSuite, _ rows: [Int: [SuperResolutionSuite.Row]], _ differences: [Double]
  ) {
    let n = rows[0]?.count ?? 0
    if !output.json {
      output.printLine(
        "| \(suite.name), n = \(n) | PSNR dB | PD-SqueezeNet1.1 | agreement dB | s a picture |\n|---|---|---|---|---|")
    }
    for (steps, rows) in rows.sorted(by: { $0.key < $1.key }) {
      let metrics = suite.summary(rows, steps: steps)
      if output.json {
        // The baseline is no property of the adapter, so it does not go into its manifest.
        for metric in metrics where steps > 0 {
          let encoder = JSONEncoder()
          encoder.outputFormatting = [.sortedKeys]
          if let line = try? encoder.encode(metric) { output.printLine(String(decoding: line, as: UTF8.self)) }
        }
        continue
      }
      func cell(_ name: String, _ digits: Int) -> String {
        guard let metric = metrics.first(where: { $0.name == name }), let ci = metric.ci95 else { return "–" }
        return String(format: "%.\(digits)f [%.\(digits)f, %.\(digits)f]", metric.value, ci[0], ci[1])
      }
      let seconds = rows.map(\.seconds).reduce(0, +) / Double(max(1, rows.count))
      output.printLine(
        "| \(steps == 0 ? "bicubic" : "\(steps) steps") | \(cell("psnr", 2)) | \(cell("pd-squeezenet1.1", 3)) | "
          + "\(cell("agreement", 1)) | \(steps == 0 ? "–" : String(format: "%.2f", seconds)) |")
    }
    if !differences.isEmpty && !output.json {
      let mean = differences.reduce(0, +) / Double(differences.count)
      output.printLine(
        String(format: "\nSeeds differ by %.2f of 255 levels (root mean square, %d pairs).", mean, differences.count))
    }
  }

  private static func rootMeanSquare(_ a: Bitmap, _ b: Bitmap) -> Double {
    let sum = zip(a.pixels, b.pixels).reduce(0.0) { $0 + Double(Int($1.0) - Int($1.1)) * Double(Int($1.0) - Int($1.1)) }
    return (sum / Double(max(1, a.pixels.count))).squareRoot()
  }
}
