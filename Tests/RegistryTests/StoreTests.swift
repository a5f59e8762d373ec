import Bundles
import Foundation
import Registry
import Testing

@Suite("The store") struct StoreTests {
  let folder: TemporaryFolder
  let registry: BundleRegistry
  let store: Store
  let core: String
  let adapter: String

  init() throws {
    folder = try TemporaryFolder()
    registry = try BundleRegistry(path: folder.path + "/registry", create: true)
    store = try Store.testing(folder.path + "/store")
    core = try TestBundles.core(folder)
    adapter = try TestBundles.adapter(folder, for: core)
    try registry.publish(core)
    try registry.publish(adapter)
  }

  private struct Refused: Error {}

  @Test("installing an adapter installs its core, unpacked and verified, and opens its plugin")
  func install() throws {
    var proved: [String] = []
    let installed = try store.install(Reference("toy"), from: registry) { bundle, core in
      try bundle.verify()
      proved.append(bundle.manifest.name + (core.map { " on \($0.manifest.name)" } ?? ""))
    }
    #expect(proved == ["codi/photo", "codi/toy on codi/photo"])
    #expect(try store.list().map(\.name) == ["codi/photo", "codi/toy"])
    #expect(try store.resolve(Reference("toy")) == installed)
    #expect(try store.core(of: installed).name == "codi/photo")
    let bundle = try store.open(installed)
    try bundle.verify()
    #expect(installed.digest == "sha256:" + (try SHA256.hex(ofFile: adapter)))
    let library = try PluginLibrary(bundle)
    #expect(library.descriptor.task == "toy")
    #expect(try TaskPlugin(library).outputSize(width: 3, height: 2) == (3, 2))
    #expect(Set(try contents("store")) == ["bundles", "generations", "index.json", "trust.json"])
  }

  @Test("a plugin is isolated, unless the user marked the key that signed it; a mark on another key changes nothing")
  func isolatedByDefault() throws {
    let installed = try store.install(Reference("toy"), from: registry)
    #expect(try store.plugin(of: installed).isolation?.seccomp == true)
    let other = try #require(TestKeys.other).publicKey
    try store.changeTrust { try $0.add(other, to: "codi", inProcess: true) }
    #expect(try store.plugin(of: installed).isolation != nil)
    let key = try #require(TestKeys.codi).publicKey
    try store.changeTrust { try $0.add(key, to: "codi", inProcess: true) }
    #expect(try store.plugin(of: installed).isolation == nil)
  }

  @Test("installing again changes nothing and proves nothing anew")
  func idempotent() throws {
    let first = try store.install(Reference("toy"), from: registry)
    let before = folder.files("store")
    let second = try store.install(Reference("codi/toy@1.0.0"), from: registry) { _, _ in throw Refused() }
    #expect(first == second)
    #expect(folder.files("store") == before)
  }

  @Test("a changed blob is refused and nothing is left behind", arguments: ["bundle", "manifest", "core"])
  func corrupted(_ which: String) throws {
    let toy = try registry.resolve(Reference("toy"))
    let photo = try registry.resolve(Reference("photo"))
    let digest = which == "bundle" ? toy.bundle.digest : which == "core" ? photo.bundle.digest : toy.manifest.digest
    let path = "\(registry.path)/blobs/sha256/\(digest.dropFirst(7))"
    var data = try Data(contentsOf: URL(filePath: path))
    data[data.count / 2] ^= 1
    try data.write(to: URL(filePath: path))
    let error = #expect(throws: RegistryError.self) { try store.install(Reference("toy"), from: registry) }
    #expect(error?.code == .corrupt)
    try expectEmpty()
  }

  @Test("a proof that fails leaves nothing behind, neither adapter nor core")
  func failedProof() throws {
    #expect(throws: Refused.self) {
      try store.install(Reference("toy"), from: registry) { _, core in if core != nil { throw Refused() } }
    }
    try expectEmpty()
    try store.install(Reference("toy"), from: registry)
    #expect(try store.list().count == 2)
  }

  @Test("an installed version with another digest is refused")
  func conflict() throws {
    try store.install(Reference("toy"), from: registry)
    let changed = try TestBundles.adapter(folder, for: core, weight: 0.75)
    let before = folder.files("store")
    let error = #expect(throws: RegistryError.self) { try store.install(file: changed) }
    #expect(error?.code == .conflict)
    #expect(folder.files("store") == before)
  }

  @Test("what cannot run here is refused by its manifest, before its zip is looked at")
  func unsupported() throws {
    let bundles = [
      try TestBundles.adapter(folder, for: core, name: "codi/newer", codi: VersionRequirement(">=2.0.0") ?? .any),
      try TestBundles.adapter(folder, for: core, name: "codi/abi", abi: 2),
      try TestBundles.adapter(folder, for: core, name: "codi/elsewhere", platform: "plan9-vax"),
    ]
    for (bundle, found) in zip(bundles, ["codi 0.1.0", "ABI 2", "plan9-vax"]) {
      let artifact = try registry.publish(bundle)
      try FileManager.default.removeItem(atPath: "\(registry.path)/blobs/sha256/\(artifact.bundle.digest.dropFirst(7))")
      let error = #expect(throws: RegistryError.self) {
        try store.install(Reference(artifact.name, .any), from: registry)
      }
      #expect(error?.code == .unsupported && error?.reason.contains(found) == true, "\(String(describing: error))")
    }
    try expectEmpty()
  }

  @Test("an adapter made for another core is refused, naming both digests")
  func otherCore() throws {
    let digest = "sha256:" + String(repeating: "0", count: 64)
    try registry.publish(TestBundles.adapter(folder, for: core, name: "codi/lost", coreDigest: digest))
    let error = try #require(throws: RegistryError.self) { try store.install(Reference("lost"), from: registry) }
    #expect(error.code == .core)
    let offered = try registry.resolve(Reference("photo")).coreDigest
    #expect(error.reason.contains(digest) && error.reason.contains(offered))
    try expectEmpty()
  }

  @Test("a file installs like a published bundle, and needs its core from somewhere")
  func file() throws {
    let error = #expect(throws: RegistryError.self) { try store.install(file: adapter) }
    #expect(error?.code == .core)
    try expectEmpty()
    let installed = try store.install(file: adapter, coresFrom: registry)
    #expect(try store.install(Reference("toy"), from: registry) == installed)
    let other = try Store.testing(folder.path + "/other")
    try other.install(file: core)
    #expect(try other.install(file: adapter) == installed)
  }

  @Test("a core that adapters need stays; without them it goes, and its files with the next collection")
  func remove() throws {
    try store.install(Reference("toy"), from: registry)
    let error = #expect(throws: RegistryError.self) { try store.remove(Reference("photo")) }
    #expect(error?.code == .inUse && error?.reason.contains("codi/toy@1.0.0") == true)
    #expect(try store.list().count == 2)
    #expect(try store.remove(Reference("toy")).name == "codi/toy")
    #expect(try store.remove(Reference("photo")).name == "codi/photo")
    #expect(try contents("store/bundles").count == 2)
    try store.collectGarbage()
    try expectEmpty()
    let gone = #expect(throws: RegistryError.self) { try store.remove(Reference("toy")) }
    #expect(gone?.code == .notFound)
  }

  @Test("what an interrupted install left goes with the next one; lost files are fetched again")
  func leftovers() throws {
    try store.install(Reference("toy"), from: registry)
    let orphan = store.home + "/bundles/sha256-" + String(repeating: "a", count: 64)
    try FileManager.default.createDirectory(atPath: orphan, withIntermediateDirectories: true)
    try FileManager.default.createDirectory(atPath: store.home + "/staging/1", withIntermediateDirectories: true)
    let installed = try store.core(of: store.resolve(Reference("toy")))
    try FileManager.default.removeItem(at: store.open(installed).directory)
    try store.install(Reference("toy"), from: registry)
    try store.open(installed).verify()
    #expect(try contents("store/bundles").count == 2)
    #expect(Set(try contents("store")) == ["bundles", "generations", "index.json", "trust.json"])
  }

  @Test("installers that race leave one whole store")
  func race() async throws {
    try await withThrowingTaskGroup(of: Installed.self) { group in
      for _ in 0..<6 { group.addTask { try store.install(Reference("toy"), from: registry) } }
      let all = try await group.reduce(into: Set<Installed>()) { $0.insert($1) }
      #expect(all.count == 1)
    }
    #expect(try store.list().count == 2)
    for bundle in try store.list() { try store.open(bundle).verify() }
  }

  @Test("a library changed after the install is not opened")
  func changedLibrary() throws {
    let bundle = try store.open(store.install(Reference("toy"), from: registry))
    var data = try Data(contentsOf: bundle.library())
    data[data.count - 1] ^= 1
    try FileManager.default.removeItem(at: bundle.library())
    try data.write(to: bundle.library())
    let error = #expect(throws: BundleError.self) { try PluginLibrary(bundle) }
    #expect(error?.code == .checksumMismatch)
  }

  @Test("the store is $CODI_HOME, else the XDG data folder")
  func home() {
    #expect(Store.defaultHome(["CODI_HOME": "/a", "XDG_DATA_HOME": "/b", "HOME": "/c"]) == "/a")
    #expect(Store.defaultHome(["XDG_DATA_HOME": "/b", "HOME": "/c"]) == "/b/codi")
    #expect(Store.defaultHome(["XDG_DATA_HOME": "b", "HOME": "/c"]) == "/c/.local/share/codi")
  }

  private func contents(_ sub: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: "\(folder.path)/\(sub)")
  }

  /// Nothing installed, nothing staged, no files.
  private func expectEmpty() throws {
    #expect(try store.list().isEmpty)
    let files = folder.files("store").filter { !["bundles", "generations", "index.json", "trust.json"].contains($0) }
    #expect(files.isEmpty, "\(files)")
  }
}
