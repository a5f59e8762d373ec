import Bundles
import Foundation
import Registry
import TestSupport
import Testing

@Suite("Pipelines with a lock file") struct LockTests {
  private let shop: Workshop

  init() throws {
    shop = try Workshop()
    try shop.codi("install", "enlarge").expect(0)
  }

  private func convert(_ pictures: String, _ out: String, _ more: String...) throws -> Workshop.Outcome {
    try shop.run(["convert", pictures, "--adapter", "enlarge", "--steps", "1", "--out", out] + more)
  }

  @Test("convert makes the file and says so, then obeys it; install brings back what it pins")
  func pipeline() throws {
    let pictures = try shop.pictures("in", count: 1)
    let dry = try convert(pictures, "out-0", "--lock", "codi.lock", "--dry-run").expect(0)
    #expect(!dry.error.contains("codi.lock") && !shop.folder.names().contains("codi.lock"))
    let first = try convert(pictures, "out-1", "--lock", "codi.lock").expect(0)
    #expect(first.error.contains("codi.lock: pinned toy/enlarge@1.0.0, toy/core@1.0.0 (the file is new)"))
    let written = try shop.bytes("codi.lock")

    // A newer version is there and installed; the pipeline stays with the pinned one.
    try Toy.packAdapter(
      core: shop.folder("core.codi"), to: shop.folder("newer.codi"), version: SemanticVersion(1, 1, 0),
      summary: "Enlarges four times, otherwise.")
    try BundleRegistry(path: shop.folder("registry")).publish(shop.folder("newer.codi"))
    try shop.codi("install", "enlarge").expect(0)
    let events = try convert(pictures, "out-2", "--lock", "codi.lock", "--json").expect(0).objects()
    #expect(!events.contains { $0["event"] as? String == "locked" })
    #expect(try shop.bytes("codi.lock") == written && shop.bytes("out-1/p0.png") == shop.bytes("out-2/p0.png"))

    try shop.codi("remove", "enlarge@1.0.0").expect(0)
    let missing = try convert(pictures, "out-3", "--lock", "codi.lock").expect(3)
    #expect(missing.error.contains("codi install --lock codi.lock"), "\(missing.error)")
    let installed = try shop.codi("install", "--lock", "codi.lock", "--json").expect(0).objects()
    #expect(installed.map { $0["version"] as? String } == ["1.0.0", "1.0.0"])
    try convert(pictures, "out-3", "--lock", "codi.lock").expect(0)
    #expect(try shop.bytes("out-3/p0.png") == shop.bytes("out-1/p0.png"))
    let other = try convert(pictures, "out-4", "--lock", "codi.lock", "--adapter", "sharpen").expect(4)
    #expect(other.error.contains("codi install sharpen --lock codi.lock"), "\(other.error)")
  }

  @Test("install with names pins what it installs, adds to the file, and keeps what is there")
  func install() throws {
    let none = try shop.codi("install", "--lock", "none.lock").expect(3)
    #expect(none.error.contains("codi install NAME --lock none.lock"))
    try shop.codi("install").expect(2)
    let made = try shop.codi("install", "core", "--lock", "codi.lock", "--json").expect(0).objects()
    #expect(made.last?["event"] as? String == "locked" && made.last?["pinned"] as? [String] == ["toy/core@1.0.0"])
    let more = try shop.codi("install", "enlarge", "--lock", "codi.lock", "--json").expect(0).objects()
    #expect(more.last?["pinned"] as? [String] == ["toy/enlarge@1.0.0"])
    let again = try shop.codi("install", "enlarge", "core", "--lock", "codi.lock", "--json").expect(0).objects()
    #expect(again.map { $0["event"] as? String } == ["installed", "installed"])
    try shop.codi("install", "enlarge@^2", "--lock", "codi.lock").expect(4)
  }

  @Test("another machine gets the same bundles or a refusal that names both digests")
  func elsewhere() throws {
    try shop.codi("install", "enlarge", "--lock", "codi.lock").expect(0)
    let other = try Workshop()
    try FileManager.default.copyItem(atPath: shop.folder("codi.lock"), toPath: other.folder("codi.lock"))
    try other.codi("install", "--lock", "codi.lock").expect(0)
    let hostile = try Workshop(published: false)
    try Toy.packCore(to: hostile.folder("core.codi"))
    try Toy.packAdapter(core: hostile.folder("core.codi"), to: hostile.folder("bad.codi"), summary: "Something else.")
    let registry = try BundleRegistry(path: hostile.folder("registry"), create: true)
    try registry.publish(hostile.folder("core.codi"))
    try registry.publish(hostile.folder("bad.codi"))
    try FileManager.default.copyItem(atPath: shop.folder("codi.lock"), toPath: hostile.folder("codi.lock"))
    let refused = try hostile.codi("install", "--lock", "codi.lock").expect(4)
    let pinned = "sha256:" + (try SHA256.hex(ofFile: shop.folder("adapter.codi")))
    let offered = "sha256:" + (try SHA256.hex(ofFile: hostile.folder("bad.codi")))
    #expect(refused.error.contains(pinned) && refused.error.contains(offered), "\(refused.error)")
    #expect(try hostile.codi("list", "--json").objects().isEmpty)
  }
}
