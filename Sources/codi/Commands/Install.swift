import Adapters
import ArgumentParser
import Bundles
import Foundation
import Registry
import Tensor

struct Install: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Install an adapter or a core, with the core it needs.",
    discussion: """
      With --lock FILE, names that the file pins are installed exactly so, others are installed and pinned too; without \
      names, everything that it pins is installed. What differs from a pin is refused.
      Examples: codi install super-resolution    codi install codi/photo@^0.1    codi install ./my.codi
                codi install super-resolution --lock codi.lock    codi install --lock codi.lock
      """)

  @Argument(help: "NAME[@VERSION], or the path of a .codi file.") var what: [String] = []
  @Option(help: "A lock file: made or extended, and obeyed.") var lock: String?
  @OptionGroup var registry: RegistryOptions
  @Flag(help: "Say yes where you would be asked about a bundle without a signature.") var acceptUnsigned = false
  @OptionGroup var output: OutputOptions

  func run() async throws {
    guard !what.isEmpty || lock != nil else {
      throw Exit.Failure(
        exit: .usage, description: "Name what to install, such as super-resolution; codi list --available shows all.")
    }
    var lock = try lock.map { try LockFile($0) }
    if what.isEmpty, let lock {
      guard !lock.isNew else {
        throw Exit.Failure(
          exit: .notFound,
          description: "\(lock.path): There is no such lock file. Make it: codi install NAME --lock \(lock.path)")
      }
      try await install { store, registry, dialogue, proof in
        try store.install(lock, from: registry, dialogue: dialogue, proof: proof)
      }
    }
    for name in what {
      let pinned = lock
      let installed = try await install { store, registry, dialogue, proof in
        if name.hasSuffix(".codi") {
          guard FileManager.default.fileExists(atPath: name) else {
            throw Exit.Failure(exit: .notFound, description: "\(name): There is no such file. Check the path.")
          }
          return [
            try store.install(
              file: name, coresFrom: try? registry(), lock: pinned, dialogue: dialogue, proof: proof)
          ]
        }
        let reference = try Reference(name)
        if let pinned, pinned.names(reference) {
          return try store.install(
            pinned, only: [try pinned.resolve(reference)], from: registry, dialogue: dialogue, proof: proof)
        }
        return [
          try store.install(reference, from: try registry(), lock: pinned, dialogue: dialogue, proof: proof)
        ]
      }
      try lock?.pin(installed, output)
    }
  }

  /// Does it on the compute thread, where proofs run, and says what was installed.
  @discardableResult
  private func install(
    _ body: @escaping @Sendable (Store, () throws -> BundleRegistry, TrustDialogue, Store.Proof) throws -> [Installed]
  ) async throws -> [Installed] {
    let start = ContinuousClock.now
    let (registry, store, acceptUnsigned, quiet) = (registry, Locations.store, acceptUnsigned, output.quiet)
    let (installed, proved) = try await Compute.run { () throws in
      var proved = Duration.zero
      let dialogue = TrustDialogue.terminal(acceptUnsigned: acceptUnsigned)
      let installed = try body(store, { try registry.open(quiet: quiet) }, dialogue) { bundle, core in
        proved += try ContinuousClock().measure { try Proof.check(bundle, core: core) }
      }
      return (installed, proved)
    }
    let seconds = [ContinuousClock.now - start, proved].map { $0 / .seconds(1) }
    for bundle in installed {
      output.report(
        [
          "event": "installed", "name": bundle.name, "version": "\(bundle.version)", "digest": bundle.digest,
          "signer": bundle.signer.map { "\($0.id)" }, "seconds": seconds[0], "proof-seconds": seconds[1],
        ],
        text: "installed \(bundle.name)@\(bundle.version), "
          + String(format: "%.1f s, %.1f s of them to prove it on this machine", seconds[0], seconds[1]))
    }
    return installed
  }
}

extension LockFile {
  /// Adds what is installed, with the cores of adapters, to the file, and says so if that changes it.
  mutating func pin(_ installed: [Installed], _ output: OutputOptions) throws {
    let (known, store) = (pins, Locations.store)
    // The pinned core, if the adapter was pinned before; a new adapter may bring another one.
    let cores = try installed.filter { $0.kind == .adapter }
      .map { try (try? store.core(of: $0, pinnedIn: self)) ?? store.core(of: $0) }
    guard add(installed + cores) else { return }
    try write()
    let new = pins.filter { !known.contains($0) }.map(\.identity)
    output.report(
      ["event": "locked", "path": path, "pinned": new, "new": isNew],
      text: "\(path): pinned \(new.joined(separator: ", "))" + (isNew && known.isEmpty ? " (the file is new)" : ""))
  }
}
