import ArgumentParser
import Foundation
import Registry

/// `--offline` and `--plain-http`, for every command that may use the network.
struct NetworkOptions: ParsableArguments {
  @Flag(help: "Refuse registries elsewhere; CODI_OFFLINE=1 does the same.") var offline = false
  @Flag(help: "Allow registries elsewhere without encryption.") var plainHttp = false

  /// - Parameter quiet: tells neither how far downloads are nor what is tried again.
  func network(quiet: Bool) throws -> Network {
    var network = Network()
    let said = ProcessInfo.processInfo.environment["CODI_OFFLINE"] ?? ""
    network.isOffline = offline || !["", "0"].contains(said)
    network.allowsPlain = plainHttp
    network.credentials = try Credentials(home: Locations.store.home)
    network.authorities = CertificateAuthorities(home: Locations.store.home)
    network.isStopped = { Interruption.isRequested }
    if !quiet {
      let bar = ProgressBar()
      network.note = { bar.interrupt(with: "codi: \($0)".printable()) }
      network.progress = { digest, bytes, all in
        // What takes a moment only needs no bar.
        guard all > 8 << 20 else { return }
        bar.show(Double(bytes) / Double(all), "\(bytes / 1_000_000) of \(all / 1_000_000) MB")
        if bytes == all { bar.finish() }
      }
    }
    return network
  }
}

/// `--registry`, for commands that read one.
struct RegistryOptions: ParsableArguments {
  @Option(help: "Registry: a folder, https://…, oci://…, or a name that codi registry list shows.")
  var registry: String?
  @OptionGroup var network: NetworkOptions

  /// The registry asked for, or the one that came with the program.
  func open(quiet: Bool) throws -> BundleRegistry {
    try Locations.registry(registry, network.network(quiet: quiet))
  }
}
