import ArgumentParser
import Bundles
import Registry

struct Publish: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Put a bundle into a registry. A published version never changes.",
    discussion: """
      The bundle must pass codi bundle lint, and the plugin of an adapter codi plugin validate; both are run here, the
      second in isolated processes.
      """)

  @Argument(help: "The .codi file.") var bundle: String
  @Option(help: "The registry: a folder, made when it does not exist, oci://…, or a configured name.")
  var registry: String
  @Flag(help: "Check everything, publish nothing.") var dryRun = false
  @OptionGroup var network: NetworkOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let manifest = try BundleReader(path: bundle).manifest
    let network = try network.network(quiet: output.quiet)
    // What is published already is nothing to check again, and another one under its name is refused at once.
    let isKnown = try existing(network)?.offers(bundle) ?? false
    if !isKnown {
      try lint()
      try checkPlugin(manifest)
    }
    if dryRun {
      output.report(
        ["event": "would-publish", "name": manifest.name, "version": "\(manifest.version)", "published": isKnown],
        text: isKnown ? "\(manifest.identity) is published already" : "would publish \(manifest.identity)")
      return
    }
    let artifact = try Locations.registry(named: registry, network, create: true).publish(bundle)
    output.report(
      ["event": "published", "name": artifact.name, "version": "\(artifact.version)", "digest": artifact.digest],
      text: "published \(artifact.name)@\(artifact.version) as \(artifact.digest)")
  }

  /// The registry as it is; nil for a folder that holds none yet.
  private func existing(_ network: Network) throws -> BundleRegistry? {
    do { return try Locations.registry(named: registry, network) } catch let error as RegistryError
      where error.code == .notFound
    { return nil }
  }

  private func lint() throws {
    let broken = try BundleLint.run(bundle).filter { $0.outcome == .failed }
    guard let first = broken.first else { return }
    throw Exit.Failure(
      exit: .refused,
      description: "\(bundle): It breaks \(broken.map(\.id).joined(separator: ", ")). \(first.sentence) "
        + "\(first.detail) See all with `codi bundle lint \(bundle)`.")
  }

  /// Refuses an adapter whose plugin breaks a rule of the interface, or cannot be run here to find out.
  private func checkPlugin(_ manifest: Manifest) throws {
    guard let plugin = manifest.plugin else { return }
    guard plugin.libraries[InstalledBundle.platform] != nil else {
      throw Exit.Failure(
        exit: .refused,
        description: "\(bundle): Its plugin is for \(plugin.libraries.keys.sorted().joined(separator: ", ")), so it "
          + "cannot be validated on \(InstalledBundle.platform). Publish it on one of its platforms, or add a library "
          + "for this one.")
    }
    let subject = try PluginSubject(bundle)
    let broken = Conformance(subject.file, subject.profile, seed: 1).run().filter { $0.outcome == .failed }
    guard let first = broken.first else { return }
    throw Exit.Failure(
      exit: .refused,
      description: "\(bundle): Its plugin breaks \(broken.map(\.id).joined(separator: ", ")). \(first.sentence) "
        + "\(first.detail) See all with `codi plugin validate \(bundle)`.")
  }
}
