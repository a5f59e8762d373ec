import ArgumentParser
import Bundles
import Registry

struct List: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List what is installed, or, with --registry, what that offers.")

  @Flag(help: "List the registry instead of the store.") var available = false
  @OptionGroup var registry: RegistryOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    if available || registry.registry != nil {
      for artifact in try registry.open(quiet: output.quiet).list() {
        output.emit(
          [
            "name": artifact.name, "version": "\(artifact.version)", "kind": artifact.kind.rawValue,
            "task": artifact.task,
            "summary": artifact.summary, "license": artifact.license, "bytes": artifact.bundle.size,
          ],
          text: "\(artifact.name)@\(artifact.version)  \(artifact.kind.rawValue)  "
            + "\(artifact.bundle.size / 1_000_000) MB  \(artifact.summary.printable())")
      }
      return
    }
    let installed = try Locations.store.list()
    for bundle in installed {
      output.emit(
        ["name": bundle.name, "version": "\(bundle.version)", "kind": bundle.kind.rawValue, "digest": bundle.digest],
        text: "\(bundle.name)@\(bundle.version)  \(bundle.kind.rawValue)")
    }
    if installed.isEmpty && !output.json && !output.quiet {
      output.printLine("nothing is installed; codi list --available shows what can be: codi install NAME")
    }
  }
}
