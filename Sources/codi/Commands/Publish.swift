import ArgumentParser
import Registry

struct Publish: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Put a bundle into a registry folder (an OCI image layout). A published version never changes.")

  @Argument(help: "The .codi file.") var bundle: String
  @Option(help: "The registry's folder; made when it does not exist.") var registry: String
  @OptionGroup var output: OutputOptions

  func run() throws {
    let artifact = try OCILayout(path: registry, create: true).publish(bundle)
    output.report(
      ["event": "published", "name": artifact.name, "version": "\(artifact.version)", "digest": artifact.digest],
      text: "published \(artifact.name)@\(artifact.version) as \(artifact.digest)")
  }
}
