import Bundles
import Foundation
import Registry
import Synchronization
import Testing

/// What a registry elsewhere can try that one in a folder cannot.
@Suite("Attacks by a registry elsewhere") struct RemoteAttackTests {
  private let folder: TemporaryFolder
  private let good: BundleRegistry
  private let store: Store
  private let core: String
  private let acme: SecretKey

  init() throws {
    folder = try TemporaryFolder()
    good = try BundleRegistry(path: folder.path + "/good", create: true)
    store = try Store.testing(folder.path + "/store")
    core = try TestBundles.core(folder)
    acme = try #require(TestKeys.acme)
    try good.publish(core)
    try good.publish(toy(minor: 0))
    try store.changeTrust { try $0.add(acme.publicKey, to: "acme") }
  }

  private func toy(minor: Int) throws -> String {
    try TestBundles.adapter(
      folder, for: core, name: "acme/toy", version: SemanticVersion(1, minor, 0), key: TestKeys.acme)
  }

  private func state(_ number: Int, expires: String? = nil, yanked: [String] = []) throws {
    let yanks = yanked.map { Statements.Yank(bundle: $0, reason: "Bad.") }
    try good.publish(
      Statements.Signed(Statements(publisher: "acme", number: number, expires: expires, yanked: yanks), by: acme))
  }

  /// A web server with what `good` holds now, whatever happens to `good` later.
  private func frozen(_ name: String) throws -> TestServer {
    let copy = "\(folder.path)/\(name)"
    try FileManager.default.copyItem(atPath: good.path, toPath: copy)
    return try TestServer { TestServer.file($0, below: copy) }
  }

  @Test(
    "freeze: what is shown after its last day is refused from elsewhere, and good in a folder",
    arguments: [false, true])
  func freeze(isDocker: Bool) throws {
    try state(1, expires: "2020-01-31")
    if isDocker, DockerRegistry.missing != nil { return }
    let docker = isDocker ? try DockerRegistry() : nil
    let server = try frozen("frozen")
    let remote = try BundleRegistry.open(docker?.address ?? server.url)
    if isDocker { try good.mirror(to: remote) { _ in } }
    #expect(refusal { try store.install(Reference("acme/toy"), from: remote) } == .expired)
    #expect(try store.list().isEmpty)
    #expect(try store.install(Reference("acme/toy"), from: good).name == "acme/toy")
  }

  @Test("freeze: a registry that withholds the newest statements cannot make known ones last longer")
  func withheld() throws {
    let silent = try frozen("silent")
    try state(1, expires: "2020-01-31")
    let honest = try frozen("honest")
    #expect(refusal { try store.install(Reference("acme/toy"), from: .open(honest.url)) } == .expired)
    #expect(refusal { try store.install(Reference("acme/toy"), from: .open(silent.url)) } == .expired)
    try state(2, expires: "2999-01-31")
    let fresh = try frozen("fresh")
    #expect(try store.install(Reference("acme/toy"), from: .open(fresh.url)).name == "acme/toy")
  }

  @Test("rollback of statements: an older statement that still admits a yanked version changes nothing")
  func rollback() throws {
    try good.publish(toy(minor: 1))
    try state(1)
    let old = try frozen("old")
    try state(2, yanked: ["acme/toy@1.1.0"])
    let new = try frozen("new")
    #expect(try store.install(Reference("acme/toy"), from: .open(new.url)).version == SemanticVersion(1, 0, 0))
    #expect(refusal { try store.install(Reference("acme/toy@1.1.0"), from: .open(new.url)) } == .yanked)
    #expect(refusal { try store.install(Reference("acme/toy@1.1.0"), from: .open(old.url)) } == .yanked)
    #expect(try store.updates(from: .open(old.url)).isEmpty)
  }

  @Test("forged statements: those of another key, or changed on the way, are not believed")
  func forged() throws {
    let mallory = try #require(TestKeys.other)
    try good.publish(Statements.Signed(Statements(publisher: "acme", number: 7), by: mallory))
    let server = try frozen("forged")
    #expect(refusal { try store.install(Reference("acme/toy"), from: .open(server.url)) } == .untrusted)
  }

  @Test("rollback, arbitrary install: a known version with other contents is refused, however it is signed")
  func changed() throws {
    try store.install(Reference("acme/toy"), from: good)
    try store.remove(Reference("acme/toy"))
    let other = try BundleRegistry(path: folder.path + "/other", create: true)
    try other.publish(core)
    try other.publish(
      TestBundles.adapter(folder, for: core, name: "acme/toy", weight: 0.75, key: TestKeys.acme))
    let path = other.path
    let server = try TestServer { TestServer.file($0, below: path) }
    #expect(refusal { try store.install(Reference("acme/toy"), from: .open(server.url)) } == .conflict)
  }

  @Test("an adapter that cannot run here is refused before its zip is asked for")
  func early() throws {
    for (name, bundle) in [
      ("abi", try TestBundles.adapter(folder, for: core, abi: 99)),
      ("platform", try TestBundles.adapter(folder, for: core, platform: "plan9-mips")),
      ("core", try TestBundles.adapter(folder, for: core, coreDigest: "sha256:" + String(repeating: "0", count: 64))),
    ] {
      let registry = try BundleRegistry(path: "\(folder.path)/\(name)", create: true)
      let artifact = try registry.publish(bundle)
      try registry.publish(core)
      let path = registry.path
      let server = try TestServer { TestServer.file($0, below: path) }
      let code = refusal { try store.install(Reference("codi/toy"), from: .open(server.url)) }
      #expect(code == .unsupported || code == .core, "\(name)")
      #expect(!server.requests.contains { $0.path == artifact.bundle.path }, "\(name)")
    }
  }

  @Test("an install whose download breaks off leaves the store as it was, and the next one goes on")
  func interrupted() throws {
    let path = good.path
    let bundle = try good.resolve(Reference("acme/toy")).bundle
    let isBroken = Mutex(true)
    let server = try TestServer { request in
      guard request.path == bundle.path, isBroken.withLock({ $0 }) else {
        return TestServer.file(request, below: path)
      }
      let data = FileManager.default.contents(atPath: path + request.path) ?? Data()
      if request.headers["range"] != nil { return .raw(Data()) }
      return .raw(Data("HTTP/1.1 200 Test\r\nContent-Length: \(data.count)\r\n\r\n".utf8) + data.prefix(1000))
    }
    #expect(refusal { try store.install(Reference("acme/toy"), from: .open(server.url)) } == .network)
    #expect(try store.list().isEmpty)
    #expect(folder.files("store/downloads").count == 1)
    isBroken.withLock { $0 = false }
    try store.install(Reference("acme/toy"), from: .open(server.url))
    #expect(server.requests.last { $0.path == bundle.path }?.headers["range"] == "bytes=1000-")
    #expect(!folder.files("store").contains("downloads"))
  }
}
