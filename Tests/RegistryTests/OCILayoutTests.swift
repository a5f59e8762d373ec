import Bundles
import Foundation
import Registry
import Testing

@Suite("A registry in a folder") struct OCILayoutTests {
  let folder: TemporaryFolder
  let registry: BundleRegistry
  let core: String
  let adapter: String

  init() throws {
    folder = try TemporaryFolder()
    registry = try BundleRegistry(path: folder.path + "/registry", create: true)
    core = try TestBundles.core(folder)
    adapter = try TestBundles.adapter(folder, for: core)
  }

  @Test("published bundles are listed and described without their zip")
  func publishAndList() throws {
    try registry.publish(adapter)
    try registry.publish(core)
    let artifacts = try registry.list()
    #expect(artifacts.map(\.name) == ["codi/photo", "codi/toy"])
    let toy = artifacts[1]
    #expect(toy.license == "CC0-1.0" && toy.task == "toy" && toy.kind == .adapter)
    #expect(toy.coreDigest == artifacts[0].coreDigest)
    try FileManager.default.removeItem(atPath: blob(toy.bundle.digest))
    #expect(try registry.list() == artifacts)
    #expect(try registry.manifest(of: toy) == BundleReader(path: adapter).manifest)
  }

  @Test("the folder is an OCI image layout: the documents say what the specification wants")
  func documents() throws {
    let toy = try registry.publish(adapter)
    #expect(try text("oci-layout") == #"{"imageLayoutVersion":"1.0.0"}"#)
    let index = try json("index.json")
    #expect(index["schemaVersion"] as? Int == 2)
    let entry = try #require((index["manifests"] as? [[String: Any]])?.first)
    #expect(entry["mediaType"] as? String == "application/vnd.oci.image.manifest.v1+json")
    #expect(entry["digest"] as? String == toy.digest)
    #expect((entry["annotations"] as? [String: String])?["org.opencontainers.image.ref.name"] == "codi/toy:1.0.0")
    let image = try json("blobs/sha256/\(toy.digest.dropFirst(7))")
    #expect((image["config"] as? [String: Any])?["mediaType"] as? String == "application/vnd.codi.manifest.v1+yaml")
    let layers = try #require(image["layers"] as? [[String: Any]])
    #expect(layers.count == 1 && layers[0]["mediaType"] as? String == "application/vnd.codi.bundle.v1+zip")
    #expect(layers[0]["digest"] as? String == "sha256:" + (try SHA256.hex(ofFile: adapter)))
    #expect(layers[0]["size"] as? Int == (try Data(contentsOf: URL(filePath: adapter)).count))
    let notes = try #require(image["annotations"] as? [String: String])
    #expect(notes["org.opencontainers.image.version"] == "1.0.0")
    #expect(notes["org.opencontainers.image.licenses"] == "CC0-1.0")
    #expect(notes["org.codi.task"] == "toy" && notes["org.codi.core.digest"] == toy.coreDigest)
    for file in folder.files("registry/blobs/sha256") {
      #expect(try SHA256.hex(ofFile: folder.path + "/registry/blobs/sha256/" + file) == file)
    }
  }

  @Test("the order of publishing changes no byte, and publishing again changes nothing")
  func deterministic() throws {
    let other = try BundleRegistry(path: folder.path + "/other", create: true)
    for bundle in [adapter, core] { try registry.publish(bundle) }
    for bundle in [core, adapter, adapter] { try other.publish(bundle) }
    #expect(folder.files("registry") == folder.files("other"))
    #expect(try text("index.json") == String(contentsOfFile: folder.path + "/other/index.json", encoding: .utf8))
  }

  @Test("a published version with other contents is refused")
  func immutable() throws {
    try registry.publish(adapter)
    let before = try text("index.json")
    let changed = try TestBundles.adapter(folder, for: core, weight: 0.75)
    let error = #expect(throws: RegistryError.self) { try registry.publish(changed) }
    #expect(error?.code == .conflict)
    #expect(try text("index.json") == before)
  }

  @Test("a requirement picks the newest version it admits; a short name must be unambiguous")
  func resolve() throws {
    for version in [SemanticVersion(1, 0, 0), SemanticVersion(1, 2, 0), SemanticVersion(2, 0, 0)] {
      try registry.publish(TestBundles.adapter(folder, for: core, version: version))
    }
    #expect(try registry.resolve(Reference("toy")).version == SemanticVersion(2, 0, 0))
    #expect(try registry.resolve(Reference("codi/toy@^1.0")).version == SemanticVersion(1, 2, 0))
    let none = #expect(throws: RegistryError.self) { try registry.resolve(Reference("toy@3.0.0")) }
    #expect(none?.code == .notFound && none?.reason.contains("1.0.0, 1.2.0, 2.0.0") == true)
    try registry.publish(TestBundles.adapter(folder, for: core, name: "other/toy"))
    let unclear = #expect(throws: RegistryError.self) { try registry.resolve(Reference("toy")) }
    #expect(unclear?.code == .ambiguous && unclear?.reason.contains("codi/toy or other/toy") == true)
  }

  @Test(
    "references that are no references are refused", arguments: ["", "a/b/c", "../x", "A", "toy@", "toy@new", "/toy"])
  func badReference(_ text: String) {
    let error = #expect(throws: RegistryError.self) { try Reference(text) }
    #expect(error?.code == .syntax)
  }

  @Test("a changed blob, a digest that leads elsewhere and a renamed entry are refused")
  func corrupt() throws {
    let toy = try registry.publish(adapter)
    let index = try text("index.json")
    for (found, replacement) in [
      (toy.digest, "sha256:../../../etc/passwd"), ("codi/toy:1.0.0", "codi/toy:1.0.1"), ("{", "["),
    ] {
      try write(index.replacingOccurrences(of: found, with: replacement), "index.json")
      let error = #expect(throws: RegistryError.self) { try registry.list() }
      #expect(error?.code == .corrupt)
    }
    try write(index, "index.json")
    try write("format: 1\n", "blobs/sha256/\(toy.manifest.digest.dropFirst(7))")
    #expect(throws: RegistryError.self) { try registry.manifest(of: toy) }
    try write("zip", "blobs/sha256/\(toy.bundle.digest.dropFirst(7))")
    let error = #expect(throws: RegistryError.self) { try registry.fetch(toy, to: folder.path + "/out.codi") }
    #expect(error?.code == .corrupt)
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/out.codi"))
  }

  @Test("a folder without a layout is not a registry; other people's artifacts in one are left alone")
  func foreign() throws {
    let error = #expect(throws: RegistryError.self) { try BundleRegistry(path: folder.path + "/none") }
    #expect(error?.code == .notFound)
    let image = #"{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:1","size":2}"#
    try write(#"{"schemaVersion":2,"manifests":[\#(image)]}"#, "index.json")
    #expect(try registry.list().isEmpty)
    try registry.publish(adapter)
    #expect(try registry.list().count == 1)
    #expect(try text("index.json").contains("sha256:1\""))
  }

  private func blob(_ digest: String) -> String { "\(registry.path)/blobs/sha256/\(digest.dropFirst(7))" }

  private func text(_ name: String) throws -> String {
    try String(contentsOfFile: "\(registry.path)/\(name)", encoding: .utf8)
  }

  private func json(_ name: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text(name).utf8)) as? [String: Any])
  }

  private func write(_ text: String, _ name: String) throws {
    try Data(text.utf8).write(to: URL(filePath: "\(registry.path)/\(name)"))
  }
}
