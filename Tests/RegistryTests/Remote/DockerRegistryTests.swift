import Bundles
import Foundation
import Registry
import Synchronization
import Testing

/// Against the registry that Debian ships.
@Suite("An OCI registry", .enabled(if: DockerRegistry.missing == nil, "docker-registry is not installed"))
struct DockerRegistryTests {
  private let folder: TemporaryFolder
  private let docker: DockerRegistry
  private let registry: BundleRegistry
  private let core: String
  private let adapter: String

  init() throws {
    folder = try TemporaryFolder()
    docker = try DockerRegistry()
    registry = try BundleRegistry.open(docker.address)
    core = try TestBundles.core(folder)
    adapter = try TestBundles.adapter(folder, for: core)
  }

  @Test("what is published is listed, found, described and installed with its core; the source counts as elsewhere")
  func roundTrip() throws {
    #expect(try registry.list().isEmpty)
    let toy = try registry.publish(adapter)
    let photo = try registry.publish(core)
    #expect(try registry.list() == [photo, toy])
    #expect(try registry.list("codi/toy@^1.0") == [toy])
    #expect(try registry.search("tiny ADAPTER") == [toy])
    #expect(try registry.resolve(Reference("toy")) == toy && registry.resolve(Reference("codi/toy@1.0.0")) == toy)
    #expect(try registry.manifest(of: toy) == BundleReader(path: adapter).manifest)
    #expect(registry.source.isRemote && registry.path == docker.address)
    let store = try Store.testing(folder.path + "/store")
    let installed = try store.install(Reference("toy"), from: registry)
    #expect(try store.list().map(\.name) == ["codi/photo", "codi/toy"])
    #expect(installed.digest == "sha256:" + (try SHA256.hex(ofFile: adapter)))
    #expect(!FileManager.default.fileExists(atPath: store.home + "/downloads"))
    try registry.publish(TestBundles.adapter(folder, for: core, version: SemanticVersion(1, 1, 0)))
    let updates = try store.updates(from: registry)
    #expect(updates.map(\.offered.identity) == ["codi/toy@1.1.0"])
    try store.update(updates[0], from: registry)
    #expect(try store.resolve(Reference("toy")).version == SemanticVersion(1, 1, 0))
  }

  @Test("the same bundle has the same digests here as in a folder")
  func sameDigests() throws {
    let local = try BundleRegistry(path: folder.path + "/local", create: true)
    #expect(try local.publish(adapter) == registry.publish(adapter))
  }

  @Test("a published version with other contents is refused, although the registry would take it")
  func immutable() throws {
    let toy = try registry.publish(adapter)
    #expect(try registry.publish(adapter) == toy)
    let changed = try TestBundles.adapter(folder, for: core, weight: 0.75)
    #expect(refusal { try registry.publish(changed) } == .conflict)
    #expect(try registry.list() == [toy])
  }

  @Test("blobs that are there already are not sent again")
  func skipped() throws {
    let recorder = try Relay(to: docker)
    let relayed = try BundleRegistry.open("oci://\(recorder.host)/hub")
    try relayed.publish(adapter)
    let first = recorder.server.requests.filter { $0.method == "PATCH" }.count
    #expect(first == 2)
    // The tag goes, the blobs stay.
    try FileManager.default.removeItem(
      atPath: "\(docker.folder.path)/data/docker/registry/v2/repositories/hub/codi/toy/_manifests/tags/1.0.0")
    try relayed.publish(adapter)
    #expect(recorder.server.requests.filter { $0.method == "PATCH" }.count == first)
    #expect(recorder.server.requests.filter { $0.method == "PUT" && $0.path.contains("/manifests/") }.count == 2)
    #expect(try registry.list().count == 1)
  }

  @Test("an upload goes in parts, and on after a part that the registry lost, kept by half, or did not confirm")
  func uploadResumes() throws {
    for trouble in [Relay.Trouble.lost, .half, .unconfirmed] {
      let docker = try DockerRegistry()
      let relay = try Relay(to: docker, trouble: trouble)
      var network = Network.testing
      network.chunk = try Data(contentsOf: URL(filePath: adapter)).count / 5
      let toy = try BundleRegistry.open("oci://\(relay.host)/hub", network).publish(adapter)
      #expect(relay.hasStruck)
      #expect(relay.server.requests.filter { $0.method == "PATCH" }.count > 5)
      let copy = "\(folder.path)/copy-\(trouble)"
      try BundleRegistry.open(docker.address).fetch(toy, to: copy)
      #expect(try Data(contentsOf: URL(filePath: copy)) == Data(contentsOf: URL(filePath: adapter)), "\(trouble)")
    }
  }

  @Test("more names and versions than fit on a page are listed, and tags that are no versions left alone")
  func pages() throws {
    let server = try TestServer { request in
      switch request.path {
      case "/v2/_catalog?n=1000":
        .text(200, #"{"repositories":["hub/a/x","hub/alone"]}"#, ["Link": #"</v2/_catalog?last=x&n=1>; rel="next""#])
      case "/v2/_catalog?last=x&n=1": .text(200, #"{"repositories":["hub/b/y","other/c/z","hub/b/../y"]}"#)
      case "/v2/hub/a/x/tags/list?n=1000": .text(200, #"{"tags":["latest","sha256-0"]}"#)
      default: .text(404, "no")
      }
    }
    let registry = try BundleRegistry.open("oci://\(server.host)/hub")
    #expect(try registry.list().isEmpty && registry.search("").isEmpty)
    #expect(server.requests.map(\.path).contains("/v2/hub/b/y/tags/list?n=1000"))
    #expect(!server.requests.map(\.path).contains { $0.contains("alone") || $0.contains("..") || $0.contains("other") })
    let foreign = try TestServer { _ in .text(200, "{}", ["Link": "<http://192.0.2.1/v2/_catalog>; rel=\"next\""]) }
    #expect(refusal { _ = try BundleRegistry.open("oci://\(foreign.host)").list() } == .network)
    #expect(foreign.requests.count == 1)
  }

  @Test("other people's images in the same repository are left alone")
  func foreign() throws {
    let toy = try registry.publish(adapter)
    let image =
      #"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"\#(toy.manifest.digest)","size":\#(toy.manifest.size)},"layers":[]}"#
    let file = folder.path + "/image.json"
    try Data(image.utf8).write(to: URL(filePath: file))
    let status = try run(
      "/usr/bin/curl", "-sf", "-X", "PUT", "-H", "Content-Type: application/vnd.oci.image.manifest.v1+json",
      "--data-binary", "@\(file)", "http://\(docker.host)/v2/hub/codi/toy/manifests/2.0.0")
    #expect(status == 0)
    #expect(try registry.list() == [toy])
  }

  @Test(
    "skopeo copies what was published into a layout, and all digests stay",
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/skopeo"), "skopeo is not installed"))
  func skopeo() throws {
    let toy = try registry.publish(adapter)
    let target = folder.path + "/skopeo"
    let status = try run(
      "/usr/bin/skopeo", "copy", "--insecure-policy", "--src-tls-verify=false",
      "docker://\(docker.host)/hub/codi/toy:1.0.0", "oci:\(target):codi/toy:1.0.0")
    #expect(status == 0)
    for digest in [toy.digest, toy.manifest.digest, toy.bundle.digest] {
      #expect(try "sha256:" + SHA256.hex(ofFile: "\(target)/blobs/sha256/\(digest.dropFirst(7))") == digest)
    }
    // And back: a folder of ours, by skopeo into the registry, read by us.
    let local = try BundleRegistry(path: folder.path + "/local", create: true)
    try local.publish(core)
    let back = try run(
      "/usr/bin/skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", "--preserve-digests",
      "oci:\(local.path):codi/photo:1.0.0", "docker://\(docker.host)/hub/codi/photo:1.0.0")
    #expect(back == 0)
    #expect(try registry.resolve(Reference("codi/photo")) == local.resolve(Reference("codi/photo")))
  }

  @Test("a registry that asks for a password gets that of its host, and nobody else's")
  func basic() throws {
    // The password is "secret".
    let users = "demo:$2y$05$QLJ.pos4VgQv5BEBVTJnY.ui50V5DlvRJ6eXmY0nat7abSfmOWg36\n"
    let docker = try DockerRegistry(users: users)
    func open(_ credentials: String) throws -> BundleRegistry {
      var network = Network.testing
      network.credentials = try Credentials(parsing: credentials, source: "test")
      return try BundleRegistry.open(docker.address, network)
    }
    let toy = try open("\(docker.host) demo:secret").publish(adapter)
    #expect(try open("\(docker.host) demo:secret").list("codi/toy") == [toy])
    let error = #expect(throws: RegistryError.self) { try BundleRegistry.open(docker.address).list("codi/toy") }
    #expect(error?.code == .unauthorized && error?.remedy.contains("\(docker.host) USER:PASSWORD") == true)
    for wrong in ["\(docker.host) demo:wrong", "127.0.0.1 demo:secret", "example.org demo:secret"] {
      #expect(refusal { _ = try open(wrong).list("codi/toy") } == .unauthorized, "\(wrong)")
    }
  }

  @Test("interrupted between documents and blobs, publishing again completes it")
  func interrupted() throws {
    let relay = try Relay(to: docker, trouble: .gone)
    #expect(refusal { try BundleRegistry.open("oci://\(relay.host)/hub").publish(adapter) } == .network)
    #expect(try registry.list().isEmpty)
    try registry.publish(adapter)
    #expect(try registry.check().isSound)
  }
}
