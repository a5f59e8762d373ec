public import Bundles
internal import Foundation

/// Which bundles a pipeline runs with, to the byte: name, version, digest and publisher's key of adapters and cores.
///
/// A small YAML file that lies beside the pipeline and goes into its version control. Made when it is absent, obeyed
/// when it is there.
public struct LockFile: Sendable, Hashable {
  public struct Pin: Codable, Hashable, Sendable {
    /// `publisher/name`.
    public let name: String
    public let version: SemanticVersion
    public let kind: Manifest.Kind
    /// SHA-256 of the zip, `sha256:…`.
    public let digest: String
    /// Who signed it; nil for a bundle that was not signed.
    public let key: PublicKey?

    public var identity: String { "\(name)@\(version)" }

    init(_ installed: Installed) {
      (name, version, kind) = (installed.name, installed.version, installed.kind)
      (digest, key) = (installed.digest, installed.signer)
    }
  }

  private struct Contents: Codable {
    var lock = 1
    var bundles: [Pin] = []
  }

  public let path: String
  /// Whether there was no such file.
  public let isNew: Bool
  /// Adapters before cores, by name and version.
  public private(set) var pins: [Pin] = []

  /// Reads the file at `path`; one that is not there pins nothing yet.
  /// - Throws: `RegistryError` or `BundleError` for a file that is no lock file.
  public init(_ path: String) throws {
    self.path = path
    isNew = !Disk.exists(path)
    guard !isNew else { return }
    let node = try YAML.parse(Disk.read(path, atMost: 64 << 10), source: path)
    guard node["lock"]?.text == "1" else {
      throw RegistryError(
        .unsupported, at: path, "It begins with lock: \(node["lock"]?.text ?? "nothing"), this program reads 1.",
        remedy: "Update codi, or check that this is a lock file.")
    }
    pins = try Options.decode(Contents.self, from: node, defaults: Contents(), source: path).bundles
    for (place, pin) in pins.enumerated() {
      guard OCI.hex(pin.digest) != nil, let reference = try? Reference(pin.name), reference.publisher != nil,
        reference.requirement == .any, !pins[..<place].contains(where: { $0.identity == pin.identity })
      else {
        throw RegistryError(
          .corrupt, at: path, "The entry of \(pin.identity) has no full name, no SHA-256 digest, or is there twice.",
          remedy: "Restore the file, or remove it and let the command make it anew.")
      }
    }
  }

  /// Adds what is installed, unless it is pinned already.
  /// - Returns: whether anything was added.
  @discardableResult
  public mutating func add(_ installed: [Installed]) -> Bool {
    let before = pins
    for bundle in installed where pin(bundle.name, bundle.version) == nil { pins.append(Pin(bundle)) }
    pins.sort { ($0.kind.rawValue, $0.name, $0.version) < ($1.kind.rawValue, $1.name, $1.version) }
    return pins != before
  }

  /// Replaces the file; complete or not at all.
  public func write() throws {
    let head = "# What this pipeline runs with. Written by codi; see `codi install --help`.\n"
    let text = YAML.write(try Options.encode(Contents(bundles: pins)))
    try Disk.write(Data((head + text).utf8), to: URL(filePath: path).standardizedFileURL.path)
  }

  func pin(_ name: String, _ version: SemanticVersion) -> Pin? {
    pins.first { $0.name == name && $0.version == version }
  }

  /// Whether anything that `reference` names is pinned, of whatever version.
  public func names(_ reference: Reference) -> Bool { pins.contains { reference.names($0.name) } }

  /// The newest pinned version that `reference` admits.
  /// - Throws: `locked` when the name is not pinned, or no version that is admitted; `ambiguous`.
  public func resolve(_ reference: Reference) throws(RegistryError) -> Pin {
    let named = pins.filter { reference.names($0.name) }
    guard !named.isEmpty else {
      throw RegistryError(
        .locked, at: path, "It does not pin \(reference).",
        remedy: "To pin it too: `codi install \(reference) --lock \(path)`.")
    }
    guard named.contains(where: { reference.requirement.admits($0.version) }) else {
      throw RegistryError(
        .locked, at: path, "It pins \(named.map(\.identity).joined(separator: ", ")), which is not \(reference).",
        remedy: "Ask for what is pinned; or take its entry out of the file, then "
          + "`codi install \(reference) --lock \(path)` pins another.")
    }
    return try reference.pick(from: named, at: path, remedy: "Write the name with its publisher.") {
      ($0.name, $0.version)
    }
  }

  /// Refuses another digest than the pinned one.
  /// - Parameter whose: who has that digest, such as `The store`.
  func check(_ pin: Pin, digest: String, of whose: String) throws(RegistryError) {
    guard pin.digest != digest else { return }
    throw differs(pin, "\(whose) has it with digest \(digest), the lock file pins \(pin.digest).")
  }

  /// Refuses another signer than the pinned one.
  func check(_ pin: Pin, signer: PublicKey?, of whose: String) throws(RegistryError) {
    guard pin.key != signer else { return }
    func words(_ key: PublicKey?) -> String { key.map { "signed by the key \($0.id)" } ?? "not signed" }
    throw differs(pin, "\(whose) has it \(words(signer)), the lock file pins it \(words(pin.key)).")
  }

  func check(_ pin: Pin, _ installed: Installed) throws(RegistryError) {
    try check(pin, digest: installed.digest, of: "The store")
    try check(pin, signer: installed.signer, of: "The store")
  }

  private func differs(_ pin: Pin, _ reason: String) -> RegistryError {
    RegistryError(
      .locked, at: "\(path), \(pin.identity)", reason,
      remedy: "A version never changes: find out which of them is the publisher's. If the lock file is wrong, take the "
        + "entry out of it and pin anew: `codi install \(pin.identity) --lock \(path)`. If the store is: "
        + "`codi remove \(pin.identity)`, `codi trust forget \(pin.identity)`, then `codi install --lock \(path)`.")
  }
}

extension Store {
  /// The installed bundle that `reference` means: the pinned one where a lock file is there, else the newest.
  /// - Throws: `locked` for a name that is not pinned, or an installed bundle that is not the pinned one.
  public func resolve(_ reference: Reference, pinnedIn lock: LockFile?) throws(RegistryError) -> Installed {
    guard let lock, !lock.isNew else { return try resolve(reference) }
    let pin = try lock.resolve(reference)
    guard let installed = try list().first(where: { $0.name == pin.name && $0.version == pin.version }) else {
      throw RegistryError(
        .notFound, at: home, "\(pin.identity), which \(lock.path) pins, is not installed.",
        remedy: "Install what is pinned: `codi install --lock \(lock.path)`.")
    }
    try lock.check(pin, installed)
    return installed
  }

  /// The core that an installed adapter runs with: the pinned one where a lock file is there.
  public func core(of installed: Installed, pinnedIn lock: LockFile?) throws(RegistryError) -> Installed {
    guard let lock, !lock.isNew else { return try core(of: installed) }
    let cores = try list().filter { $0.kind == .core && $0.coreDigest == installed.coreDigest }
    let pinned = cores.filter { lock.pin($0.name, $0.version) != nil }
    guard let core = pinned.max(by: { $0.version < $1.version }), let pin = lock.pin(core.name, core.version) else {
      let there = cores.map { "\($0.name)@\($0.version)" }.joined(separator: ", ")
      throw RegistryError(
        .locked, at: lock.path,
        "The core of \(installed.name)@\(installed.version) is not installed as it is pinned; there is "
          + "\(there.isEmpty ? "none for it" : there).",
        remedy: "Install what is pinned: `codi install --lock \(lock.path)`.")
    }
    try lock.check(pin, core)
    return core
  }

  /// Installs exactly what a lock file pins, all of it or nothing.
  ///
  /// What is installed already is compared with its pin, and no registry is asked for it.
  /// - Parameter only: some of the pins; their cores come along.
  /// - Throws: `locked` when store or registry have another digest or key.
  @discardableResult
  public func install(
    _ lock: LockFile, only: [LockFile.Pin]? = nil, from registry: () throws -> BundleRegistry,
    dialogue: TrustDialogue = .silent, proof: Proof = { _, _ in }
  ) throws -> [Installed] {
    let wanted = only ?? lock.pins
    let present = try list()
    func known(_ pin: LockFile.Pin, _ bundles: [Installed]) -> Installed? {
      bundles.first { $0.name == pin.name && $0.version == pin.version }
    }
    let isComplete = try wanted.allSatisfy { pin in
      guard let there = known(pin, present) else { return false }
      try lock.check(pin, there)
      return there.kind == .core || (try? core(of: there, pinnedIn: lock)) != nil
    }
    if isComplete { return wanted.compactMap { known($0, present) } }
    let source = try registry()
    // Statements are learnt before the store is locked.
    for pin in wanted where known(pin, present) == nil { _ = try learn(Reference(pin.name), from: source) }
    return try transaction(dialogue, lock: lock, isLockComplete: true) { transaction in
      try wanted.map { pin in
        // A core may have come along with its adapter.
        if pin.kind == .core, let there = known(pin, transaction.index.bundles) { return there }
        let artifact = try source.resolve(Reference("\(pin.name)@=\(pin.version)"))
        return try transaction.add(artifact, from: source, proof)
      }
    }
  }
}
