import Bundles
import Foundation
import Registry
import Testing

@Suite("Mirrors and checks") struct MirrorTests {
  private let folder: TemporaryFolder
  private let local: BundleRegistry
  private let core: String
  private let acme: SecretKey

  init() throws {
    folder = try TemporaryFolder()
    local = try BundleRegistry(path: folder.path + "/local", create: true)
    core = try TestBundles.core(folder)
    acme = try #require(TestKeys.acme)
    try local.publish(core)
    try local.publish(TestBundles.adapter(folder, for: core))
    try local.publish(TestBundles.adapter(folder, for: core, version: SemanticVersion(1, 1, 0)))
    try local.publish(Statements.Signed(Statements(publisher: "acme", number: 2), by: acme))
  }

  private func web() throws -> TestServer {
    let path = local.path
    return try TestServer { TestServer.file($0, below: path) }
  }

  private func outcomes(_ source: BundleRegistry, _ target: BundleRegistry, isDryRun: Bool = false) throws -> [String] {
    var outcomes: [String] = []
    try source.mirror(to: target, isDryRun: isDryRun) { outcomes.append("\($0.name) \($0.outcome)") }
    return outcomes
  }

  /// Everything in a folder by name.
  private func contents(_ path: String) throws -> [String: Data] {
    let names = folder.files(path).filter { !$0.hasSuffix("sha256") && $0 != "blobs" }
    return try Dictionary(
      uniqueKeysWithValues: names.map { ($0, try Data(contentsOf: URL(filePath: "\(folder.path)/\(path)/\($0)"))) })
  }

  @Test("a static web server shows the same registry, read only, and an install takes it")
  func staticServer() throws {
    let server = try web()
    let web = try BundleRegistry.open(server.url + "/")
    #expect(try web.list() == local.list())
    #expect(try web.search("toy").map(\.version) == [SemanticVersion(1, 1, 0)])
    let store = try Store.testing(folder.path + "/store")
    #expect(try store.install(Reference("toy@1.0.0"), from: web).version == SemanticVersion(1, 0, 0))
    #expect(try store.updates(from: web).map(\.offered.version) == [SemanticVersion(1, 1, 0)])
    #expect(refusal { try web.publish(core) } == nil)
    let other = try TestBundles.core(folder, name: "codi/other")
    #expect(refusal { try web.publish(other) } == .unsupported)
  }

  @Test("looking around fetches documents and manifests only")
  func frugal() throws {
    let server = try web()
    let web = try BundleRegistry.open(server.url)
    let toy = try web.resolve(Reference("toy@^1"))
    _ = try web.manifest(of: toy)
    _ = try web.search("")
    let asked = Set(server.requests.map(\.path))
    for artifact in try local.list() {
      #expect(!asked.contains("/blobs/sha256/\(artifact.bundle.digest.dropFirst(7))"))
    }
    #expect(asked.contains("/blobs/sha256/\(toy.manifest.digest.dropFirst(7))"))
  }

  @Test("folder, web and OCI registries are copied bit for bit, and copying again changes nothing")
  func copies() throws {
    let server = try web()
    let all = ["codi/photo@1.0.0", "codi/toy@1.0.0", "codi/toy@1.1.0", "acme statements"]
    let first = try BundleRegistry(path: folder.path + "/first", create: true)
    #expect(try outcomes(BundleRegistry.open(server.url), first, isDryRun: true) == all.map { "\($0) copied" })
    #expect(try first.list().isEmpty)
    #expect(try outcomes(BundleRegistry.open(server.url), first) == all.map { "\($0) copied" })
    #expect(try contents("first") == contents("local"))
    #expect(try outcomes(local, first) == all.map { "\($0) present" })
    let second = try BundleRegistry(path: folder.path + "/second", create: true)
    _ = try outcomes(first, second)
    #expect(try contents("second") == contents("local"))
    #expect(refusal { _ = try outcomes(local, BundleRegistry.open(server.url)) } == nil)
  }

  @Test(
    "through docker-registry and back, all bytes are the same",
    .enabled(if: DockerRegistry.missing == nil, "docker-registry is not installed"))
  func throughDocker() throws {
    let (docker, other) = (try DockerRegistry(), try DockerRegistry())
    let (here, there) = (try BundleRegistry.open(docker.address), try BundleRegistry.open("oci://\(other.host)"))
    let server = try web()
    #expect(try outcomes(BundleRegistry.open(server.url), here).allSatisfy { $0.hasSuffix("copied") })
    #expect(try here.statements(of: "acme") == local.statements(of: "acme"))
    _ = try outcomes(here, there)
    let back = try BundleRegistry(path: folder.path + "/back", create: true)
    _ = try outcomes(there, back)
    #expect(try back.list() == local.list())
    #expect(try contents("back") == contents("local"))
    #expect(try here.check().isSound && here.check().artifacts == 4)
  }

  @Test("a version with other contents in the target is never replaced; older statements do not replace newer ones")
  func conflicts() throws {
    let target = try BundleRegistry(path: folder.path + "/target", create: true)
    try target.publish(Statements.Signed(Statements(publisher: "acme", number: 3), by: acme))
    #expect(try outcomes(local, target).last == "acme statements older")
    #expect(try target.statements(of: "acme")?.statements.number == 3)
    let hostile = try BundleRegistry(path: folder.path + "/hostile", create: true)
    try hostile.publish(TestBundles.core(folder, weight: 0.75))
    #expect(refusal { _ = try outcomes(hostile, target) } == .conflict)
  }

  @Test("a check counts what is there, and finds every fault and every file that nothing needs")
  func check() throws {
    let sound = try local.check()
    #expect(sound.isSound && sound.findings.isEmpty && sound.artifacts == 4 && sound.blobs == 8)
    let toys = try local.list("codi/toy")
    let blobs = local.path + "/blobs/sha256/"
    try Data("changed".utf8).write(to: URL(filePath: blobs + toys[0].bundle.digest.dropFirst(7)))
    try FileManager.default.removeItem(atPath: blobs + toys[1].manifest.digest.dropFirst(7))
    try Data("left".utf8).write(to: URL(filePath: blobs + "abc.part"))
    let report = try local.check()
    #expect(report.findings.filter { $0.kind == .fault }.map(\.place) == ["codi/toy@1.0.0", "codi/toy:1.1.0"])
    #expect(report.findings.filter { $0.kind == .dangling }.map(\.place) == [blobs + "abc.part"])
    let server = try web()
    let seen = try BundleRegistry.open(server.url).check()
    #expect(!seen.isSound && seen.findings.count == 2 && seen.blobs == 6)
  }

  @Test("a shallow check of a registry elsewhere asks for bundles without fetching them, and finds what is missing")
  func shallow() throws {
    let server = try web()
    let report = try BundleRegistry.open(server.url).check(isDeep: false)
    #expect(report.isSound && report.artifacts == 4 && report.unread == 3 && report.blobs == 5)
    let bundles = try local.list().map(\.bundle)
    #expect(report.unreadBytes == bundles.map(\.size).reduce(0, +))
    for bundle in bundles {
      #expect(server.requests.contains { $0.method == "HEAD" && $0.path == bundle.path })
      #expect(!server.requests.contains { $0.method == "GET" && $0.path == bundle.path })
    }
    // A folder is read as a whole in any case.
    #expect(try local.check(isDeep: false).unread == 0)
    let (missing, longer) = (local.path + bundles[0].path, local.path + bundles[1].path)
    try FileManager.default.removeItem(atPath: missing)
    try (Data(contentsOf: URL(filePath: longer)) + Data([0])).write(to: URL(filePath: longer))
    let found = try BundleRegistry.open(server.url).check(isDeep: false)
    #expect(found.findings.count == 2 && found.findings.allSatisfy { $0.kind == .fault }, "\(found.findings)")
    #expect(found.unread == 1)
  }

  @Test(
    "docker-registry too says what it has without sending it",
    .enabled(if: DockerRegistry.missing == nil, "docker-registry is not installed"))
  func shallowDocker() throws {
    let docker = try DockerRegistry()
    let registry = try BundleRegistry.open(docker.address)
    try local.mirror(to: registry) { _ in }
    let report = try registry.check(isDeep: false)
    #expect(report.isSound && report.unread == 3)
    let bundle = try #require(try local.list().first).bundle
    let blob = bundle.digest.dropFirst(7)
    try FileManager.default.removeItem(
      atPath: "\(docker.folder.path)/data/docker/registry/v2/blobs/sha256/\(blob.prefix(2))/\(blob)")
    #expect(try registry.check(isDeep: false).findings.count == 1)
  }
}
