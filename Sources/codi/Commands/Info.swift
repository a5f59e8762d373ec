import ArgumentParser
import Bundles
import Foundation
import Registry

struct Info: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show a bundle's manifest: installed, in the registry, or a .codi file. Runs none of its code.")

  @Argument(help: "NAME[@VERSION], or the path of a .codi file.") var what: String
  @OptionGroup var registry: RegistryOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let manifest = try find()
    if output.json {
      output.printLine(
        OutputOptions.line([
          "name": manifest.name, "version": "\(manifest.version)", "kind": manifest.kind.rawValue,
          "task": manifest.task,
          "summary": manifest.summary, "license": manifest.license, "parameters": manifest.weights.parameters,
          "core": manifest.requires.core, "core-digest": manifest.requires.coreDigest ?? manifest.coreDigest,
          "samples-seen": manifest.training.samplesSeen, "samples-in-all": manifest.training.samplesInAll,
          "from": manifest.training.from.map { "\($0)" }, "metrics": manifest.metrics,
        ]))
    } else {
      output.printLine(try manifest.yaml().trimmingCharacters(in: .newlines).printableLines)
      // A comment, so that what is printed is still the manifest.
      if let from = manifest.training.from {
        output.printLine("# \(manifest.training.samplesInAll) samples in all, those of \(from) among them")
      }
    }
  }

  private func find() throws -> Manifest {
    if what.hasSuffix(".codi") { return try BundleReader(path: what).manifest }
    let reference = try Reference(what)
    do { return try Locations.store.open(try Locations.store.resolve(reference)).manifest } catch let error
      as RegistryError
      where error.code == .notFound
    {}
    let registry = try registry.open(quiet: output.quiet)
    return try registry.manifest(of: try registry.resolve(reference))
  }
}
