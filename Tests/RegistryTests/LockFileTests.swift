import AttackReport
import Bundles
import Foundation
import Registry
import Testing

@Suite("Lock files") struct LockFileTests {
  private let folder: TemporaryFolder
  private let registry: BundleRegistry
  private let store: Store
  private let core: String
  private let adapter: String
  private var path: String { folder.path + "/codi.lock" }

  init() throws {
    folder = try TemporaryFolder()
    registry = try BundleRegistry(path: folder.path + "/registry", create: true)
    store = try Store.testing(folder.path + "/store")
    core = try TestBundles.core(folder)
    adapter = try TestBundles.adapter(folder, for: core)
    try registry.publish(core)
    try registry.publish(adapter)
  }

  /// The lock file of a pipeline that uses `toy`, as it is installed now.
  private func locked() throws -> LockFile {
    let toy = try store.install(Reference("toy@1.0.0"), from: registry)
    var lock = try LockFile(path)
    #expect(lock.isNew && lock.pins.isEmpty)
    let core = try store.core(of: toy, pinnedIn: lock)
    #expect(lock.add([toy, core]) && !lock.add([toy, core]))
    try lock.write()
    return try LockFile(path)
  }

  private func fresh(_ name: String) throws -> Store { try Store.testing("\(folder.path)/\(name)") }

  private func refused(_ body: () throws -> Void) -> RegistryError? {
    do { try body() } catch let error as RegistryError { return error } catch { return nil }
    return nil
  }

  private func edit(_ old: String, _ new: String) throws {
    let text = try String(contentsOfFile: path, encoding: .utf8)
    try #require(text.contains(old))
    try Data(text.replacing(old, with: new).utf8).write(to: URL(filePath: path))
  }

  @Test("name, version, digest and key of adapter and core are written for people, and read back")
  func text() throws {
    let lock = try locked()
    #expect(!lock.isNew && lock.pins.map(\.identity) == ["codi/toy@1.0.0", "codi/photo@1.0.0"])
    let key = try #require(TestKeys.codi).publicKey
    let digests = try [adapter, core].map { "sha256:" + (try SHA256.hex(ofFile: $0)) }
    let expected = """
      lock: 1
      bundles:
        - name: codi/toy
          version: 1.0.0
          kind: adapter
          digest: \(digests[0])
          key: \(key)
        - name: codi/photo
          version: 1.0.0
          kind: core
          digest: \(digests[1])
          key: \(key)

      """
    let text = try String(contentsOfFile: path, encoding: .utf8)
    #expect(text.hasPrefix("# ") && text.replacing("\"", with: "").hasSuffix(expected), "\(text)")
    // A file in the working folder is named without a folder.
    #expect(lock.pins.allSatisfy { $0.key == key })
  }

  @Test("what is pinned is installed, although there is something newer, and nothing else is")
  func exactly() throws {
    let lock = try locked()
    try registry.publish(TestBundles.adapter(folder, for: core, version: SemanticVersion(1, 1, 0)))
    try registry.publish(TestBundles.core(folder, version: SemanticVersion(1, 0, 1)))
    let other = try fresh("other")
    #expect(try other.install(lock, from: { registry }).map(\.version) == [.init(1, 0, 0), .init(1, 0, 0)])
    #expect(try other.list().map { "\($0.name)@\($0.version)" } == ["codi/photo@1.0.0", "codi/toy@1.0.0"])
    #expect(try other.list() == store.list())
    // What is there already needs no registry.
    struct Asked: Error {}
    _ = try other.install(lock, from: { throw Asked() })
    // A newer one beside it does not count.
    try other.install(Reference("toy"), from: registry)
    #expect(try other.resolve(Reference("toy")).version == SemanticVersion(1, 1, 0))
    let pinned = try other.resolve(Reference("toy"), pinnedIn: lock)
    #expect(pinned.version == SemanticVersion(1, 0, 0))
    #expect(try other.core(of: pinned, pinnedIn: lock).version == SemanticVersion(1, 0, 0))
  }

  @Test("a registry that offers another digest is refused before anything of it is unpacked; all or nothing")
  func otherDigest() throws {
    let lock = try locked()
    let hostile = try BundleRegistry(path: folder.path + "/hostile", create: true)
    try hostile.publish(TestBundles.core(folder))
    try hostile.publish(TestBundles.adapter(folder, for: core, weight: 0.75))
    let other = try fresh("other")
    let error = refused { try other.install(lock, from: { hostile }) }
    #expect(error?.code == .locked, "\(String(describing: error))")
    let pinned = "sha256:" + (try SHA256.hex(ofFile: adapter))
    #expect(error?.reason.contains(pinned) == true && error?.remedy.contains("codi install") == true)
    #expect(try other.list().isEmpty)
    #expect(refused { try other.install(Reference("toy"), from: hostile, lock: lock) }?.code == .locked)
    let file = try TestBundles.adapter(folder, for: core, weight: 0.75)
    #expect(refused { try other.install(file: file, coresFrom: registry, lock: lock) }?.code == .locked)
    #expect(try other.list().isEmpty)
    AttackReport.record(
      .registries, "a registry, or a file, with another digest for a pinned version", count: 3,
      outcome: "refused, locked")
  }

  @Test("a bundle signed by another key than the pinned one is refused, although that key is trusted")
  func otherKey() throws {
    _ = try locked()
    let (codi, acme) = (try #require(TestKeys.codi).publicKey, try #require(TestKeys.acme))
    let signed = try TestBundles.adapter(folder, for: core, key: acme)
    let hostile = try BundleRegistry(path: folder.path + "/hostile", create: true)
    try hostile.publish(core)
    try hostile.publish(signed)
    // The file's author took the digest over, but not the key.
    try edit("sha256:" + SHA256.hex(ofFile: adapter), "sha256:" + SHA256.hex(ofFile: signed))
    let lock = try LockFile(path)
    let other = try fresh("other")
    try other.changeTrust { try $0.add(acme.publicKey, to: "codi") }
    let error = refused { try other.install(lock, from: { hostile }) }
    #expect(error?.code == .locked, "\(String(describing: error))")
    #expect(error?.reason.contains("\(codi.id)") == true && error?.reason.contains("\(acme.publicKey.id)") == true)
    #expect(try other.list().isEmpty)
    AttackReport.record(
      .registries, "a pinned version signed by another trusted key", outcome: "refused, locked")
  }

  @Test("a store with something else under a pinned name, or without it, is told apart, with the command that helps")
  func otherStore() throws {
    let lock = try locked()
    let other = try fresh("other")
    let missing = refused { _ = try other.resolve(Reference("toy"), pinnedIn: lock) }
    #expect(missing?.code == .notFound && missing?.remedy.contains("codi install --lock \(path)") == true)
    try other.install(file: TestBundles.adapter(folder, for: core, weight: 0.75), coresFrom: registry)
    #expect(refused { _ = try other.resolve(Reference("toy"), pinnedIn: lock) }?.code == .locked)
    #expect(refused { _ = try other.install(lock, from: { registry }) }?.code == .locked)
    let unpinned = refused { _ = try store.resolve(Reference("photo@^2"), pinnedIn: lock) }
    #expect(unpinned?.code == .locked && unpinned?.reason.contains("codi/photo@1.0.0") == true)
    let unknown = refused { _ = try store.resolve(Reference("else"), pinnedIn: lock) }
    #expect(unknown?.code == .locked && unknown?.remedy.contains("codi install else --lock \(path)") == true)
  }

  @Test("a pinned adapter whose core is not pinned is refused: a lock file is complete or wrong")
  func incomplete() throws {
    let lock = try locked()
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let place = try #require(text.range(of: "  - name: codi/photo"))
    try Data(text[..<place.lowerBound].utf8).write(to: URL(filePath: path))
    let cut = try LockFile(path)
    #expect(cut.pins.count == 1 && lock.pins.count == 2)
    let other = try fresh("other")
    #expect(refused { try other.install(cut, from: { registry }) }?.code == .locked)
    #expect(try other.list().isEmpty)
    let toy = try store.resolve(Reference("toy"), pinnedIn: cut)
    #expect(refused { _ = try store.core(of: toy, pinnedIn: cut) }?.code == .locked)
    // Installing something new pins its core as well.
    #expect(try other.install(Reference("toy"), from: registry, lock: cut).name == "codi/toy")
  }

  @Test(
    "what is no lock file is refused",
    arguments: [
      "", "a: 1\n", "lock: 2\nbundles: []\n", "lock: 1\nbundles: [ { name: toy } ]\n", "lock: 1\nbundle: []\n", "x",
      "lock: 1\nbundles: [ { name: toy, version: 1.0.0, kind: adapter, digest: \"sha256:00\" } ]\n",
      "lock: 1\nbundles: [ { name: a/toy, version: 1.0.0, kind: adapter, digest: \"../../x\" } ]\n",
    ])
  func malformed(_ text: String) throws {
    try Data(text.utf8).write(to: URL(filePath: path))
    #expect(throws: (any Error).self) { try LockFile(path) }
    AttackReport.record(.inputs, "lock file", outcome: "refused")
  }
}
