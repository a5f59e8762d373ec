import ArgumentParser
import Registry

struct Remove: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Remove an installed bundle.")

  @Argument(help: "NAME[@VERSION].") var what: [String]
  @Flag(help: "Say what would be removed, and change nothing.") var dryRun = false
  @OptionGroup var output: OutputOptions

  func run() throws {
    for text in what {
      let reference = try Reference(text)
      let gone = try dryRun ? Locations.store.resolve(reference) : Locations.store.remove(reference)
      output.report(
        ["event": dryRun ? "would-remove" : "removed", "name": gone.name, "version": "\(gone.version)"],
        text: "\(dryRun ? "would remove" : "removed") \(gone.name)@\(gone.version)")
    }
  }
}
