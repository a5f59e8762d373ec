import Adapters
import ArgumentParser
import Bundles
import Foundation
import Registry
import Tensor

struct Install: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Install an adapter or a core, with the core it needs.",
    discussion: "Examples: codi install super-resolution    codi install codi/photo@^0.1    codi install ./my.codi")

  @Argument(help: "NAME[@VERSION], or the path of a .codi file.") var what: [String]
  @OptionGroup var registry: RegistryOptions
  @Flag(help: "Say yes where you would be asked about a bundle without a signature.") var acceptUnsigned = false
  @OptionGroup var output: OutputOptions

  func run() async throws {
    for reference in what {
      let start = ContinuousClock.now
      let (registry, store, acceptUnsigned) = (registry, Locations.store, acceptUnsigned)
      let quiet = output.quiet
      let installed = try await Compute.run { () throws in
        let dialogue = TrustDialogue.terminal(acceptUnsigned: acceptUnsigned)
        if reference.hasSuffix(".codi") {
          guard FileManager.default.fileExists(atPath: reference) else {
            throw Exit.Failure(exit: .notFound, description: "\(reference): There is no such file. Check the path.")
          }
          return try store.install(
            file: reference, coresFrom: try? registry.open(quiet: quiet), dialogue: dialogue, proof: Proof.check)
        }
        return try store.install(
          try Reference(reference), from: try registry.open(quiet: quiet), dialogue: dialogue, proof: Proof.check)
      }
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      output.report(
        [
          "event": "installed", "name": installed.name, "version": "\(installed.version)", "digest": installed.digest,
          "signer": installed.signer.map { "\($0.id)" },
        ],
        text: "installed \(installed.name)@\(installed.version), proved on this machine, "
          + String(format: "%.1f s", seconds))
    }
  }
}
