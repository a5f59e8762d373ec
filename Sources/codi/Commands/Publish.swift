import ArgumentParser
import Bundles
import Registry

struct Publish: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Put a bundle into a registry. A published version never changes.",
    discussion: "The plugin of an adapter must pass codi plugin validate; that is run here, in isolated processes.")

  @Argument(help: "The .codi file.") var bundle: String
  @Option(help: "The registry: a folder, made when it does not exist, oci://…, or a configured name.")
  var registry: String
  @OptionGroup var network: NetworkOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    try checkPlugin()
    let artifact = try Locations.registry(
      named: registry, network.network(quiet: output.quiet), create: true
    ).publish(bundle)
    output.report(
      ["event": "published", "name": artifact.name, "version": "\(artifact.version)", "digest": artifact.digest],
      text: "published \(artifact.name)@\(artifact.version) as \(artifact.digest)")
  }

  /// Refuses an adapter whose plugin breaks a rule of the interface.
  private func checkPlugin() throws {
    let manifest = try BundleReader(path: bundle).manifest
    guard manifest.plugin?.libraries[InstalledBundle.platform] != nil else { return }
    let subject = try PluginSubject(bundle)
    let broken = Conformance(subject.file, subject.profile, seed: 1).run().filter { $0.outcome == .failed }
    guard let first = broken.first else { return }
    throw Exit.Failure(
      exit: .refused,
      description: "\(bundle): Its plugin breaks \(broken.map(\.id).joined(separator: ", ")). \(first.sentence) "
        + "\(first.detail) See all with `codi plugin validate \(bundle)`.")
  }
}
