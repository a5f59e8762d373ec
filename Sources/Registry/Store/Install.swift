public import Bundles
internal import Foundation

extension Store {
  /// Tries a staged bundle before it is installed; `core` is the adapter's, `nil` for a core. Throw to refuse.
  public typealias Proof = (_ bundle: InstalledBundle, _ core: InstalledBundle?) throws -> Void

  /// Installs what `reference` names in `registry`, and its core when that is missing.
  ///
  /// The manifest is checked before anything else is read. Signatures are judged by whom the user trusts; then bundles
  /// are unpacked, verified and proved aside; then all of them appear at once, or nothing does. What is installed
  /// already is left alone.
  /// - Parameter lock: what it pins is refused with another digest or key.
  /// - Throws: `RegistryError` or `BundleError`, or what `proof` throws.
  @discardableResult
  public func install(
    _ reference: Reference, from registry: BundleRegistry, lock: LockFile? = nil, dialogue: TrustDialogue = .silent,
    proof: Proof = { _, _ in }
  ) throws -> Installed {
    let trust = try learn(reference, from: registry)
    let artifact = try registry.resolve(reference, isYanked: trust.isYanked)
    return try transaction(dialogue, lock: lock) { try $0.add(artifact, from: registry, proof) }
  }

  /// Installs a `.codi` file; its core comes from the store, or from `registry` when that is missing.
  @discardableResult
  public func install(
    file: String, coresFrom registry: BundleRegistry? = nil, lock: LockFile? = nil, dialogue: TrustDialogue = .silent,
    proof: Proof = { _, _ in }
  ) throws -> Installed {
    let manifest = try BundleReader(path: file).manifest
    return try transaction(dialogue, lock: lock) { transaction in
      let copy = "\(transaction.folder)/file.codi"
      let digest = "sha256:" + (try Disk.copy(file, to: copy))
      return try transaction.add(manifest, digest: digest, from: .file, cores: registry, proof) { target in
        try Disk.move(copy, to: target)
      }
    }
  }

  /// - Parameters:
  ///   - lock: what it pins is refused with another digest or key.
  ///   - isLockComplete: whether what it does not pin is refused too.
  func transaction<Result>(
    _ dialogue: TrustDialogue, lock: LockFile? = nil, isLockComplete: Bool = false,
    _ body: (inout InstallTransaction) throws -> Result
  ) throws -> Result {
    try Disk.makeDirectory(bundles)
    return try Disk.withLock(on: home) {
      let index = try sweep(StoreIndex.read(indexFile))
      let folder = "\(staging)/\(UInt64.random(in: .min ... .max))"
      try Disk.makeDirectory(folder)
      defer { Disk.remove(staging) }
      var transaction = InstallTransaction(
        store: self, folder: folder, dialogue: dialogue, index: index, trust: try trust(), lock: lock,
        isLockComplete: isLockComplete)
      let result = try body(&transaction)
      try transaction.commit()
      // What is left belongs to installs that were interrupted.
      if Disk.exists(downloads), Disk.contents(downloads).isEmpty { Disk.remove(downloads) }
      return result
    }
  }
}

/// One install under the store's lock: bundles are staged one by one and appear together.
struct InstallTransaction {
  let store: Store
  let folder: String
  let dialogue: TrustDialogue
  var index: StoreIndex
  var trust: Trust
  private let lock: LockFile?
  private let isLockComplete: Bool
  private let before: StoreIndex
  private var staged: [Installed] = []

  init(
    store: Store, folder: String, dialogue: TrustDialogue, index: StoreIndex, trust: Trust, lock: LockFile?,
    isLockComplete: Bool
  ) {
    self.lock = lock
    self.isLockComplete = isLockComplete
    self.store = store
    self.folder = folder
    self.dialogue = dialogue
    self.index = index
    before = index
    self.trust = trust
  }

  /// Stages one bundle of a registry, after its core.
  mutating func add(
    _ artifact: Artifact, from registry: BundleRegistry, _ proof: Store.Proof
  ) throws -> Installed {
    let downloads = store.downloads
    return try add(
      try registry.manifest(of: artifact), digest: artifact.bundle.digest, from: registry.source, cores: registry, proof
    ) { target in
      try registry.fetch(artifact, to: target, partials: downloads)
    }
  }

  /// Stages one bundle, after its core.
  mutating func add(
    _ manifest: Manifest, digest: String, from source: BundleSource, cores: BundleRegistry?, _ proof: Store.Proof,
    fetch: (_ target: String) throws -> Void
  ) throws -> Installed {
    try check(manifest)
    let pin = try pin(of: manifest)
    let offer = source == .file ? "The file" : "The registry \(source.location)"
    if let pin { try lock?.check(pin, digest: digest, of: offer) }
    if let known = index.bundles.first(where: { $0.name == manifest.name && $0.version == manifest.version }) {
      guard known.digest == digest else {
        throw RegistryError(
          .conflict, at: manifest.identity, "It is installed with digest \(known.digest); this one has \(digest).",
          remedy: "A version never changes: ask the publisher. If it is your own, unpublished one: "
            + "`codi remove \(manifest.identity)`, then `codi trust forget \(manifest.identity)`.")
      }
      if let pin { try lock?.check(pin, known) }
      // An adapter whose core was lost gets it again.
      if manifest.kind == .adapter { _ = try core(of: manifest, cores, proof) }
      return known
    }
    try trust.check(manifest.identity, digest: digest)
    let core = manifest.kind == .adapter ? try core(of: manifest, cores, proof) : nil
    let zip = "\(folder)/\(digest.replacing(":", with: "-")).codi"
    try fetch(zip)
    let reader = try BundleReader(path: zip)
    guard reader.manifest == manifest else {
      throw RegistryError(
        .corrupt, at: manifest.identity,
        "The zip's manifest, \(reader.manifest.identity), is not the one that was announced.",
        remedy: "Tell the registry's owner.")
    }
    let signer = try trust.judge(reader, from: source, dialogue)
    if let pin { try lock?.check(pin, signer: signer, of: offer) }
    let publisher = String(manifest.name.prefix { $0 != "/" })
    // A publisher met for the first time just now may have taken this very version back.
    if let cores, trust.publishers[publisher]?.signs == true, let signed = try cores.statements(of: publisher) {
      try trust.learn(signed)
    }
    try trust.checkStatements(manifest.identity, from: source)
    let added = try Installed(manifest, digest: digest, signer: signer)
    let bundle = try reader.extract(to: URL(filePath: path(added)))
    Disk.remove(zip)
    try proof(bundle, core)
    staged.append(added)
    index.bundles.append(added)
    trust.remember(manifest.identity, digest: digest)
    return added
  }

  /// Takes a bundle out of the index together with what is added.
  mutating func drop(_ bundle: Installed) { index.bundles.removeAll { $0 == bundle } }

  /// Moves everything staged into place, then names it in the index: until that is done, nothing has changed.
  ///
  /// Trust is written first: knowing a key or digest without its bundle does no harm, the other way round would.
  func commit() throws {
    guard index.bundles != before.bundles else { return }
    do {
      for bundle in staged {
        let target = store.directory(bundle)
        // An earlier generation may have it; what is there is not verified, the staged one is.
        if Disk.exists(target) { try Disk.move(target, to: "\(path(bundle)).old") }
        try Disk.move(path(bundle), to: target)
      }
      try store.write(trust)
      try store.advance(from: before, to: index)
    } catch {
      // The index on disk decides, whichever step failed: a failed sync may follow a rename that took place.
      if let index = try? StoreIndex.read(store.indexFile) { _ = try? store.sweep(index) }
      throw error
    }
  }

  /// Where a staged bundle is unpacked.
  private func path(_ bundle: Installed) -> String { "\(folder)/\(bundle.folder)" }

  /// The adapter's core: installed, staged, or now staged from `registry`.
  private mutating func core(
    of adapter: Manifest, _ registry: BundleRegistry?, _ proof: Store.Proof
  ) throws -> InstalledBundle {
    let name = adapter.requires.core ?? "unnamed"
    let digest = adapter.requires.coreDigest ?? "none"
    // Where a lock file pins one, no other will do, although it computes the same.
    func isPinned(_ name: String, _ version: SemanticVersion) -> Bool { lock?.pin(name, version) != nil }
    let known = index.bundles.filter { $0.kind == .core && $0.coreDigest == digest }
    if let pinned = known.first(where: { isPinned($0.name, $0.version) }),
      let pin = lock?.pin(pinned.name, pinned.version)
    {
      try lock?.check(pin, pinned)
      return try open(pinned)
    }
    if !isLockComplete, let any = known.first { return try open(any) }
    let offered = try registry?.artifacts(of: Reference(name)).filter { $0.kind == .core } ?? []
    let fitting = offered.filter { $0.coreDigest == digest }
    let pinned = fitting.filter { isPinned($0.name, $0.version) }
    guard let registry, let core = (pinned.isEmpty ? fitting : pinned).max(by: { $0.version < $1.version }) else {
      let there = offered.map { "\($0.version) with \($0.coreDigest)" }.joined(separator: ", ")
      throw RegistryError(
        .core, at: "\(adapter.name)@\(adapter.version)",
        "It was made for the core \(name) with \(digest), which is not installed; "
          + (registry == nil
            ? "no registry was asked." : "the registry has \(there.isEmpty ? "none of that name" : there)."),
        remedy:
          "Install that core from a registry that has it, `codi install \(name) --registry PLACE`, or a version of "
          + "the adapter made for a core you have.")
    }
    // Two statements: what is staged must be known by the time that it is opened.
    let added = try add(core, from: registry, proof)
    return try open(added)
  }

  /// The files of a bundle of the index, which may be staged only.
  private func open(_ bundle: Installed) throws -> InstalledBundle {
    guard staged.contains(bundle) else { return try store.open(bundle) }
    return try InstalledBundle(directory: URL(filePath: path(bundle)))
  }

  /// What the lock file pins of a bundle; nil where nothing is pinned of it and that is allowed.
  private func pin(of manifest: Manifest) throws(RegistryError) -> LockFile.Pin? {
    guard let lock else { return nil }
    if let pin = lock.pin(manifest.name, manifest.version) { return pin }
    guard isLockComplete else { return nil }
    throw RegistryError(
      .locked, at: lock.path, "It does not pin \(manifest.identity), which a pinned adapter needs.",
      remedy: "Take the adapter's entry out of the file; `codi install NAME --lock \(lock.path)` pins both anew.")
  }

  /// Refuses what cannot run here, before its weights are read.
  private func check(_ manifest: Manifest) throws(RegistryError) {
    let bundle = "\(manifest.name)@\(manifest.version)"
    guard manifest.requires.codi.admits(store.program) else {
      throw RegistryError(
        .unsupported, at: bundle, "It needs codi \(manifest.requires.codi), this is codi \(store.program).",
        remedy: "Update codi, or \(another(manifest)).")
    }
    guard let plugin = manifest.plugin else { return }
    guard plugin.abi == PluginLibrary.abi else {
      throw RegistryError(
        .unsupported, at: bundle, "Its plugin has ABI \(plugin.abi), this program speaks \(PluginLibrary.abi).",
        remedy: "Update codi, or \(another(manifest)).")
    }
    let platform = InstalledBundle.platform
    guard plugin.libraries[platform] != nil else {
      throw RegistryError(
        .unsupported, at: bundle,
        "It has no plugin for \(platform), only for \(plugin.libraries.keys.sorted().joined(separator: ", ")).",
        remedy: "Ask the publisher for one, or \(another(manifest)).")
    }
  }

  private func another(_ manifest: Manifest) -> String {
    "install another version: `codi list --available` shows them, `codi install \(manifest.name)@VERSION` takes one"
  }
}
