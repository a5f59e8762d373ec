import Bundles
import Foundation
import Registry
import Testing

@Suite("Trust") struct TrustTests {
  let folder: TemporaryFolder
  let registry: BundleRegistry
  let store: Store
  let core: String
  let acme: SecretKey
  let other: SecretKey

  init() throws {
    folder = try TemporaryFolder()
    registry = try BundleRegistry(path: folder.path + "/registry", create: true)
    store = try Store.testing(folder.path + "/store")
    core = try TestBundles.core(folder)
    acme = try #require(TestKeys.acme)
    other = try #require(TestKeys.other)
    try registry.publish(core)
  }

  /// An adapter by the publisher acme.
  private func toy(_ key: SecretKey?, minor: Int = 0, name: String = "acme/toy", weight: Float = 0.25) throws
    -> String
  {
    try TestBundles.adapter(
      folder, for: core, name: name, version: SemanticVersion(1, minor, 0), weight: weight, key: key)
  }

  private func install(_ bundle: String, _ dialogue: TrustDialogue = .silent) throws -> Installed {
    try store.install(file: bundle, coresFrom: registry, dialogue: dialogue)
  }

  /// Expects a refusal that leaves the store as it was, and says what to do.
  private func refuse(
    _ code: RegistryError.Code, _ bundle: String, _ words: String..., at location: SourceLocation = #_sourceLocation
  ) throws {
    let (before, trust) = (folder.files("store"), try store.trust())
    let error = #expect(throws: RegistryError.self, sourceLocation: location) { try install(bundle) }
    #expect(error?.code == code, "\(String(describing: error))", sourceLocation: location)
    for word in words {
      #expect(error.map { "\($0)".contains(word) } == true, "\(String(describing: error))", sourceLocation: location)
    }
    let after = folder.files("store").filter { $0 != "bundles" }
    #expect(after == before.filter { $0 != "bundles" }, sourceLocation: location)
    #expect(try store.trust() == trust, sourceLocation: location)
  }

  private final class Heard {
    var notes: [String] = []
    var asked: [String] = []
  }

  private func dialogue(_ heard: Heard, accepts: Bool) -> TrustDialogue {
    TrustDialogue(
      acceptsUnsigned: { bundle, source in
        heard.asked.append("\(bundle) from \(source.location)")
        return accepts
      }, note: { heard.notes.append($0) })
  }

  // MARK: Signed bundles

  @Test("the project's key is known from the beginning, and nobody else signs for codi")
  func projectKey() throws {
    let fresh = Store(home: folder.path + "/fresh", program: SemanticVersion(0, 1, 0))
    let keys = try #require(try fresh.trust().publishers["codi"]).keys
    #expect(keys.map(\.key.description) == ["RWTHzYotwknwKPDxE9Vs+AMRk5o+dLChS8kOinU+JosVyGtDOA8SKKtJ"])
    #expect(keys.map(\.origin) == [.program])
    let error = #expect(throws: RegistryError.self) { try fresh.install(file: core) }
    #expect(error?.code == .untrusted && error?.reason.contains("28F049C22D8ACDC7") == true)
    #expect(try fresh.list().isEmpty)
  }

  @Test("a publisher's first key is taken note of; another one later is refused with the command that helps")
  func firstUse() throws {
    let heard = Heard()
    let installed = try install(toy(acme), dialogue(heard, accepts: false))
    #expect(installed.signer == acme.publicKey && heard.asked.isEmpty)
    #expect(heard.notes.count == 1 && heard.notes[0].contains("\(acme.publicKey.id)"))
    #expect(try store.trust().publishers["acme"]?.keys.map(\.origin) == [.firstUse])
    #expect(try store.resolve(Reference("acme/toy")).signer == acme.publicKey)
    let changed = try toy(other, minor: 1)
    try refuse(.untrusted, changed, "\(acme.publicKey.id)", "\(other.publicKey.id)", "codi trust rotate acme")
    try store.changeTrust { try $0.add(other.publicKey, to: "acme") }
    #expect(try install(changed, dialogue(heard, accepts: false)).signer == other.publicKey)
    _ = try install(toy(acme, minor: 2), dialogue(heard, accepts: false))
    #expect(heard.notes.count == 1, "a known key is not worth a word")
  }

  @Test("a key is one publisher's: another's bundle does not borrow the trust in it")
  func otherPublisher() throws {
    _ = try install(toy(acme))
    try refuse(.untrusted, toy(TestKeys.codi, minor: 1), "acme")
    try refuse(.untrusted, TestBundles.adapter(folder, for: core, name: "codi/more", key: acme), "codi")
  }

  @Test("a signature that brings no key needs the user to know it")
  func strangersKey() throws {
    let bundle = try resign(toy(acme)) { $0.replacingOccurrences(of: "minisign public key", with: "by minisign") }
    try refuse(.untrusted, bundle, "codi trust add acme KEY")
    try store.changeTrust { try $0.add(acme.publicKey, to: "acme") }
    #expect(try install(bundle).signer == acme.publicKey)
  }

  @Test("a key offered beside a signature that it did not make is not taken")
  func offeredKeyLies() throws {
    let key = acme.publicKey.description
    // The number of acme's key, so that the offer is looked at, but other key bytes.
    let lie = String(key.prefix(14)) + String(other.publicKey.description.dropFirst(14))
    let bundle = try resign(toy(acme)) { $0.replacingOccurrences(of: key, with: lie) }
    let error = #expect(throws: BundleError.self) { try install(bundle) }
    #expect(error?.code == .badSignature)
    #expect(try store.trust().publishers["acme"] == nil)
  }

  @Test("the signature is judged before anything is unpacked or run")
  func judgedFirst() throws {
    _ = try install(core)
    _ = try install(toy(acme))
    let before = folder.files("store")
    let bundle = try resign(toy(acme, minor: 1)) {
      $0.replacingOccurrences(of: "acme/toy@1.1.0", with: "acme/toy@1.2.0")
    }
    var isRun = false
    let error = #expect(throws: BundleError.self) {
      try store.install(file: bundle, coresFrom: registry) { _, _ in isRun = true }
    }
    #expect(error?.code == .badSignature && !isRun)
    #expect(folder.files("store") == before)
  }

  @Test("an adapter whose core is not to be trusted is not installed either")
  func coreOfOther() throws {
    let unsigned = try TestBundles.core(folder, name: "acme/base", weight: 0.125, key: nil)
    try registry.publish(unsigned)
    let bundle = try TestBundles.adapter(folder, for: unsigned, name: "acme/toy", key: acme)
    let error = #expect(throws: RegistryError.self) { try install(bundle) }
    #expect(error?.code == .unsigned && error?.location == "acme/base@1.0.0")
    #expect(try store.list().isEmpty && store.trust().publishers["acme"] == nil)
  }

  // MARK: Unsigned bundles

  @Test("an unsigned bundle is installed when the user says so, and asks by name")
  func prompt() throws {
    let bundle = try toy(nil)
    try refuse(.unsigned, bundle, "--accept-unsigned")
    let heard = Heard()
    #expect(throws: RegistryError.self) { try install(bundle, dialogue(heard, accepts: false)) }
    #expect(try install(bundle, dialogue(heard, accepts: true)).signer == nil)
    #expect(heard.asked == ["acme/toy@1.0.0 from file", "acme/toy@1.0.0 from file"])
    #expect(try !store.trust().allowsInProcess(nil, publisher: "acme"))
  }

  @Test("the policy is the publisher's, else the registry's, else to ask")
  func policies() throws {
    let bundle = try toy(nil)
    try registry.publish(bundle)
    func attempt() throws -> Heard {
      let heard = Heard()
      _ = try? store.install(Reference("acme/toy"), from: registry, dialogue: dialogue(heard, accepts: false))
      _ = try? store.remove(Reference("acme/toy"))
      return heard
    }
    #expect(try attempt().asked == ["acme/toy@1.0.0 from \(registry.path)"])
    try store.changeTrust { $0.setUnsigned(.warn, registry: registry.path + "/") }
    var heard = try attempt()
    #expect(heard.asked.isEmpty && heard.notes.count == 1 && heard.notes[0].contains("not signed"))
    try store.changeTrust { try $0.setUnsigned(.error, publisher: "acme") }
    heard = try attempt()
    #expect(heard.asked.isEmpty && heard.notes.isEmpty)
    try store.changeTrust { try $0.setUnsigned(.prompt, publisher: "acme") }
    #expect(try attempt().asked.count == 1)
    try store.changeTrust {
      try $0.setUnsigned(nil, publisher: "acme")
      $0.setUnsigned(.error, registry: registry.path)
    }
    heard = try attempt()
    #expect(heard.asked.isEmpty && heard.notes.isEmpty)
  }

  @Test("who signs must go on signing, unless the user says otherwise for that publisher")
  func downgrade() throws {
    _ = try install(toy(acme))
    let bundle = try toy(nil, minor: 1)
    try refuse(.unsigned, bundle, "acme signs its bundles", "codi trust add acme --unsigned prompt")
    let heard = Heard()
    #expect(throws: RegistryError.self) { try install(bundle, dialogue(heard, accepts: true)) }
    #expect(heard.asked.isEmpty)
    // A word on the registry is not one on the publisher.
    try store.changeTrust { $0.setUnsigned(.warn, registry: "file") }
    try refuse(.unsigned, bundle)
    try store.changeTrust { try $0.setUnsigned(.prompt, publisher: "acme") }
    _ = try install(bundle, dialogue(heard, accepts: true))
    #expect(heard.asked.count == 1)
  }

  @Test("everything in the registry that came with the program is signed by a key known before")
  func embedded() throws {
    try registry.publish(toy(acme))
    try registry.publish(toy(nil, name: "zoo/toy"))
    let embedded = try BundleRegistry(path: registry.path, isEmbedded: true)
    let accepting = dialogue(Heard(), accepts: true)
    for (name, code) in [("acme/toy", RegistryError.Code.untrusted), ("zoo/toy", .unsigned)] {
      let error = #expect(throws: RegistryError.self) {
        try store.install(Reference(name), from: embedded, dialogue: accepting)
      }
      #expect(error?.code == code)
    }
    #expect(try store.install(Reference("photo"), from: embedded).signer == TestKeys.codi?.publicKey)
  }

  // MARK: Digests

  @Test("a version that was installed once is never another one, not even after it was removed")
  func digests() throws {
    _ = try install(toy(acme))
    try store.remove(Reference("acme/toy"))
    let changed = try toy(acme, weight: 0.75)
    try refuse(.conflict, changed, "installed here with digest", "codi trust forget acme/toy@1.0.0")
    #expect(try store.changeTrust { $0.forget("acme/toy@1.0.0") })
    _ = try install(changed)
    #expect(try store.changeTrust { $0.forget("acme/toy@9.0.0") } == false)
  }

  // MARK: Revocation

  @Test("a revoked key is refused for every publisher and for ever; no other key is taken on first use in its place")
  func revoked() throws {
    _ = try install(toy(acme))
    #expect(try store.changeTrust { $0.revoke(acme.publicKey) } == ["acme"])
    try refuse(.revoked, toy(acme, minor: 1), "\(acme.publicKey.id)")
    try refuse(.revoked, toy(acme, name: "zoo/toy"))
    try refuse(.untrusted, toy(other, minor: 1), "revoked", "codi trust add acme")
    try refuse(.unsigned, toy(nil, minor: 1))
    let error = #expect(throws: RegistryError.self) {
      try store.changeTrust { try $0.add(acme.publicKey, to: "acme") }
    }
    #expect(error?.code == .revoked)
    try store.changeTrust { try $0.add(other.publicKey, to: "acme") }
    _ = try install(toy(other, minor: 1))
  }

  @Test("the project's key stays revoked when a program that brings it is started")
  func revokedProjectKey() throws {
    let key = try #require(try store.trust().publishers["codi"]?.keys.first { $0.origin == .program }?.key)
    try store.changeTrust { _ = $0.revoke(key) }
    #expect(try store.trust().publishers["codi"]?.keys.contains { $0.key == key } == false)
    #expect(try store.trust().revoked == [key])
  }

  // MARK: Rotation

  @Test("a known key names its successor; what it signed stays good, but it names no other")
  func rotation() throws {
    let old = try toy(acme)
    let oldest = try toy(acme, name: "acme/more")
    _ = try install(old)
    let (file, signature) = try KeyRotation.sign(other.publicKey, of: "acme", by: acme)
    #expect(try store.changeTrust { try $0.rotate("acme", to: file, signature: signature) } == other.publicKey)
    #expect(try store.trust().publishers["acme"]?.keys.map(\.isRetired) == [true, false])
    #expect(try install(toy(other, minor: 1)).signer == other.publicKey)
    #expect(try install(oldest).signer == acme.publicKey)
    let third = try SecretKey.generate()
    let again = try KeyRotation.sign(third.publicKey, of: "acme", by: acme)
    let error = #expect(throws: RegistryError.self) {
      try store.changeTrust { try $0.rotate("acme", to: again.file, signature: again.signature) }
    }
    #expect(error?.code == .untrusted && error?.remedy.contains("codi trust add acme") == true)
    try store.changeTrust { _ = $0.revoke(acme.publicKey) }
    try refuse(.revoked, toy(acme, minor: 2))
    #expect(try install(toy(other, minor: 2)).signer == other.publicKey)
  }

  @Test("a change of keys that the old key did not write for this publisher and this key is refused")
  func forgedRotation() throws {
    _ = try install(toy(acme))
    let (file, good) = try KeyRotation.sign(other.publicKey, of: "acme", by: acme)
    let third = try SecretKey.generate().publicKey
    let before = try store.trust()
    func refuse(
      _ publisher: String, _ file: Data, _ signature: Signature, at location: SourceLocation = #_sourceLocation
    ) throws {
      #expect(throws: (any Error).self, sourceLocation: location) {
        try store.changeTrust { try $0.rotate(publisher, to: file, signature: signature) }
      }
      #expect(try store.trust() == before, sourceLocation: location)
    }
    try refuse("codi", file, good)
    try refuse("zoo", file, good)
    try refuse("acme", Data(third.file.utf8), good)
    try refuse("acme", file + Data("\n".utf8), good)
    try refuse("acme", file, KeyRotation.sign(other.publicKey, of: "acme", by: other).signature)
    try refuse("acme", file, KeyRotation.sign(other.publicKey, of: "zoo", by: acme).signature)
    try refuse("acme", file, KeyRotation.sign(third, of: "acme", by: acme).signature)
    try refuse("acme", file, acme.sign(file, trustedComment: "acme/toy@1.0.0"))
    try store.changeTrust { _ = $0.revoke(other.publicKey) }
    let revoked = try store.trust()
    #expect(throws: RegistryError.self) { try store.changeTrust { try $0.rotate("acme", to: file, signature: good) } }
    #expect(try store.trust() == revoked)
  }

  @Test("a key cannot vouch for itself, nor bring a retired one back: a publisher keeps a key to sign with")
  func circularRotation() throws {
    _ = try install(toy(acme))
    func refuse(_ next: PublicKey, by key: SecretKey) throws {
      let (file, signature) = try KeyRotation.sign(next, of: "acme", by: key)
      let before = try store.trust()
      let error = #expect(throws: RegistryError.self) {
        try store.changeTrust { try $0.rotate("acme", to: file, signature: signature) }
      }
      #expect(try error?.code == .untrusted && store.trust() == before)
    }
    try refuse(acme.publicKey, by: acme)
    let (file, signature) = try KeyRotation.sign(other.publicKey, of: "acme", by: acme)
    _ = try store.changeTrust { try $0.rotate("acme", to: file, signature: signature) }
    try refuse(acme.publicKey, by: other)
  }

  // MARK: The file

  @Test("a key may be allowed in the program's own process, by the user alone")
  func inProcess() throws {
    _ = try install(toy(acme))
    #expect(try !store.trust().allowsInProcess(acme.publicKey, publisher: "acme"))
    try store.changeTrust { try $0.add(acme.publicKey, to: "acme", inProcess: true) }
    let trust = try store.trust()
    #expect(trust.allowsInProcess(acme.publicKey, publisher: "acme"))
    #expect(!trust.allowsInProcess(acme.publicKey, publisher: "codi"))
    #expect(!trust.allowsInProcess(other.publicKey, publisher: "acme"))
    try store.changeTrust { _ = $0.revoke(acme.publicKey) }
    #expect(try !store.trust().allowsInProcess(acme.publicKey, publisher: "acme"))
  }

  @Test("the mark is taken back, for that key alone, and the key stays known")
  func isolated() throws {
    _ = try install(toy(acme))
    try store.changeTrust { trust in
      try trust.add(acme.publicKey, to: "acme", inProcess: true)
      #expect(trust.allowsInProcess(acme.publicKey, publisher: "acme"))
      try trust.isolate(acme.publicKey, of: "acme")
    }
    let trust = try store.trust()
    #expect(!trust.allowsInProcess(acme.publicKey, publisher: "acme"))
    #expect(trust.publishers["acme"]?.keys.map(\.key) == [acme.publicKey])
    let stranger = try SecretKey.generate().publicKey
    let error = #expect(throws: RegistryError.self) {
      try store.changeTrust { try $0.isolate(stranger, of: "acme") }
    }
    #expect(error?.code == .notFound)
  }

  @Test("a trust file that cannot be read stops the install instead of trusting anew")
  func damagedFile() throws {
    _ = try install(toy(acme))
    let path = store.home + "/trust.json"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    for damaged in [
      "", "{}", String(text.dropLast(3)), text.replacingOccurrences(of: "\"version\" : 1", with: "\"version\" : 2"),
      text.replacingOccurrences(of: acme.publicKey.description, with: "RW"),
    ] {
      #expect(damaged != text)
      try damaged.write(toFile: path, atomically: false, encoding: .utf8)
      #expect(throws: RegistryError.self) { try install(toy(other, minor: 1)) }
      #expect(throws: RegistryError.self) { try store.changeTrust { _ = $0.revoke(other.publicKey) } }
      #expect(try String(contentsOfFile: path, encoding: .utf8) == damaged)
    }
  }

  @Test("a publisher's name is the part before the slash", arguments: ["", "a/b", "A", "a@1", "../x", "a b"])
  func publisherNames(_ name: String) throws {
    var trust = Trust()
    #expect(throws: RegistryError.self) { try trust.add(acme.publicKey, to: name) }
    #expect(throws: RegistryError.self) { try trust.setUnsigned(.warn, publisher: name) }
  }

  /// The bundle with the text of its signature changed.
  private func resign(_ bundle: String, _ edit: (String) -> String) throws -> String {
    let archive = try ZipArchive(path: bundle)
    let entries = try archive.names.map { name in
      var data = try archive.read(name)
      if name == BundleEntry.signature { data = Data(edit(String(decoding: data, as: UTF8.self)).utf8) }
      return (name: name, source: ZipWriter.Source.data(data))
    }
    let path = bundle + ".changed.codi"
    try ZipWriter.write(entries, to: path)
    return path
  }
}
