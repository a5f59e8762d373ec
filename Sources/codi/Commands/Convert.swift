import Adapters
import ArgumentParser
import Bundles
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
      Broken pictures are named and the others converted; the exit code is then 1. Ctrl-C leaves what is there complete
      and ends with 130. The same command again, after whatever end, does what is left: a journal beside the results
      knows them. Several processes, machines too, share one job: see --share.
      Examples:
        codi convert photos/ --adapter super-resolution --out big/
        codi convert photo.png --adapter inpainting --input mask=mask.png --out filled/
        codi convert photos/ --pipeline restore-and-enlarge.yaml --out big/ --max-memory 1G
        find . -name '*.jpg' -print0 | codi convert - --adapter super-resolution --out big/ --name '{stem}-x4.{ext}'
        srun -n 8 codi convert photos/ --adapter super-resolution --out big/
      """)

  @Argument(
    help: """
      Pictures, folders of pictures with the folders inside, patterns such as 'photos/**/*.jpg' in quotes; - reads a \
      list from stdin, one name a line or NUL between names.
      """)
  var paths: [String] = []
  @Option(
    help:
      "A file of NDJSON, or -: {\"path\", \"out\", \"inputs\", \"seed\", \"steps\", \"parameters\"} for each picture.")
  var items: String?
  @Option(
    name: .customLong("input"),
    help: """
      NAME=FILE: another picture that the adapter takes, such as a mask; with {folder}, {stem} and {ext} of each picture.
      """)
  var otherInputs: [String] = []
  @Option(help: "NAME[@VERSION] of an installed adapter; again for a chain, each at work on the last one's result.")
  var adapter: [String] = []
  @Option(help: "A YAML file that says the chain instead: adapters with steps and parameters, seed, precision.")
  var pipeline: String?
  @Option(help: "Folder for the results; made when it does not exist.") var out: String
  @Option(help: "Names of the results, from the fields {folder}, {stem}, {ext}, {adapter}, {seed}, {steps}, {index}.")
  var name = "{folder}/{stem}.{ext}"
  @Option(help: "Sampling steps; the adapter's own number if left out.") var steps: Int?
  @Option(help: "Seed of the noise; 0 if left out.") var seed: UInt64?
  @Option(
    name: .customLong("set"),
    help: "A parameter, NAME=VALUE, or N:NAME=VALUE for the N-th adapter of a chain; codi info lists them.")
  var settings: [String] = []
  @Option(help: "Format of the results instead of the input's own: png, jpeg, webp, tiff or avif.") var format: String?
  @Option(help: "bf16 or f32; bf16 where the CPU has it.") var precision: String?
  @Option(help: "Take the first so many pictures only.") var limit: Int?
  @Option(help: "skip, overwrite or error: where a file is that this command would not write just so.")
  var existing = "error"
  @Option(help: "Further attempts for a picture that fails.") var retries = 0
  @Option(help: "skip or stop, after a picture that failed.") var onError = "skip"
  @Option(help: "Pictures under way at a time: one in the network, the others being read and written.") var jobs = 3
  @Option(help: "Keep below this much memory, such as 800M or 2G; refused beforehand where that cannot be.")
  var maxMemory: String?
  @Flag(help: "Write results without the source's EXIF and XMP, and without provenance.") var strip = false
  @Option(help: "The journal, instead of OUT/\(Journal.fileName).") var journal: String?
  @Option(
    help: """
      I/N: do the I-th of N shares; each has a journal of its own. Slurm, MPI and Kubernetes' indexed Jobs are \
      understood without it.
      """)
  var share: String?
  @Option(
    help: """
      A lock file: adapters and cores must be the ones it pins, by digest and publisher's key; made when it is not there.
      """)
  var lock: String?
  @Option(help: "Also write an HTML page that shows the pictures before and after.") var report: String?
  @Flag(help: "Print what would be done, how long and with how much memory; convert nothing.") var dryRun = false
  @OptionGroup var output: OutputOptions

  func run() async throws {
    var options = JobOptions()
    (options.jobs, options.retries) = (try atLeast(1, jobs, "--jobs"), try atLeast(0, retries, "--retries"))
    options.existing = try choice(existing, "--existing")
    options.onError = try choice(onError, "--on-error")
    options.share = try share.map { text throws in try Share(text) } ?? Share.from(ProcessInfo.processInfo.environment)
    let template = try NameTemplate(name)
    let pictureFormat: PictureFormat? = try format.map { try choice($0, "--format") }
    let others = try OtherInputs(otherInputs)
    var inputs = others.added(to: try find())
    let journals = journal.map { JournalFiles(main: $0) } ?? JournalFiles(folder: out)
    // Shares must all see the same list, and cannot read each other's journals.
    if options.share.count == 1 { inputs = try journals.withoutResults(inputs, in: out) }
    if let limit { inputs = Array(inputs.prefix(try atLeast(1, limit, "--limit"))) }

    let limit = try maxMemory.map { text throws in
      guard let bytes = ByteCount.parse(text) else {
        throw Exit.Failure(exit: .usage, description: "--max-memory \(text): write 800M or 2G, for example.")
      }
      return bytes
    }
    let chain = try await open()
    let manifests = chain.stages.map(\.adapter.manifest)
    var naming = JobPlan.Naming()
    (naming.template, naming.format, naming.seed) = (template, pictureFormat, chain.options.seed)
    naming.steps = steps
    naming.adapter = manifests.map { $0.name.split(separator: "/").last.map(String.init) ?? $0.name }
      .joined(separator: "-")
    let plan = try JobPlan(inputs, into: out, naming: naming)
    // Settled before anything is made.
    let planned = try await within(limit, Job(plan, chain, try Journal(), options: options))
    if dryRun {
      return try await describe(Job(plan, planned.chain, try journals.snapshot(), options: planned.options))
    }

    try makeFolders(plan)
    if let report { try Report.check(report) }
    let journal = try journals.open(options.share, for: plan)
    defer { journal.close() }
    try await run(Job(plan, planned.chain, journal, options: planned.options), manifests)
  }

  /// The job with the choices that keep it below the limit.
  private func within(_ limit: Int?, _ job: Job) async throws -> Job {
    guard let limit else { return job }
    let (planned, plan) = try await Compute.run { () throws in try job.planned(for: limit) }
    output.say(
      "codi: at most \(plan.bytes >> 20) MiB: \(plan.jobs) pictures at a time"
        + (plan.rowsFrom == 0 ? ", row by row" : "")
        + (plan.region < job.chain.options.region
          ? ", in regions of \(plan.region) instead of \(job.chain.options.region), which changes the results" : ""))
    return planned
  }

  private func run(_ job: Job, _ manifests: [Manifest]) async throws {
    let page = Mutex(report.map { _ in Report(adapters: manifests, steps: steps, seed: job.chain.options.seed) })
    let output = output
    let bar = ProgressBar(quiet: output.quiet)
    let start = ContinuousClock.now
    let result = try await job.run(
      events: { event in
        if output.json { output.printLine(event.json) }
        page.withLock { $0?.add(event) }
        switch event {
        case .failed(let item, _, let reason): bar.interrupt(with: "codi: " + Self.named(item, reason))
        case .started(let items, let skipped, let share) where !output.quiet && (share.count > 1 || skipped > 0):
          bar.interrupt(
            with: (share.count > 1 ? "share \(share): " : "") + "\(items) pictures, \(skipped) of them need nothing")
        default: break
        }
      },
      progress: { progress in
        bar.show(progress.fraction, "\(progress.finished)/\(progress.items)\(Self.words(progress.left))")
      }, shouldStop: { Interruption.isRequested || StandardStreams.answersAreLost })
    bar.finish()
    if !output.json {
      let seconds = String(format: "%.1f", (ContinuousClock.now - start) / .seconds(1))
      let all = result.converted + result.failures.count + result.remaining
      output.say(
        (result.remaining > 0 ? "stopped: " : "") + "converted \(result.converted) of \(all) into \(out), \(seconds) s"
          + (result.skipped > 0 ? "; \(result.skipped) needed nothing" : ""))
      if result.failures.count > 1 {
        output.say("failed, \(result.failures.count):")
        for failure in result.failures { output.say("  " + Self.named(failure.item, failure.reason)) }
      }
    }
    if let report {
      // Each share has its page as it has its journal.
      try page.withLock { try $0?.write(to: JournalFiles(main: report).path(of: job.options.share)) }
    }
    if StandardStreams.answersAreLost { throw Exit.Code(.badInput) }
    if Interruption.isRequested && result.remaining > 0 { throw Exit.Code(Interruption.exit) }
    if !result.failures.isEmpty { throw Exit.Code(.someFailed) }
  }

  /// Reasons that name the file already need not do so twice.
  private static func named(_ item: JobItem, _ reason: String) -> String {
    (reason.hasPrefix(item.input) ? reason : "\(item.input): \(reason)").printable()
  }

  private static func words(_ left: ClosedRange<Double>?) -> String {
    guard let left else { return "" }
    let (soon, late) = (ProgressBar.duration(left.lowerBound), ProgressBar.duration(left.upperBound))
    return left.upperBound < 1.2 * left.lowerBound || soon == late
      ? ", about \(late) left" : ", \(soon) to \(late) left"
  }

  // MARK: What is asked for

  private func find() throws -> [InputItem] {
    guard !paths.isEmpty || items != nil else {
      throw Exit.Failure(exit: .usage, description: "Name pictures or folders, - for a list on stdin, or --items FILE.")
    }
    var found: [InputItem] = []
    let named = paths.filter { $0 != "-" }
    if !named.isEmpty { found += try InputList.find(named, excluding: out) }
    if paths.contains("-") {
      found += try InputList.find(list: StandardStreams.list(), excluding: out)
    }
    if let items {
      let data = try StandardStreams.list(at: items == "-" ? nil : items)
      found += try InputItem.parse(ndjson: data, source: items == "-" ? "stdin" : items)
    }
    guard !found.isEmpty else {
      throw Exit.Failure(exit: .notFound, description: "\(items ?? "inputs"): No pictures are named there.")
    }
    return found
  }

  private func atLeast(_ least: Int, _ value: Int, _ name: String) throws -> Int {
    guard value >= least else {
      throw Exit.Failure(exit: .usage, description: "\(name) \(value): write a number from \(least) on.")
    }
    return value
  }

  private func choice<Choice: RawRepresentable<String> & CaseIterable>(_ text: String, _ name: String) throws -> Choice
  {
    guard let choice = Choice(rawValue: text) else {
      throw Exit.Failure(
        exit: .usage,
        description: "\(name) \(text) is unknown; use one of "
          + Choice.allCases.map(\.rawValue).joined(separator: ", ") + ".")
    }
    return choice
  }

  /// The chain that is named, by --adapter or in a file.
  private func open() async throws -> Chain {
    let store = Locations.store
    let file = try pipeline.map { try PipelineFile(path: $0) }
    let here = [!adapter.isEmpty, !settings.isEmpty, steps != nil, precision != nil]
    guard file != nil ? !here.contains(true) : !adapter.isEmpty else {
      throw Exit.Failure(
        exit: .usage,
        description: file == nil
          ? "Name an adapter with --adapter, or a file with --pipeline."
          : "--pipeline says adapters, parameters, steps and precision: leave out --adapter, --set, --steps and "
            + "--precision.")
    }
    let names = file?.stages.map(\.adapter) ?? adapter
    var lock = try lock.map { try LockFile($0) }
    let installed = try names.map { try store.resolve(try Reference($0), pinnedIn: lock) }
    var chain = try InstalledChain(installed, lock: lock)
    let values = try file?.values(for: chain.manifests) ?? Chain.values(settings, for: chain.manifests)
    for stage in chain.stages.indices {
      (chain.stages[stage].values, chain.stages[stage].steps) = (values[stage], file?.stages[stage].steps)
    }
    var options = Converter.Options()
    options.steps = steps
    options.seed = seed ?? file?.seed ?? 0
    options.precision = try Precision.choose(precision ?? file?.precision)
    let opened = try await chain.open(options, isStripping: strip, output)
    // Written once the options are known to be good, and before the first picture.
    if !dryRun, lock?.isNew == true { try lock?.pin(installed, output) }
    return opened
  }

  private func describe(_ job: Job) async throws {
    let estimate = try await job.estimate()
    for failure in job.plan.unusable { output.say("codi: " + Self.named(failure.item, failure.reason)) }
    if output.json {
      for item in estimate.items {
        output.printLine(OutputOptions.line(["event": "planned", "input": item.input, "output": item.output]))
      }
    } else {
      for item in estimate.items { output.printLine("\(item.input) → \(item.output)".printable()) }
    }
    output.emit(
      [
        "event": "estimate", "pictures": estimate.pictures, "skipped": estimate.skipped, "regions": estimate.regions,
        "seconds": estimate.seconds, "bytes": estimate.bytes,
      ],
      text: "\(estimate.pictures) pictures, \(estimate.regions) regions: about "
        + "\(ProgressBar.duration(estimate.seconds)), \(estimate.bytes / 1_000_000) MB of memory; "
        + (estimate.skipped > 0 ? "\(estimate.skipped) more need nothing; " : "") + "nothing was converted")
  }

  private func makeFolders(_ plan: JobPlan) throws {
    let remedy = "Choose a folder that can be written."
    for folder in Set([out] + plan.items.map { PathText.folder(of: $0.output) }) {
      do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
        throw ConversionError(
          .outputFolder, at: folder, "The folder cannot be made: \(error.localizedDescription)", remedy: remedy)
      }
    }
    guard access(out, W_OK | X_OK) == 0 else {
      throw ConversionError(
        .outputFolder, at: out, "The folder cannot be written: \(String(cString: strerror(errno))).", remedy: remedy)
    }
  }
}

/// The type of activations.
enum Precision {
  /// The one asked for, else bf16 where the CPU computes with it.
  static func choose(_ given: String?) throws -> DType {
    guard let given else { return .preferred }
    guard let dtype = DType(rawValue: given) else {
      throw Exit.Failure(exit: .usage, description: "--precision \(given) is unknown; use bf16 or f32.")
    }
    return dtype
  }
}
