import ArgumentParser
import Bundles
import Registry

struct Search: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Look for bundles in a registry, by a word in their name, task or summary. Fetches no weights.",
    discussion: "Shows the newest version of each. Example: codi search resolution --registry https://example.org/hub")

  @Argument(help: "A word; everything if left out.") var word = ""
  @OptionGroup var registry: RegistryOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let registry = try registry.open(quiet: output.quiet)
    let found = try registry.search(word)
    for artifact in found {
      output.emit(
        [
          "name": artifact.name, "version": "\(artifact.version)", "kind": artifact.kind.rawValue,
          "task": artifact.task, "summary": artifact.summary, "license": artifact.license,
          "bytes": artifact.bundle.size,
        ],
        text: "\(artifact.name)@\(artifact.version)  \(artifact.kind.rawValue)  \(artifact.summary)".printable())
    }
    if found.isEmpty {
      throw Exit.Failure(
        exit: .notFound,
        description: word.isEmpty
          ? "\(registry.path): There is nothing published."
          : "\(registry.path): Nothing there has to do with \(word.debugDescription). codi search alone shows all.")
    }
  }
}
