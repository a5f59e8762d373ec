import ArgumentParser
import Registry

struct Publish: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Put a bundle into a registry. A published version never changes.")

  @Argument(help: "The .codi file.") var bundle: String
  @Option(help: "The registry: a folder, made when it does not exist, oci://…, or a configured name.")
  var registry: String
  @OptionGroup var network: NetworkOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let artifact = try Locations.registry(
      named: registry, network.network(quiet: output.quiet), create: true
    ).publish(bundle)
    output.report(
      ["event": "published", "name": artifact.name, "version": "\(artifact.version)", "digest": artifact.digest],
      text: "published \(artifact.name)@\(artifact.version) as \(artifact.digest)")
  }
}
