import Bundles
import Foundation
import Registry
import Testing

@Suite("Generations, updates and verification") struct GenerationsTests {
  let folder: TemporaryFolder
  let registry: BundleRegistry
  let store: Store
  let core: String

  init() throws {
    folder = try TemporaryFolder()
    registry = try BundleRegistry(path: folder.path + "/registry", create: true)
    store = try Store.testing(folder.path + "/store")
    core = try TestBundles.core(folder)
    try registry.publish(core)
    for minor in 0...1 {
      try registry.publish(
        TestBundles.adapter(folder, for: core, version: SemanticVersion(1, minor, 0), weight: Float(minor + 1)))
    }
  }

  private var installed: [String] { get throws { try store.list().map { "\($0.name)@\($0.version)" } } }
  private let photo = "codi/photo@1.0.0"

  @Test("going back undoes the last change, step by step, and can be undone itself")
  func rollback() throws {
    #expect(throws: RegistryError.self) { try store.rollback() }
    try store.install(Reference("toy@1.0.0"), from: registry)
    try store.install(Reference("toy@1.1.0"), from: registry)
    try store.remove(Reference("toy@1.0.0"))
    #expect(try installed == [photo, "codi/toy@1.1.0"])
    let left = try store.rollback().left
    #expect(try installed == [photo, "codi/toy@1.0.0", "codi/toy@1.1.0"])
    for bundle in try store.list() { try store.verify(bundle) }
    try store.rollback()
    #expect(try installed == [photo, "codi/toy@1.0.0"])
    try store.rollback()
    #expect(try installed == [])
    let error = #expect(throws: RegistryError.self) { try store.rollback() }
    #expect(error?.code == .notFound && error?.reason.contains("earlier generation") == true)
    try store.rollback(to: left)
    #expect(try installed == [photo, "codi/toy@1.1.0"])
    let unknown = #expect(throws: RegistryError.self) { try store.rollback(to: 99) }
    #expect(unknown?.code == .notFound && unknown?.reason.contains("generation 99") == true)
  }

  @Test("what an earlier generation still has can be installed again, and a damaged copy of it is replaced")
  func installKept() throws {
    let toy = try store.install(Reference("toy@1.0.0"), from: registry)
    try store.remove(Reference("toy"))
    try FileManager.default.removeItem(at: store.open(toy).weights)
    try store.install(Reference("toy@1.0.0"), from: registry)
    #expect(try installed == [photo, "codi/toy@1.0.0"])
    for bundle in try store.list() { try store.verify(bundle) }
  }

  @Test("what comes after going back is a new branch: going back again leads to where it came from")
  func branch() throws {
    try store.install(Reference("toy@1.0.0"), from: registry)
    try store.install(Reference("toy@1.1.0"), from: registry)
    try store.rollback()
    try store.remove(Reference("toy"))
    try store.rollback()
    #expect(try installed == [photo, "codi/toy@1.0.0"])
  }

  @Test("collecting removes what only forgotten generations need, and says beforehand what that is")
  func collect() throws {
    try store.install(Reference("toy@1.0.0"), from: registry)
    let toy = try store.resolve(Reference("toy"))
    try store.remove(Reference("toy"))
    let before = folder.files("store")
    let plan = try store.collectGarbage(dryRun: true)
    #expect(folder.files("store") == before)
    #expect(plan.folders == [toy.digest.replacingOccurrences(of: ":", with: "-")] && plan.bytes > 1000)
    #expect(try store.collectGarbage(keeping: 1).folders == [], "the generation before needs it")
    #expect(try store.collectGarbage() == (plan.generations.filter { $0 != 0 }, plan.folders, plan.bytes))
    #expect(try installed == [photo])
    #expect(throws: RegistryError.self) { try store.rollback() }
    #expect(try store.collectGarbage() == ([], [], 0))
  }

  @Test("an update replaces the older version in one step; going back brings it again")
  func update() throws {
    #expect(try store.updates(from: registry).isEmpty)
    try store.install(Reference("toy@1.0.0"), from: registry)
    let update = try #require(try store.updates(from: registry).first)
    #expect(update.installed.version == SemanticVersion(1, 0, 0) && update.offered.version == SemanticVersion(1, 1, 0))
    #expect(try installed == [photo, "codi/toy@1.0.0"], "asking changes nothing")
    try store.update(update, from: registry)
    #expect(try installed == [photo, "codi/toy@1.1.0"])
    #expect(try store.updates(from: registry).isEmpty)
    try store.rollback()
    #expect(try installed == [photo, "codi/toy@1.0.0"])
    #expect(try store.updates([Reference("toy@~1.0")], from: registry).isEmpty)
    #expect(try store.updates([Reference("toy@^1.0")], from: registry) == [update])
    let error = #expect(throws: RegistryError.self) { try store.updates([Reference("lost")], from: registry) }
    #expect(error?.code == .notFound)
  }

  @Test("an update whose proof fails leaves the older version")
  func failedUpdate() throws {
    struct Refused: Error {}
    try store.install(Reference("toy@1.0.0"), from: registry)
    let update = try #require(try store.updates(from: registry).first)
    let before = folder.files("store")
    #expect(throws: Refused.self) { try store.update(update, from: registry) { _, _ in throw Refused() } }
    #expect(folder.files("store") == before)
    #expect(try installed == [photo, "codi/toy@1.0.0"])
  }

  @Test("verifying finds changed files, a signer revoked or unknown since, and a proof that fails now")
  func verify() throws {
    struct Refused: Error {}
    let toy = try store.install(Reference("toy@1.0.0"), from: registry)
    var cores: [String] = []
    try store.verify(toy) { _, core in cores.append(core?.manifest.name ?? "none") }
    try store.verify(store.core(of: toy)) { _, core in cores.append(core?.manifest.name ?? "none") }
    #expect(cores == ["codi/photo", "none"])
    #expect(throws: Refused.self) { try store.verify(toy) { _, _ in throw Refused() } }
    let key = try #require(toy.signer)
    try store.changeTrust { _ = $0.revoke(key) }
    let revoked = #expect(throws: RegistryError.self) { try store.verify(toy) }
    #expect(revoked?.code == .revoked)
    let back = #expect(throws: RegistryError.self) {
      try store.remove(Reference("toy"))
      try store.rollback()
    }
    #expect(back?.code == .revoked)
    try FileManager.default.removeItem(atPath: store.home + "/trust.json")
    let unknown = #expect(throws: RegistryError.self) { try store.verify(toy) }
    #expect(unknown?.code == .untrusted)
    let bundle = try store.open(toy)
    try FileManager.default.removeItem(at: bundle.weights)
    try Data("x".utf8).write(to: bundle.weights)
    let changed = #expect(throws: BundleError.self) { try store.verify(toy) }
    #expect(changed?.code == .checksumMismatch)
  }
}
