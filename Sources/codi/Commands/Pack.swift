import Adapters
import ArgumentParser
import Bundles
import Distillation
import Foundation
import Registry
import Tensor

struct Pack: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a .codi bundle of a training run.",
    discussion: """
      Takes the averaged weights of the run's last checkpoint.
      Example: codi pack super-resolution-0.1.0 --source Plugins/SuperResolution --library libSuperResolution.so --out sr.codi
      """)

  @Argument(help: "Run folder: a path, or a name below $CODI_RUNS.") var run: String
  @Option(help: "The task's or core's folder, with card.md and manifest.yaml.") var source: String
  @Option(help: "The task's self-contained library (.ci/build-plugin makes it); adapters only.") var library: String?
  @Option(help: "Licence text to pack.") var license = "LICENSE"
  @Option(help: "JSON lines of codi evaluate, to put into the manifest.") var metrics: String?
  @Option(help: "Sign it with your secret key: a name that codi keys list shows, or a .key file.") var key: String?
  @Option(help: "The bundle to write.") var out: String
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let folder =
      FileManager.default.fileExists(atPath: run) ? RunFolder(at: URL(filePath: run)) : RunFolder(named: run)
    let packer = RunPacker(folder, source: URL(filePath: source), license: URL(filePath: license))
    guard FileManager.default.isReadableFile(atPath: license) else {
      throw Exit.Failure(
        exit: .notFound, description: "\(license): There is no such licence text. Name one with --license FILE.")
    }
    // Asked for before the work starts.
    let key = try key.map(KeyFiles.secret)
    let measured = try metrics.map(readMetrics) ?? []
    let (library, out) = (library, out)
    let manifest = try await Compute.run { () throws in
      let recipe = try YAML.parse(try readText(folder.recipe.path), source: folder.recipe.path)
      guard recipe["kind"]?.text == "adapter" else { return try packer.packCore(to: out, metrics: measured) }
      guard let library else {
        throw Exit.Failure(exit: .usage, description: "An adapter needs its plugin: add --library lib<Task>.so.")
      }
      let reference = try Reference(recipe["core"]?.text ?? "")
      let core = try Core(try Locations.store.open(try Locations.store.resolve(reference)))
      return try packer.packAdapter(
        core: core, library: URL(filePath: library), toolchain: Self.toolchain, to: out, metrics: measured)
    }
    if let key { try BundleWriter.sign(out, with: key) }
    let bytes = (try? FileManager.default.attributesOfItem(atPath: out)[.size] as? Int) ?? 0
    output.report(
      [
        "event": "packed", "name": manifest.name, "version": "\(manifest.version)", "path": out, "bytes": bytes,
        "samples-seen": manifest.training.samplesSeen, "samples-in-all": manifest.training.samplesInAll,
      ],
      text: "packed \(manifest.name)@\(manifest.version): \(out), \(bytes / 1000) kB, "
        + "\(manifest.weights.parameters) parameters, \(samples(manifest.training))")
    // A draft may be packed, for it is what gets measured; publishing it would be refused.
    for finding in try BundleLint.run(out) where finding.outcome == .failed {
      output.say("codi: not to be published yet, \(finding.id): \(finding.sentence) \(finding.detail)")
    }
  }

  private func samples(_ training: Manifest.Training) -> String {
    let own = "\(training.samplesSeen) samples seen"
    return training.from.map { "\(own), \(training.samplesInAll) in all since before \($0)" } ?? own
  }

  /// The compiler of this program, which is that of the library's sources in the same checkout.
  private static let toolchain: String = {
    #if compiler(>=6.4)
      "Swift 6.4 or later"
    #elseif compiler(>=6.3)
      "Swift 6.3"
    #elseif compiler(>=6.2)
      "Swift 6.2"
    #else
      "Swift 6.1"
    #endif
  }()

  private func readMetrics(_ path: String) throws -> [Manifest.Metric] {
    try readText(path).split(separator: "\n").compactMap { line in
      // What belongs to no manifest: floors, differences, digests.
      if line.contains("\"event\":") { return nil }
      do { return try JSONDecoder().decode(Manifest.Metric.self, from: Data(line.utf8)) } catch {
        throw Exit.Failure(
          exit: .badInput, description: "\(path): \(line) is no metric. Write the file with codi evaluate --json.")
      }
    }
  }
}
