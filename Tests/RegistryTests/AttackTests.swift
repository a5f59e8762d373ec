import AttackReport
import Bundles
import Foundation
import Registry
import Testing

/// Counts an attack under the name of the running test.
func recordAttack(_ outcome: String) {
  AttackReport.record(.registries, Test.current?.displayName ?? "unnamed", outcome: outcome)
}

/// The attacks that The Update Framework lists (its specification, section 1.5.2), each tried on an install.
@Suite("Attacks") struct AttackTests {
  let folder: TemporaryFolder
  let registry: BundleRegistry
  let store: Store
  let core: String
  let acme: SecretKey
  let mallory: SecretKey

  init() throws {
    folder = try TemporaryFolder()
    registry = try BundleRegistry(path: folder.path + "/registry", create: true)
    store = try Store.testing(folder.path + "/store")
    core = try TestBundles.core(folder)
    acme = try #require(TestKeys.acme)
    mallory = try #require(TestKeys.other)
    try registry.publish(core)
    try registry.publish(toy(minor: 0))
    try store.changeTrust { try $0.add(acme.publicKey, to: "acme") }
  }

  private func toy(
    minor: Int, key: SecretKey? = TestKeys.acme, weight: Float = 0.25, core other: String? = nil
  ) throws
    -> String
  {
    try TestBundles.adapter(
      folder, for: other ?? core, name: "acme/toy", version: SemanticVersion(1, minor, 0),
      weight: weight, key: key)
  }

  /// A registry under the attacker's hand that starts as a copy of the good one.
  private func copied(_ name: String, address: String? = nil) throws -> BundleRegistry {
    try FileManager.default.copyItem(atPath: registry.path, toPath: "\(folder.path)/\(name)")
    return try BundleRegistry(path: "\(folder.path)/\(name)", address: address)
  }

  private func refused(
    _ what: String = "acme/toy", from registry: BundleRegistry,
    at location: SourceLocation = #_sourceLocation
  ) throws -> String {
    let before = try store.list()
    let error = #expect(throws: (any Error).self, sourceLocation: location) {
      try store.install(Reference(what), from: registry)
    }
    #expect(try store.list() == before, sourceLocation: location)
    let code =
      (error as? RegistryError)?.code.rawValue ?? (error as? BundleError)?.code.rawValue
      ?? "\(String(describing: error))"
    recordAttack("refused, \(code)")
    return code
  }

  private func blob(_ digest: String, in registry: BundleRegistry) -> URL {
    URL(filePath: "\(registry.path)/blobs/sha256/\(digest.dropFirst(7))")
  }

  /// Edits index.json as text.
  private func edit(_ registry: BundleRegistry, _ change: (String) -> String) throws {
    let file = URL(filePath: registry.path + "/index.json")
    let text = try String(contentsOf: file, encoding: .utf8)
    let changed = change(text)
    #expect(changed != text)
    try Data(changed.utf8).write(to: file)
  }

  @Test(
    "arbitrary install: what the attacker made himself, signed by himself or by nobody, is refused")
  func arbitraryInstall() throws {
    for (key, code) in [(mallory, "untrusted"), (nil, "unsigned")] as [(SecretKey?, String)] {
      let hostile = try BundleRegistry(path: "\(folder.path)/hostile-\(code)", create: true)
      try hostile.publish(core)
      try hostile.publish(toy(minor: 5, key: key, weight: 9))
      #expect(try refused(from: hostile) == code)
    }
  }

  @Test(
    "endless data: an index, a document, or a bundle longer than announced is not read to its end")
  func endlessData() throws {
    let hostile = try copied("hostile")
    let artifact = try hostile.resolve(Reference("acme/toy"))
    // The bundle's blob goes on and on; sparse, so that the test is quick.
    let bundle = blob(artifact.bundle.digest, in: hostile)
    let good = try Data(contentsOf: bundle)
    let grown = try FileHandle(forWritingTo: bundle)
    try grown.truncate(atOffset: UInt64(8 << 30))
    let start = ContinuousClock.now
    #expect(try refused(from: hostile) == "corrupt")
    #expect(ContinuousClock.now - start < .seconds(20), "eight gigabytes were read")
    try grown.truncate(atOffset: UInt64(good.count))
    try grown.close()
    for path in [blob(artifact.manifest.digest, in: hostile).path, hostile.path + "/index.json"] {
      let file = try #require(FileHandle(forWritingAtPath: path))
      let length = try file.seekToEnd()
      try file.truncate(atOffset: UInt64(8 << 30))
      #expect(try refused(from: hostile) == "corrupt")
      try file.truncate(atOffset: length)
    }
    try store.install(Reference("acme/toy"), from: hostile)
  }

  @Test(
    "extraneous dependencies: an adapter's core is named under its signature, and judged like any bundle"
  )
  func extraneousDependencies() throws {
    let evil = try TestBundles.core(folder, name: "mallory/photo", weight: 0.75, key: nil)
    let hostile = try copied("hostile")
    try hostile.publish(evil)
    try hostile.publish(toy(minor: 1, core: evil))
    #expect(try refused(from: hostile) == "unsigned")
    // Another core in the registry's copy of the manifest alone.
    let artifact = try registry.resolve(Reference("acme/toy"))
    let other = try BundleRegistry(path: "\(folder.path)/other", create: true)
    try other.publish(core)
    try other.publish(evil)
    let swapped = try other.publish(toy(minor: 0, key: mallory, core: evil))
    let documents = try copied("swapped")
    // Digest by digest the attacker's artifact, but with the good bundle as its zip.
    let image = try String(contentsOf: blob(swapped.digest, in: other), encoding: .utf8)
      .replacingOccurrences(of: swapped.bundle.digest, with: artifact.bundle.digest)
      .replacingOccurrences(
        of: "\"size\":\(swapped.bundle.size)", with: "\"size\":\(artifact.bundle.size)")
    let digest = "sha256:" + SHA256.hex(of: Data(image.utf8))
    try Data(image.utf8).write(to: blob(digest, in: documents))
    let manifest = blob(swapped.manifest.digest, in: other)
    try FileManager.default.copyItem(at: manifest, to: blob(swapped.manifest.digest, in: documents))
    let size = try Data(contentsOf: blob(artifact.digest, in: documents)).count
    try documents.publish(evil)
    try edit(documents) {
      $0.replacingOccurrences(of: artifact.digest, with: digest)
        .replacingOccurrences(of: "\"size\" : \(size)", with: "\"size\" : \(image.utf8.count)")
    }
    #expect(["corrupt", "unsigned"].contains(try refused(from: documents)))
  }

  @Test("fast-forward: a number from a stolen key that nothing can exceed goes with that key")
  func fastForward() throws {
    try registry.publish(Statements.Signed(Statements(publisher: "acme", number: 1), by: acme))
    try store.install(Reference("acme/toy"), from: registry)
    let stolen = try copied("stolen")
    let huge = try Statements(
      publisher: "acme", number: .max, yanked: [.init(bundle: "acme/toy@1.0.0", reason: "Ha.")])
    try stolen.publish(Statements.Signed(huge, by: acme))
    try store.remove(Reference("acme/toy"))
    #expect(try refused(from: stolen) == "yanked")
    #expect(try refused(from: registry) == "yanked", "the highest number holds")
    try store.changeTrust {
      try $0.add(mallory.publicKey, to: "acme")
      _ = $0.revoke(acme.publicKey)
    }
    let renewed = try copied("renewed")
    try renewed.publish(toy(minor: 1, key: mallory))
    try renewed.publish(Statements.Signed(Statements(publisher: "acme", number: 2), by: mallory))
    try store.install(Reference("acme/toy"), from: renewed)
    #expect(try store.trust().statements["acme"]?.statements.number == 2)
  }

  @Test(
    "freeze: a registry elsewhere that stands still is refused after the day its statements name; a folder is not"
  )
  func freeze() throws {
    func statements(_ number: Int, _ day: String) throws -> Statements.Signed {
      try Statements.Signed(Statements(publisher: "acme", number: number, expires: day), by: acme)
    }
    try registry.publish(statements(1, "2020-01-31"))
    let frozen = try copied("frozen", address: "https://example.org/registry")
    #expect(try refused(from: frozen) == "expired")
    try store.install(Reference("acme/toy"), from: registry)
    try store.remove(Reference("acme/toy"))
    let fresh = try copied("fresh", address: "https://example.org/registry")
    try fresh.publish(statements(2, "2999-12-31"))
    try store.install(Reference("acme/toy"), from: fresh)
  }

  @Test(
    "mix and match: an adapter with a core it was not made for is refused, whichever of them is older"
  )
  func mixAndMatch() throws {
    let newer = try TestBundles.core(folder, version: SemanticVersion(2, 0, 0), weight: 0.75)
    let mixed = try BundleRegistry(path: "\(folder.path)/mixed", create: true)
    try mixed.publish(core)
    try mixed.publish(toy(minor: 1, core: newer))
    #expect(try refused(from: mixed) == "core")
    let other = try BundleRegistry(path: "\(folder.path)/other", create: true)
    try other.publish(newer)
    try other.publish(toy(minor: 0))
    #expect(try refused(from: other) == "core")
  }

  @Test(
    "rollback: what was taken back stays so when older statements are shown, and no update goes to an older version"
  )
  func rollback() throws {
    try registry.publish(toy(minor: 1))
    let old = try copied("old")
    let yank = Statements.Yank(bundle: "acme/toy@1.1.0", reason: "Wrong colours.")
    try old.publish(Statements.Signed(Statements(publisher: "acme", number: 1), by: acme))
    try registry.publish(
      Statements.Signed(Statements(publisher: "acme", number: 2, yanked: [yank]), by: acme))
    let conflict = #expect(throws: RegistryError.self) {
      try registry.publish(Statements.Signed(Statements(publisher: "acme", number: 2), by: acme))
    }
    #expect(conflict?.code == .conflict)
    // The newest one that was not taken back, here and where nobody says so any more.
    #expect(
      try store.install(Reference("acme/toy"), from: registry).version == SemanticVersion(1, 0, 0))
    #expect(try refused("acme/toy@1.1.0", from: registry) == "yanked")
    #expect(try refused("acme/toy@1.1.0", from: old) == "yanked")
    #expect(try store.updates(from: old).isEmpty)
    try registry.publish(toy(minor: 3))
    try store.install(Reference("acme/toy@1.3.0"), from: registry)
    #expect(try store.updates(from: old).isEmpty)
  }

  @Test("key compromise: a revoked key signs no bundle, no statements and no successor")
  func keyCompromise() throws {
    try store.install(Reference("acme/toy"), from: registry)
    try store.changeTrust { _ = $0.revoke(acme.publicKey) }
    let hostile = try copied("hostile")
    try hostile.publish(toy(minor: 9))
    #expect(try refused(from: hostile) == "revoked")
    let (file, signature) = try KeyRotation.sign(mallory.publicKey, of: "acme", by: acme)
    #expect(throws: RegistryError.self) {
      try store.changeTrust { try $0.rotate("acme", to: file, signature: signature) }
    }
    try hostile.publish(Statements.Signed(Statements(publisher: "acme", number: 9), by: acme))
    #expect(try refused(from: hostile) == "revoked")
    let installed = try store.resolve(Reference("acme/toy"))
    let error = #expect(throws: RegistryError.self) { try store.verify(installed) }
    #expect(error?.code == .revoked)
  }

  @Test(
    "wrong software: one bundle's signature, or one bundle's zip, in the place of another's is refused"
  )
  func wrongSoftware() throws {
    let good = try BundleReader(path: toy(minor: 2)).archive.read(BundleEntry.signature)
    let archive = try ZipArchive(path: toy(minor: 2, key: mallory, weight: 9))
    let path = folder.path + "/wrong.codi"
    try ZipWriter.write(
      archive.names.map { ($0, .data($0 == BundleEntry.signature ? good : try archive.read($0))) },
      to: path)
    let hostile = try copied("hostile")
    try hostile.publish(path)
    #expect(try refused(from: hostile) == "badSignature")
    // The core's zip under the adapter's digest.
    let swapped = try copied("swapped")
    let (toy, photo) = (
      try swapped.resolve(Reference("acme/toy")), try swapped.resolve(Reference("photo"))
    )
    try Data(contentsOf: blob(photo.bundle.digest, in: swapped)).write(
      to: blob(toy.bundle.digest, in: swapped))
    #expect(try refused(from: swapped) == "corrupt")
  }

  @Test("wrong name: a bundle shown under another name or version is refused")
  func wrongName() throws {
    let renamed = try copied("renamed")
    try edit(renamed) { $0.replacingOccurrences(of: "acme/toy:1.0.0", with: "codi/toy:1.0.0") }
    #expect(try refused("codi/toy", from: renamed) == "corrupt")
    let newer = try copied("newer")
    try edit(newer) { $0.replacingOccurrences(of: "acme/toy:1.0.0", with: "acme/toy:7.0.0") }
    #expect(try refused(from: newer) == "corrupt")
  }

  @Test("statements of somebody else, or changed ones, are not believed")
  func forgedStatements() throws {
    let yank = Statements.Yank(bundle: "acme/toy@1.0.0", reason: "Ha.")
    let forged = try copied("forged")
    try forged.publish(
      Statements.Signed(Statements(publisher: "acme", number: 5, yanked: [yank]), by: mallory))
    #expect(try refused(from: forged) == "untrusted")
    #expect(throws: RegistryError.self) {
      try Statements(publisher: "zoo", number: 1, yanked: [yank])
    }
    #expect(throws: RegistryError.self) { try Statements(publisher: "acme", number: 0) }
    #expect(throws: RegistryError.self) {
      try Statements(publisher: "acme", number: 1, expires: "tomorrow")
    }
    #expect(try store.trust().statements.isEmpty)
    // A stranger whose first bundle is taken back already is not installed.
    try store.changeTrust { _ = $0.revoke(mallory.publicKey) }
    let zoo = try SecretKey.generate()
    try registry.publish(TestBundles.adapter(folder, for: core, name: "zoo/toy", key: zoo))
    let own = Statements.Yank(bundle: "zoo/toy@1.0.0", reason: "Broken.")
    try registry.publish(
      Statements.Signed(Statements(publisher: "zoo", number: 1, yanked: [own]), by: zoo))
    #expect(try refused("zoo/toy", from: registry) == "yanked")
    #expect(try store.trust().publishers["zoo"] == nil)
  }
}
