import ArgumentParser
import Registry

struct CollectGarbage: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gc", abstract: "Forget earlier states, and remove the files that only they need.")

  @Option(help: "How many earlier states to keep for codi rollback.") var keep = 0
  @Flag(help: "Say what would be removed, and change nothing.") var dryRun = false
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if keep < 0 { throw ValidationError("--keep \(keep) is less than nothing; use 0 or more.") }
  }

  func run() throws {
    let gone = try Locations.store.collectGarbage(keeping: keep, dryRun: dryRun)
    output.emit(
      [
        "event": dryRun ? "would-collect" : "collected", "generations": gone.generations, "bundles": gone.folders,
        "bytes": gone.bytes,
      ],
      text: "\(dryRun ? "would remove" : "removed") \(gone.generations.count) earlier states and "
        + "\(gone.folders.count) bundles, \(gone.bytes / 1000) kB")
  }
}
