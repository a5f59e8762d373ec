import Adapters
import ArgumentParser
import Bundles
import Distillation
import Foundation
import Imaging
import Pipelines
import Registry
import Synchronization
import Tensor

struct Convert: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Convert pictures with an installed adapter.",
    discussion: """
      The same picture, adapter, seed and steps give the same bytes, whatever its name or its place in the batch.
      Broken pictures are named and the others converted; the exit code is then 1. Ctrl-C finishes nothing that was
      begun, leaves what is there complete, and ends with 130.
      Example: codi convert photos/ --adapter super-resolution --out big/
      """)

  @Argument(help: "Pictures, or folders of pictures; folders inside them are left alone.") var paths: [String]
  @Option(help: "NAME[@VERSION] of an installed adapter.") var adapter: String
  @Option(help: "Folder for the results, OUT/STEM.EXT; made when it does not exist.") var out: String
  @Option(help: "Sampling steps; the adapter's own number if left out.") var steps: Int?
  @Option(help: "Seed of the noise.") var seed: UInt64 = 0
  @Option(name: .customLong("set"), help: "A parameter of the adapter, NAME=VALUE; codi info lists them.")
  var settings: [String] = []
  @Option(help: "Format of the results instead of the input's own: png, jpeg, webp or tiff.") var format: String?
  @Option(help: "bf16 or f32; bf16 where the CPU has it.") var precision: String?
  @Option(help: "Also write an HTML page that shows the pictures before and after.") var report: String?
  @Flag(help: "Print what would be done, how long and with how much memory; convert nothing.") var dryRun = false
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let pictureFormat = try format.map { name in
      guard let format = PictureFormat(rawValue: name) else {
        throw Exit.Failure(
          exit: .usage,
          description: "--format \(name) is unknown; use one of "
            + PictureFormat.allCases.map(\.rawValue).joined(separator: ", ") + ".")
      }
      return format
    }
    let plan = try JobPlan(inputs: paths, into: out, format: pictureFormat)
    let converter = try await open()
    let job = Job(plan, converter)
    if dryRun { return try await describe(job) }
    try makeFolder()

    let page = Mutex(
      report.map { _ in Report(adapter: converter.adapter.manifest, steps: converter.steps, seed: seed) })
    let output = output
    let bar = ProgressBar(quiet: output.quiet)
    let start = ContinuousClock.now
    let shares = Shares(plan)
    let result = await job.run(
      events: { event in
        if output.json { output.printLine(event.json) }
        page.withLock { $0?.add(event) }
        if case .failed(let item, let reason) = event {
          // Reasons that name the file already need not do so twice.
          bar.interrupt(with: "codi: " + (reason.hasPrefix(item.input) ? reason : "\(item.input): \(reason)"))
        }
      },
      progress: { number, share in
        let done = shares.done(number, share)
        let elapsed = (ContinuousClock.now - start) / .seconds(1)
        // At first kernels are made ready: what that takes says little.
        let left = elapsed < 2 ? "" : ", \(ProgressBar.duration(elapsed / max(done, 1e-9) * (1 - done))) left"
        bar.show(done, "\(number + 1)/\(plan.items.count)\(left)")
      }, shouldStop: { Interruption.isRequested })
    bar.finish()
    let isStopped = result.converted + result.failed < plan.items.count
    if !output.json {
      let seconds = String(format: "%.1f", (ContinuousClock.now - start) / .seconds(1))
      output.say(
        (isStopped ? "stopped: " : "")
          + "converted \(result.converted) of \(plan.items.count) into \(out), \(seconds) s")
    }
    if let report { try page.withLock { try $0?.write(to: report) } }
    if isStopped { throw Exit.Code(Interruption.exit) }
    if result.failed > 0 { throw Exit.Code(.someFailed) }
  }

  /// Opens adapter, core and plugin on the compute thread.
  private func open() async throws -> Converter {
    let store = Locations.store
    let installed = try store.resolve(try Reference(adapter))
    let bundle = try store.open(installed)
    let values = try Self.values(settings, for: bundle.manifest)
    let coreBundle = try store.open(try store.core(of: installed))
    var options = Converter.Options()
    options.steps = steps
    options.seed = seed
    options.precision = try Precision.choose(precision)
    let chosen = options
    return try await Compute.run { () throws in
      let adapter = try Adapter(bundle, core: try Core(coreBundle))
      let plugin = try TaskPlugin(
        try PluginLibrary(bundle), manifest: bundle.manifest, values: values, seed: chosen.seed)
      return try Converter(adapter, plugin: plugin, options: chosen)
    }
  }

  private static func values(_ settings: [String], for manifest: Manifest) throws -> [String: ParameterValue] {
    var values: [String: ParameterValue] = [:]
    for setting in settings {
      let parts = setting.split(separator: "=", maxSplits: 1).map(String.init)
      let known = manifest.parameters.map(\.name).joined(separator: ", ")
      guard parts.count == 2, let parameter = manifest.parameters.first(where: { $0.name == parts[0] }) else {
        throw Exit.Failure(
          exit: .usage,
          description: "--set \(setting): \(manifest.name) has "
            + (known.isEmpty ? "no parameters." : "the parameters \(known). Write --set NAME=VALUE."))
      }
      guard let value = parameter.value(of: parts[1]) else {
        throw Exit.Failure(exit: .usage, description: "--set \(setting): \(parts[0]) must be \(parameter.range).")
      }
      values[parts[0]] = value
    }
    return values
  }

  private func describe(_ job: Job) async throws {
    let estimate = try await job.estimate()
    let items = job.plan.items
    if output.json {
      for item in items {
        output.printLine(OutputOptions.line(["event": "planned", "input": item.input, "output": item.output]))
      }
    } else {
      for item in items { output.printLine("\(item.input) → \(item.output)") }
    }
    output.emit(
      [
        "event": "estimate", "pictures": items.count, "regions": estimate.regions, "steps": job.converter.steps,
        "seconds": estimate.seconds, "bytes": estimate.bytes,
      ],
      text: "\(items.count) pictures, \(estimate.regions) regions × \(job.converter.steps) steps: about "
        + "\(ProgressBar.duration(estimate.seconds)), \(estimate.bytes / 1_000_000) MB of memory; nothing was converted"
    )
  }

  private func makeFolder() throws {
    let remedy = "Choose a folder that can be written."
    do { try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true) } catch {
      throw ConversionError(
        .outputFolder, at: out, "The folder cannot be made: \(error.localizedDescription)", remedy: remedy)
    }
    guard access(out, W_OK | X_OK) == 0 else {
      throw ConversionError(
        .outputFolder, at: out, "The folder cannot be written: \(String(cString: strerror(errno))).", remedy: remedy)
    }
  }
}

/// How much of a job is done, when pictures count as much as their files' bytes.
private struct Shares {
  /// The share before each picture, and 1 at the end.
  private let sums: [Double]

  init(_ plan: JobPlan) {
    let sizes = plan.items.map { Double(max(4096, FileSystem.status($0.input)?.size ?? 0)) }
    let total = sizes.reduce(0, +)
    var sum = 0.0
    sums =
      [0]
      + sizes.map { size in
        sum += size / total
        return sum
      }
  }

  func done(_ number: Int, _ share: Double) -> Double { sums[number] + share * (sums[number + 1] - sums[number]) }
}

/// The type of activations.
enum Precision {
  /// The one asked for, else bf16 where the CPU computes with it.
  static func choose(_ given: String?) throws -> DType {
    guard let given else { return hasNativeBFloat16 ? .bf16 : .f32 }
    guard let dtype = DType(rawValue: given) else {
      throw Exit.Failure(exit: .usage, description: "--precision \(given) is unknown; use bf16 or f32.")
    }
    return dtype
  }
}
