import Bundles
import Foundation
import Registry
import TestSupport
import Testing

@Suite("Exit codes and messages") struct ExitCodeTests {
  private let shop: Workshop

  init() throws { shop = try Workshop.shared.get() }

  /// The message is one for people, on stderr, and says what to do: it holds `remedy`.
  private func refused(
    _ code: Int32, _ remedy: String, _ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let outcome = try shop.run(arguments) { _ in }.expect(code, sourceLocation: sourceLocation)
    #expect(outcome.out.isEmpty, "\(outcome.command)", sourceLocation: sourceLocation)
    #expect(outcome.error.contains(remedy), "\(outcome.command): \(outcome.error)", sourceLocation: sourceLocation)
  }

  @Test("2: what the user typed makes no sense")
  func usage() throws {
    let picture = "\(try shop.pictures("usage", count: 1))/p0.png"
    try refused(2, "Usage: codi", "nonsense")
    try refused(2, "Usage: codi convert", "convert", "--nonsense")
    try refused(2, "--help", "convert", picture)
    try refused(2, "png", "convert", picture, "--adapter", "enlarge", "--out", "o", "--format", "bmp")
    try refused(2, "f32", "convert", picture, "--adapter", "enlarge", "--out", "o", "--precision", "f64")
    try refused(2, "--steps 4", "convert", picture, "--adapter", "enlarge", "--out", "o", "--steps", "0")
    try refused(2, "strength", "convert", picture, "--adapter", "enlarge", "--out", "o", "--set", "colour=1")
    try refused(2, "from 0.0 to 1.0", "convert", picture, "--adapter", "enlarge", "--out", "o", "--set", "strength=2")
    try refused(2, "super-resolution@^1.2", "convert", picture, "--adapter", "En Large", "--out", "o")
    try refused(2, "another folder", "convert", picture, "--adapter", "enlarge", "--out", "usage")
    try refused(2, "two folders", "convert", picture, picture, "--adapter", "enlarge", "--out", "o")
    #expect(!shop.folder.names().contains("o"), "nothing was made")
  }

  @Test("3: what was named is not there")
  func notFound() throws {
    let empty = try shop.folder.make("empty")
    try refused(3, "Check the path", "convert", "missing.png", "--adapter", "enlarge", "--out", "o")
    try refused(3, "hold avif", "convert", empty, "--adapter", "enlarge", "--out", "o")
    let picture = "\(try shop.pictures("found", count: 1))/p0.png"
    try refused(3, "codi install sharpen", "convert", picture, "--adapter", "sharpen", "--out", "o")
    try refused(3, "codi list --available", "install", "sharpen")
    try refused(3, "Check the path", "install", "./missing.codi")
    try refused(3, "codi publish", "install", "enlarge", "--registry", "missing")
    try refused(3, "codi list --available", "info", "sharpen")
    try refused(3, "codi install", "remove", "sharpen")
  }

  @Test("4: a bundle that does not fit is refused")
  func refusals() throws {
    let shop = try Workshop()
    try shop.codi("install", "enlarge").expect(0)
    let used = try shop.codi("remove", "core").expect(4)
    #expect(used.error.contains("codi remove toy/enlarge@1.0.0"), "\(used.error)")

    // The same version with other contents.
    try Toy.packAdapter(core: shop.folder("core.codi"), to: shop.folder("other.codi"), summary: "Another.")
    #expect(try shop.codi("publish", "other.codi", "--registry", "registry").expect(4).error.contains("version"))
    #expect(try shop.codi("install", "./other.codi").expect(4).error.contains("A version never changes"))
    #expect(try shop.codi("list", "--json").objects().count == 2, "what was there is still there")

    // Its core is nowhere.
    let alone = try Workshop(published: false)
    try FileManager.default.copyItem(atPath: shop.folder("adapter.codi"), toPath: alone.folder("adapter.codi"))
    #expect(try alone.codi("install", "./adapter.codi").expect(4).error.contains("Install that core"))
    #expect(!FileManager.default.fileExists(atPath: "\(alone.store)/index.json"))
  }

  @Test("5: bytes that are not what they should be")
  func badInput() throws {
    let broken = shop.folder("broken.codi")
    try Data("PK no zip".utf8).write(to: URL(filePath: broken))
    for command in ["install", "info"] { try refused(5, "broken.codi", command, broken) }
    try refused(5, "broken.codi", "publish", broken, "--registry", "registry")
    let picture = "\(try shop.pictures("good", count: 1))/p0.png"
    try refused(5, "can be written", "convert", picture, "--adapter", "enlarge", "--out", "\(broken)/inside")
    try refused(5, "can be written", "convert", picture, "--adapter", "enlarge", "--out", broken)
    try refused(5, "can be written", "convert", picture, "--adapter", "enlarge", "--out", "/proc/none/here")
  }

  @Test("1: some pictures failed; each is named once, with its reason, and the others are there")
  func someFailed() throws {
    let folder = try shop.pictures("mixed", count: 2)
    try Data("no picture".utf8).write(to: URL(filePath: "\(folder)/p00.png"))
    let outcome = try shop.codi("convert", folder, "--adapter", "enlarge", "--out", "mixed-out").expect(1)
    #expect(outcome.out.isEmpty)
    #expect(outcome.error.components(separatedBy: "mixed/p00.png").count == 2, "\(outcome.error)")
    #expect(outcome.error.contains("converted 2 of 3 into mixed-out"))
    #expect(shop.results("mixed-out") == ["p0.png", "p1.png"])
  }
}
