import Adapters
public import ArgumentParser
import Bundles
public import Diffusion
import Foundation
import Imaging
import Metrics
import Networks
import Pipelines
import Registry
import Tensor

struct Evaluate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure an installed adapter on pictures whose originals are known.",
    discussion: """
      Super-resolution takes whole pictures; other tasks, and --squares, take their middle squares and make of them what a \
      user would have brought, as in training. Every figure is a mean over the pictures with a 95 % bootstrap interval. \
      Distances between sets (FD, KD, FID) need --reference: other real pictures of the kind. The floor, what the \
      originals themselves score, is printed beside. --json prints lines that codi pack --metrics takes.
      Example: codi evaluate kodak24/ --adapter super-resolution --weights weights/ --report kodak.html
      """)

  @Argument(
    help: """
      Pictures, folders of pictures, or tar shards of photographs (taken at half size). None for depth-to-image, which \
      needs exact depth: scenes are drawn, 300 or --limit of them.
      """)
  var paths: [String] = []
  @Option(help: "NAME[@VERSION] of an installed adapter.") var adapter = "super-resolution"
  @Option(help: "NAME@VERSION of another one for the same task: differences are printed, in pairs.")
  var against: String?
  @Option(help: "Name of the suite in the output.") var suite: String?
  @Option(help: "Numbers of steps, separated by commas.") var steps = "1,2,4,50"
  @Option(help: "Instead of the adapter's own: \(Predictor.allCases.map(\.rawValue).joined(separator: ", ")).")
  var predictor: Predictor?
  @Option(help: "Seeds per picture for the difference between seeds.") var seeds = 4
  @Option(help: "At most so many pictures, spread evenly.") var limit: Int?
  @Option(help: "Side of squares to measure on, for example the core's native size.") var squares: Int?
  @Option(
    parsing: .upToNextOption,
    help: "Real pictures that the results are compared with as a set; half takes every second of the pictures.")
  var reference: [String] = []
  @Option(
    help: """
      Folder with squeezenet11_caffe_trunk.safetensors for PD, and efficientnet_lite0.safetensors for FD and KD; without \
      it neither is printed.
      """)
  var weights: String?
  @Option(
    help: """
      The original AlexNet, VGG 16 or SqueezeNet 1.1 of torchvision as safetensors, for LPIPS; its heads \
      lpips_v0.1_lin_*.safetensors lie beside it or in --weights.
      """)
  var lpipsWeights: String?
  @Option(help: "The original pt_inception-2015-12-05 of pytorch-fid as safetensors, for FID.") var fidWeights: String?
  @Option(help: "bf16 or f32; bf16 where the CPU has it.") var precision: String?
  @Option(help: "Write the results of the largest number of steps up to 4 here, as PNG.") var out: String?
  @Option(help: "Write one HTML page with figures, curves, samples, recipe, data and digests.") var report: String?
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let counts = steps.split(separator: ",").compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
    guard !counts.isEmpty, counts.allSatisfy({ (1...1000).contains($0) }), Set(counts).count == counts.count else {
      throw Exit.Failure(exit: .usage, description: "--steps \(steps): write different numbers such as 1,2,4,50.")
    }
    for (name, value) in [("--limit", limit), ("--squares", squares), ("--seeds", seeds)] where (value ?? 1) < 1 {
      throw Exit.Failure(exit: .usage, description: "\(name) \(value ?? 0): write a number above 0.")
    }
    let first = try Subject(adapter)
    let second = try against.map { try Subject($0) }
    if let second, second.bundle.manifest.task != first.bundle.manifest.task {
      throw Exit.Failure(
        exit: .usage,
        description: "\(second.name) is for \(second.bundle.manifest.task), \(first.name) for "
          + "\(first.bundle.manifest.task): compare adapters of one task.")
    }
    if let report { try Report.check(report) }
    if let out { try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true) }
    let dtype = try Precision.choose(precision)
    let found = try await Compute.run { () throws in try measure(first, second, counts, dtype) }
    print(found)
    guard let report else { return }
    var page = EvaluationPage(found.results, first.bundle.manifest)
    page.digests = try first.digests
    page.recipe = try? String(contentsOf: first.bundle.url(of: BundleEntry.recipe), encoding: .utf8)
    page.command = "codi " + CommandLine.arguments.dropFirst().joined(separator: " ")
    if let second { page.against = (second.name, found.differences) }
    try page.write(to: report)
    output.say("look at \(report)")
  }

  /// An installed adapter with its core.
  private struct Subject: Sendable {
    let installed: Installed
    let core: Installed
    let bundle: InstalledBundle

    init(_ reference: String) throws {
      let store = Locations.store
      installed = try store.resolve(try Reference(reference))
      core = try store.core(of: installed)
      bundle = try store.open(installed)
    }

    var name: String { "\(bundle.manifest.name)@\(bundle.manifest.version)" }

    var digests: [(name: String, digest: String)] {
      get throws {
        let manifest = bundle.manifest
        return [
          ("\(name), bundle", installed.digest), ("\(name), weights", manifest.weights.sha256),
          ("core \(manifest.requires.core ?? ""), bundle", core.digest),
          ("core, network and weights", manifest.requires.coreDigest ?? "–"),
          ("plugin", try SHA256.hex(ofFile: try bundle.library().path)),
        ]
      }
    }
  }

  private struct Found: Sendable {
    let results: EvaluationResults
    let other: String?
    let differences: [(title: String, figures: [(measure: Measure, value: Interval)])]
  }

  @Compute private func measure(_ first: Subject, _ second: Subject?, _ counts: [Int], _ dtype: DType) throws -> Found {
    let store = Locations.store
    let core = try Core(try store.open(first.core))
    let suite = EvaluationSuite(
      first.bundle.manifest, named: self.suite, side: squares, nativeSize: core.network.configuration.nativeSize)
    guard (suite.task == .depthToImage) == paths.isEmpty else {
      throw Exit.Failure(
        exit: .usage,
        description: paths.isEmpty
          ? "Name pictures to measure \(first.name) with." : "\(first.name) is measured on scenes: name no pictures.")
    }
    var real: HeldOutPictures?
    var pictures: HeldOutPictures
    if case .squares(let side) = suite.pictures, suite.task == .depthToImage {
      pictures = HeldOutPictures(scenes: (limit ?? 300) * (reference == ["half"] ? 2 : 1), side: side)
    } else {
      pictures = try HeldOutPictures(paths)
    }
    if reference == ["half"] {
      let (even, odd) = pictures.halves
      (pictures, real) = (even, odd)
    } else if !reference.isEmpty {
      real = try HeldOutPictures(reference)
    }
    let held = pictures.limited(to: limit)
    real = real?.limited(to: limit)
    let plugin = try store.plugin(of: first.installed)
    let compared = try (0..<(real?.count ?? 0)).map { number in
      let picture = try real?(number)
      switch suite.pictures {
      case .whole: return picture?.bitmap
      case .squares(let side): return picture?.square(side).bitmap
      }
    }.compactMap { $0 }
    var evaluation = Evaluation(suite, try instruments(hasReference: compared.count >= 2), reference: compared)
    evaluation.seeds = seeds
    let methods = counts.map { EvaluationMethod("\($0) \($0 == 1 ? "step" : "steps")", steps: $0) }
    let varied = methods.last { ($0.steps ?? 0) <= 4 } ?? methods[0]
    func run(_ subject: Subject, _ core: Core, _ plugin: TaskPlugin, isFirst: Bool) throws -> EvaluationResults {
      let adapter = try Adapter(subject.bundle, core: core)
      let bar = ProgressBar(quiet: output.quiet)
      defer { bar.finish() }
      return try evaluation.run(
        pictures: held.count,
        pair: { number in
          if Interruption.isRequested { throw CancellationError() }
          return try suite.pair(try held(number), number: number, plugin: plugin)
        },
        methods: methods, varied: varied, plugin: plugin,
        convert: { pair, method, seed in
          if Interruption.isRequested { throw CancellationError() }
          var options = Converter.Options()
          (options.steps, options.seed, options.precision, options.predictor) = (method.steps, seed, dtype, predictor)
          let converter = try Converter(adapter, plugin: plugin, options: options)
          let made = Bitmap(try converter.convert(Picture(pair.inputs[0].bitmap), digest: pair.digest))
          if isFirst, let out, method == varied, seed == 0 {
            try Data(encodePNG(made)).write(
              to: URL(filePath: out).appending(path: "\(pair.name.replacing("/", with: "-")).png"))
          }
          return made
        }, progress: { done, name in bar.show(Double(done) / Double(held.count), "\(subject.name): \(name)") })
    }
    let results = try run(first, core, plugin, isFirst: true)
    guard let second else { return Found(results: results, other: nil, differences: []) }
    // Its own plugin: `finish` is a part of it. Pairs are equal as long as the plugins degrade equally.
    let others = try run(
      second, second.core.digest == first.core.digest ? core : try Core(try store.open(second.core)),
      try store.plugin(of: second.installed), isFirst: false)
    let differences = try zip(results.methods, others.methods).filter { $0.0.method.steps != nil }.map { mine, theirs in
      (title: mine.method.title, figures: try Evaluation.difference(mine, theirs))
    }
    return Found(results: results, other: second.name, differences: differences)
  }

  @Compute private func instruments(hasReference: Bool) throws -> Instruments {
    var found = Instruments()
    if let weights { found.distances.append(try PerceptualDistance(weightsIn: weights)) }
    if let lpipsWeights {
      let beside = URL(filePath: lpipsWeights).deletingLastPathComponent().path
      let heads = (try? FileManager.default.contentsOfDirectory(atPath: beside)) ?? []
      let folder = heads.contains { $0.hasPrefix("lpips_v0.1_lin_") } ? beside : weights ?? beside
      found.distances.append(try PerceptualDistance(lpips: lpipsWeights, headsIn: folder))
    }
    guard hasReference else {
      if fidWeights != nil { output.say("codi: FID compares sets: name real pictures with --reference.") }
      return found
    }
    if let weights {
      let path = URL(filePath: weights).appending(path: PictureFeatures.weightsFile).path
      if FileManager.default.fileExists(atPath: path) {
        found.features.append(try PictureFeatures(.efficientNetLite0, weights: path))
      }
    }
    if let fidWeights { found.features.append(try PictureFeatures(.inception, weights: fidWeights)) }
    return found
  }

  private func print(_ found: Found) {
    let results = found.results
    guard output.json else {
      output.printLine(results.figures.markdown)
      if let sets = results.sets { output.printLine("\n\(sets.markdown)") }
      if let other = found.other {
        output.printLine("\n" + EvaluationResults.differences(found.differences, "minus \(other)").markdown)
      }
      for (name, digest) in results.digests { output.printLine("\n\(name): weights with SHA-256 \(digest)") }
      return
    }
    func fields(_ measure: Measure, _ interval: Interval) -> [String: any Encodable & Sendable] {
      [
        "name": measure.key, "value": interval.mean, "ci95": [interval.low, interval.high], "n": interval.n,
        "suite": results.suite.name,
      ]
    }
    func line(_ event: String?, _ steps: Int?, _ measure: Measure, _ interval: Interval, _ more: [String: String] = [:])
    {
      var all = fields(measure, interval)
      if let event { all["event"] = event }
      if let steps { all["steps"] = steps }
      for (key, value) in more { all[key] = value }
      output.printLine(OutputOptions.line(all))
    }
    for result in results.methods {
      // A baseline is no property of the adapter, so it does not go into its manifest.
      let event = result.method.steps == nil ? "baseline" : nil
      for measure in results.measures {
        if let interval = result.interval(measure) { line(event, result.method.steps, measure, interval) }
      }
      for figure in result.sets {
        line(event, result.method.steps, figure.measure, figure.value)
        if let above = figure.aboveFloor { line("above-floor", result.method.steps, figure.measure, above) }
      }
    }
    for floor in results.floors { line("floor", nil, floor.measure, floor.value) }
    for (number, row) in found.differences.enumerated() {
      let steps = results.methods.filter { $0.method.steps != nil }[number].method.steps
      for (measure, value) in row.figures { line("difference", steps, measure, value, ["against": found.other ?? ""]) }
    }
    for (name, digest) in results.digests {
      output.printLine(OutputOptions.line(["event": "weights", "name": name, "sha256": digest]))
    }
  }
}

extension Predictor: ExpressibleByArgument {}
