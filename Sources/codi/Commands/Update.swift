import Adapters
import ArgumentParser
import Bundles
import Registry
import Tensor

struct Update: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Replace installed adapters by the newest versions; codi rollback undoes it.")

  @Argument(help: "NAME[@VERSIONS]; all adapters if left out.") var what: [String] = []
  @OptionGroup var registry: RegistryOptions
  @Flag(help: "Say what would be updated, and change nothing.") var dryRun = false
  @Flag(help: "Say yes where you would be asked about a bundle without a signature.") var acceptUnsigned = false
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let (store, registry) = (Locations.store, try registry.open(quiet: output.quiet))
    let acceptUnsigned = acceptUnsigned
    let updates = try store.updates(try what.map { try Reference($0) }, from: registry)
    for update in updates {
      if !dryRun {
        try await Compute.run { () throws in
          _ = try store.update(
            update, from: registry, dialogue: .terminal(acceptUnsigned: acceptUnsigned), proof: Proof.check)
        }
      }
      output.emit(
        [
          "event": dryRun ? "would-update" : "updated", "name": update.offered.name,
          "from": "\(update.installed.version)", "to": "\(update.offered.version)",
        ],
        text: "\(dryRun ? "would update" : "updated") \(update.offered.name) from \(update.installed.version) to "
          + "\(update.offered.version)")
    }
    if updates.isEmpty && !output.json && !output.quiet { output.printLine("everything is up to date") }
  }
}
