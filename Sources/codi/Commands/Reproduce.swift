import ArgumentParser
import Bundles
import Foundation
import Imaging
import Pipelines
import Registry
import Tensor

struct Reproduce: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a result again from what its file says of itself, and compare the bytes.",
    discussion: """
      Results carry their provenance in XMP: digests of source, adapters and cores, parameters, steps, seed, numerics, \
      version. Without --source it is printed, and whether the adapters are installed. Exit code 0 for the same bytes, 1 \
      for others, 3 where an adapter is not installed, 4 for another source.
      Example:
        codi reproduce big/cat.jpg --source photos/cat.jpg
      """)

  @Argument(help: "A result of codi convert.") var file: String
  @Option(help: "The picture that it was made from.") var source: String?
  @Option(name: .customLong("input"), help: "NAME=FILE: another picture that it was made from, such as a mask.")
  var otherInputs: [String] = []
  @Option(help: "Keep what is made in this file.") var out: String?
  @OptionGroup var output: OutputOptions

  func run() async throws {
    guard let provenance = try Provenance.read(file) else {
      throw ConversionError(
        .provenance, at: file, "It carries no provenance.",
        remedy: "codi convert writes it, except with --strip; other programs may have dropped it.")
    }
    let chain = try installed(provenance)
    guard let source else { return describe(provenance) }
    let digest = "sha256:" + (try SHA256.hex(ofFile: source))
    guard digest == provenance.source else {
      throw Exit.Failure(
        exit: .refused,
        description: "\(source): \(file) was made from another file: this one is \(digest), that one "
          + "\(provenance.source). Name the very file; a copy that was saved again is another.")
    }
    let others = try OtherInputs(otherInputs).added(to: [InputItem(path: source)])[0].others
    try check(others, provenance)
    let work = FileManager.default.temporaryDirectory.appending(path: "codi-reproduce-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: work) }
    let made = try await convert(source, others, chain, provenance, into: work)
    try compare(made, provenance)
  }

  /// Compares the pictures beside the source with what the file says of them.
  private func check(_ others: [String: String], _ provenance: Provenance) throws {
    let wanted = provenance.inputs ?? [:]
    for (name, digest) in wanted.sorted(by: { $0.key < $1.key }) {
      guard let path = others[name] else {
        throw Exit.Failure(
          exit: .usage,
          description: "\(file): It was also made from a picture called \(name): name it with --input "
            + "\(name)=FILE.")
      }
      let found = "sha256:" + (try SHA256.hex(ofFile: path))
      guard found == digest else {
        throw Exit.Failure(
          exit: .refused,
          description: "\(path): \(file) was made with another \(name): this one is \(found), that one \(digest).")
      }
    }
    if let name = others.keys.sorted().first(where: { wanted[$0] == nil }) {
      throw Exit.Failure(exit: .usage, description: "--input \(name): \(file) was made without such a picture.")
    }
  }

  /// The very bundles that the file names.
  private func installed(_ provenance: Provenance) throws -> InstalledChain {
    let store = try Locations.store.list()
    var found: [Installed] = []
    for stage in provenance.stages {
      guard let bundle = store.first(where: { $0.digest == stage.digest }) else {
        let other = store.first { "\($0.name)@\($0.version)" == stage.adapter }
        throw Exit.Failure(
          exit: .notFound,
          description: "\(file): It was made with \(stage.adapter), \(stage.digest), which is not installed"
            + (other.map { "; what is installed under that name is \($0.digest)" } ?? "")
            + ". Install it with `codi install \(stage.adapter)`.")
      }
      found.append(bundle)
    }
    var chain = try InstalledChain(found)
    for (index, stage) in provenance.stages.enumerated() {
      let manifest = chain.stages[index].bundle.manifest
      let settings = stage.parameters.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
      chain.stages[index].values = try Chain.values(settings, for: [manifest])[0]
      chain.stages[index].steps = stage.steps
    }
    return chain
  }

  private func describe(_ provenance: Provenance) {
    let adapters = provenance.stages.map { stage in
      "\(stage.adapter) (\(stage.digest)), \(stage.steps) steps, core \(stage.core)"
        + stage.parameters.sorted { $0.key < $1.key }.map { ", \($0.key) \($0.value)" }.joined()
    }
    output.emit(
      ["event": "provenance", "file": file, "provenance": provenance],
      text: (["source \(provenance.source)"]
        + (provenance.inputs ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" } + adapters + [
          "seed \(provenance.seed), \(provenance.precision), regions of \(provenance.region) over \(provenance.overlap)",
          "codi \(provenance.codi), \(provenance.numerics)",
          "All adapters are installed; name the source with --source to make it again.",
        ]).joined(separator: "\n"))
  }

  /// Converts the source as the file says, in the file's own format.
  /// - Returns: the file that was made.
  private func convert(
    _ source: String, _ others: [String: String], _ chain: InstalledChain, _ provenance: Provenance, into work: String
  ) async throws -> String {
    let format = try probe(file).format
    guard let suffix = PictureFormat(rawValue: format) else {
      throw Exit.Failure(exit: .badInput, description: "\(file): codi writes no \(format) files.")
    }
    var options = Converter.Options()
    guard let seed = UInt64(provenance.seed), let precision = DType(rawValue: provenance.precision) else {
      throw ConversionError(
        .provenance, at: file, "Seed \(provenance.seed) or precision \(provenance.precision) is none.",
        remedy: "It may be from a newer codi; update codi.")
    }
    (options.seed, options.precision) = (seed, precision)
    (options.region, options.overlap) = (max(64, provenance.region), max(0, provenance.overlap))
    var item = InputItem(path: source)
    item.others = others
    item.out = out ?? "\(work)/result.\(suffix.rawValue)"
    guard let path = item.out, PictureFormat(path: path) == suffix else {
      throw Exit.Failure(
        exit: .usage, description: "--out \(out ?? ""): \(file) is \(format): end the name in .\(suffix.rawValue).")
    }
    let real = [path, file].map { URL(filePath: $0).resolvingSymlinksInPath().path }
    guard real[0] != real[1] else {
      throw Exit.Failure(
        exit: .usage, description: "--out \(path): That is the file to compare with. Name another one.")
    }
    try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
    let absolute = URL(filePath: path).path
    item.out = PathText.name(of: absolute)
    let plan = try JobPlan([item], into: PathText.folder(of: absolute))
    var jobOptions = JobOptions()
    (jobOptions.jobs, jobOptions.existing) = (1, .overwrite)
    let job = Job(plan, try await chain.open(options, output), try Journal(), options: jobOptions)
    let bar = ProgressBar(quiet: output.quiet)
    let result = try await job.run(
      events: { _ in }, progress: { bar.show($0.fraction, "converting") },
      shouldStop: { Interruption.isRequested })
    bar.finish()
    if let failure = result.failures.first { throw Exit.Failure(exit: .badInput, description: failure.reason) }
    if result.converted == 0 { throw Exit.Code(Interruption.exit) }
    return absolute
  }

  private func compare(_ made: String, _ provenance: Provenance) throws {
    let digests = try [file, made].map { try SHA256.hex(ofFile: $0) }
    let same = digests[0] == digests[1]
    var text =
      same
      ? "\(file): the same bytes, sha256:\(digests[0])"
      : "\(file): other bytes: sha256:\(digests[0]), made now sha256:\(digests[1])"
    var fields: [String: any Encodable & Sendable] = [
      "event": "reproduced", "file": file, "same": same, "sha256": digests[0], "made": digests[1],
    ]
    if !same {
      let (old, new) = (try readBitmap(file), try readBitmap(made))
      let difference =
        old.width == new.width && old.height == new.height
        ? zip(old.pixels, new.pixels).lazy.map { abs(Int($0) - Int($1)) }.max() : nil
      if let difference {
        fields["difference"] = difference
        text += difference == 0 ? "; the pixels are equal" : "; pixels differ by \(difference) of 255 at most"
      } else {
        text += "; the pictures differ in size"
      }
      let now = Chain.numericsOfThisMachine
      if provenance.codi != Version.current || provenance.numerics != now {
        text +=
          ". It was made by codi \(provenance.codi) with \(provenance.numerics); "
          + "this is codi \(Version.current) with \(now)"
      }
    }
    output.report(fields, text: text)
    if !same { throw Exit.Code(.someFailed) }
  }
}
