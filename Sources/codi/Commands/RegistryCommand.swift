import ArgumentParser
import Foundation
import Registry
import Synchronization

struct RegistryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "registry", abstract: "Give registries names, check them, and copy them.",
    subcommands: [Add.self, List.self, Remove.self, Check.self, Mirror.self, Fetch.self])

  struct Add: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Give a registry a name that --registry understands.",
      discussion: """
        Nothing is asked over the network. Credentials go into the file credentials of the store, or CODI_CREDENTIALS.
        Examples: codi registry add team oci://registry.example.org/codi    codi registry add usb /media/stick/registry
        """)

    @Argument(help: "The name.") var name: String
    @Argument(help: "A folder, https://…, or oci://…") var address: String
    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
      let address = try RegistryAddress(address, allowsPlain: network.plainHttp)
      try Locations.store.changeRegistries { try $0.add(name, address) }
      output.report(
        ["event": "added", "name": name, "address": "\(address)"], text: "\(name) stands for \(address)")
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the registries that have names; default came with the program.")

    @OptionGroup var output: OutputOptions

    func run() throws {
      let named = try Locations.store.registries().registries
      let all =
        [(ConfiguredRegistries.embedded, Locations.embeddedFolder)]
        + named.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
      for (name, address) in all {
        output.emit(["name": name, "address": address], text: "\(name)  \(address ?? "missing")")
      }
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Forget the name of a registry; the registry itself stays as it is.")

    @Argument(help: "The name.") var name: String
    @OptionGroup var output: OutputOptions

    func run() throws {
      try Locations.store.changeRegistries { try $0.remove(name) }
      output.report(["event": "removed", "name": name], text: "forgot \(name)")
    }
  }

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Compare everything in a registry with its digests; in a folder, find files that nothing needs too.",
      discussion: """
        Of a registry elsewhere documents, manifests and statements are read; the bundles themselves are only asked for by
        presence and size, unless --deep has them downloaded too. A folder is always read as a whole.
        """)

    @Argument(help: "A folder, an address, or a configured name; default if left out.")
    var registry = ConfiguredRegistries.embedded
    @Flag(help: "Download and compare every bundle of a registry elsewhere.") var deep = false
    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
      let registry = try Locations.registry(named: registry, network.network(quiet: output.quiet))
      let report = try registry.check(isDeep: deep)
      for finding in report.findings {
        output.emit(
          ["event": finding.kind.rawValue, "place": finding.place, "reason": finding.reason],
          text: "\(finding.kind.rawValue)  \(finding.place): \(finding.reason)".printable(lines: true))
      }
      let faults = report.findings.filter { $0.kind == .fault }.count
      output.emit(
        [
          "event": "checked", "registry": registry.path, "artifacts": report.artifacts, "blobs": report.blobs,
          "bytes": report.bytes, "unread": report.unread, "faults": faults,
          "dangling": report.findings.count - faults,
        ],
        text: "\(registry.path): \(report.artifacts) artifacts, \(report.blobs) blobs, \(report.bytes / 1_000_000) MB: "
          + (faults == 0 ? "sound" : "\(faults) faults")
          + (report.unread == 0
            ? ""
            : "; \(report.unread) bundles of \(report.unreadBytes / 1_000_000) MB are there, --deep reads them"))
      if !report.isSound { throw Exit.Code(.someFailed) }
    }
  }

  struct Mirror: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Copy all bundles and statements of a registry into another one, byte for byte.",
      discussion: """
        Nothing is taken away from the target; doing it again copies what is new. Signatures go with the bundles.
        Example: codi registry mirror oci://registry.example.org/codi ./registry
        """)

    @Argument(help: "Where from: a folder, an address, or a configured name.") var from: String
    @Argument(help: "Where to: a folder, made when it does not exist, oci://…, or a configured name.") var to: String
    @Flag(help: "Say what would be copied, and copy nothing.") var dryRun = false
    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
      let network = try network.network(quiet: output.quiet)
      let source = try Locations.registry(named: from, network)
      let target = try Locations.registry(named: to, network, create: !dryRun)
      try source.mirror(to: target, isDryRun: dryRun) { mirrored in
        let word = dryRun && mirrored.outcome == .copied ? "would copy" : mirrored.outcome.rawValue
        output.emit(
          ["event": word.replacing(" ", with: "-"), "name": mirrored.name, "digest": mirrored.digest],
          text: "\(word)  \(mirrored.name)")
      }
    }
  }

  /// Fetches one blob, for measuring: Documentation/Registries.md says how.
  struct Fetch: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Fetch one blob of an OCI registry into a file.", shouldDisplay: false)

    @Argument(help: "oci://…") var registry: String
    @Argument(help: "publisher/name") var repository: String
    @Argument(help: "sha256:…") var digest: String
    @Argument(help: "Bytes.") var size: Int
    @Argument(help: "The file; made anew.") var file: String
    @OptionGroup var network: NetworkOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
      var network = try network.network(quiet: true)
      let received = Mutex<ContinuousClock.Instant?>(nil)
      network.progress = { _, bytes, all in if bytes == all { received.withLock { $0 = .now } } }
      let start = ContinuousClock.now
      try Locations.registry(named: registry, network)
        .fetch(Artifact.Blob(digest: digest, size: size), of: repository, to: file)
      let (end, last) = (ContinuousClock.now, received.withLock { $0 } ?? .now)
      output.emit(
        [
          "event": "fetched", "bytes": size, "receive-seconds": (last - start) / .seconds(1),
          "verify-seconds": (end - last) / .seconds(1),
        ],
        text: "received in \(last - start), verified \(end - last) later")
    }
  }
}
