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

  @Test(
    "slow retrieval: a registry that sends a few bytes a second is given up, for a document as for a bundle",
    arguments: ["/index.json", "bundle"])
  func slow(what: String) throws {
    let path = good.path
    let bundle = try good.resolve(Reference("acme/toy")).bundle
    let slow = what == "bundle" ? bundle.path : what
    let server = try TestServer { request in
      guard request.path == slow else { return TestServer.file(request, below: path) }
      return .trickle(
        Data("HTTP/1.1 200 Test\r\nContent-Length: \(bundle.size)\r\n\r\n".utf8) + Data(count: bundle.size))
    }
    var network = Network.testing
    (network.stallSeconds, network.attempts) = (1, 2)
    let start = ContinuousClock.now
    #expect(refusal { try store.install(Reference("acme/toy"), from: .open(server.url, network)) } == .network)
    #expect(ContinuousClock.now - start < .seconds(30), "all of it would take \(bundle.size / 100) s")
    #expect(try store.list().isEmpty)
  }

  @Test(
    "malicious mirror: one that keeps new versions back serves old ones until the day they name, and another registry brings the new"
  )
  func mirror() throws {
    try state(1, expires: "2999-01-31")
    let mirror = try frozen("mirror")
    try good.publish(toy(minor: 1))
    try state(2, expires: "2999-01-31", yanked: ["acme/toy@1.0.0"])
    let fresh = try frozen("fresh")
    // Until then nobody can tell it from a publisher at rest.
    try store.install(Reference("acme/toy"), from: .open(mirror.url))
    #expect(try store.updates(from: .open(mirror.url)).isEmpty)
    // What another registry shows counts everywhere.
    let update = try #require(try store.updates(from: .open(fresh.url)).first)
    try store.update(update, from: .open(fresh.url))
    #expect(try store.list().contains { $0.name == "acme/toy" && $0.version == SemanticVersion(1, 1, 0) })
    #expect(refusal { try store.install(Reference("acme/toy"), from: .open(mirror.url)) } == .yanked)
    // After that day it serves nobody, also where nothing else was ever seen.
    let other = try Store.testing(folder.path + "/other")
    try other.changeTrust { try $0.add(acme.publicKey, to: "acme") }
    let path = folder.path + "/old"
    try FileManager.default.copyItem(atPath: folder.path + "/mirror", toPath: path)
    try BundleRegistry(path: path).publish(
      Statements.Signed(Statements(publisher: "acme", number: 2, expires: "2020-01-31"), by: acme))
    let stale = try TestServer { TestServer.file($0, below: path) }
    #expect(refusal { try other.install(Reference("acme/toy"), from: .open(stale.url)) } == .expired)
  }

  @Test("an adapter that cannot run here is refused before its zip is asked for, with the command that helps")
  func early() throws {
    for (name, bundle, helps) in [
      ("abi", try TestBundles.adapter(folder, for: core, abi: 99), "codi install codi/toy@VERSION"),
      ("platform", try TestBundles.adapter(folder, for: core, platform: "plan9-mips"), "codi list --available"),
      (
        "program", try TestBundles.adapter(folder, for: core, codi: #require(VersionRequirement(">=99.0.0"))),
        "Update codi"
      ),
      (
        "core", try TestBundles.adapter(folder, for: core, coreDigest: "sha256:" + String(repeating: "0", count: 64)),
        "codi install codi/photo --registry"
      ),
    ] {
      let registry = try BundleRegistry(path: "\(folder.path)/\(name)", create: true)
      let artifact = try registry.publish(bundle)
      try registry.publish(core)
      let path = registry.path
      let server = try TestServer { TestServer.file($0, below: path) }
      let error = #expect(throws: RegistryError.self) {
        try store.install(Reference("codi/toy"), from: .open(server.url))
      }
      #expect(error?.code == .unsupported || error?.code == .core, "\(name)")
      #expect(error?.remedy.contains(helps) == true, "\(name): \(String(describing: error))")
      #expect(!server.requests.contains { $0.path == artifact.bundle.path }, "\(name)")
      recordAttack("refused, zip not asked for")
    }
  }

  @Test("a manifest of a newer format is refused before its zip is asked for, and nothing else in it is read")
  func newerFormat() throws {
    let artifact = try good.resolve(Reference("acme/toy"))
    func file(_ digest: String) -> URL { URL(filePath: "\(good.path)/blobs/sha256/\(digest.dropFirst(7))") }
    // Document, index and digests as a newer program would write them.
    func replace(_ digest: String, _ change: (String) -> String) throws -> (digest: String, size: Int, old: Int) {
      let old = try Data(contentsOf: file(digest))
      let new = Data(change(String(decoding: old, as: UTF8.self)).utf8)
      let name = "sha256:" + SHA256.hex(of: new)
      try new.write(to: file(name))
      return (name, new.count, old.count)
    }
    let manifest = try replace(artifact.manifest.digest) {
      $0.replacing("format: 1\n", with: "format: 2\nunheard-of: { really: true }\n")
    }
    #expect(manifest.size > manifest.old)
    let document = try replace(artifact.digest) {
      $0.replacing(artifact.manifest.digest, with: manifest.digest)
        .replacing("\"size\":\(manifest.old)", with: "\"size\":\(manifest.size)")
    }
    let index = URL(filePath: good.path + "/index.json")
    let text = try String(contentsOf: index, encoding: .utf8)
    let changed = text.replacing(artifact.digest, with: document.digest)
      .replacing("\"size\" : \(document.old)", with: "\"size\" : \(document.size)")
    #expect(changed != text)
    try Data(changed.utf8).write(to: index)
    let server = try frozen("newer")
    let error = #expect(throws: BundleError.self) {
      try store.install(Reference("acme/toy"), from: .open(server.url))
    }
    #expect(
      error?.code == .unsupportedFormat && error?.remedy.contains("Update codi") == true, "\(String(describing: error))"
    )
    #expect(!server.requests.contains { $0.path == artifact.bundle.path })
    recordAttack("refused, unsupportedFormat")
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
