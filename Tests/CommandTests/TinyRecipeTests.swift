import Bundles
import Foundation
import Imaging
import Registry
import TestSupport
import Testing

/// A core and the super-resolution task on it, with few samples; `TutorialTests` goes the way of a new task.
@Suite("From recipe to picture") struct TinyRecipeTests {
  /// Copies a recipe of the repository with another number of samples.
  private func shorten(_ recipe: String, samples: Int, to path: String) throws {
    var text = try String(contentsOf: Toy.root.appending(path: recipe), encoding: .utf8)
    let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("  samples: ") })
    text = text.replacingOccurrences(of: line, with: "  samples: \(samples)")
    try Data(text.utf8).write(to: URL(filePath: path))
  }

  @Test("a core and an adapter are trained, packed, published, installed and used", .timeLimit(.minutes(10)))
  func tutorial() throws {
    let shop = try Workshop(published: false)
    let folder = shop.folder
    let (license, plugins) = (Toy.root.appending(path: "LICENSE").path, Toy.root.appending(path: "Plugins").path)

    try shorten("Plugins/Cores/tiny/recipe.yaml", samples: 640, to: folder("core.yaml"))
    try shop.codi("train", "core", "core.yaml", "--run", "core", "--quiet").expect(0)
    try shop.codi(
      "pack", "core", "--source", "\(plugins)/Cores/tiny", "--license", license, "--out", "core.codi"
    ).expect(0)
    try shop.codi("publish", "core.codi", "--registry", "registry").expect(0)
    try shop.codi("install", "demo/tiny").expect(0)

    _ = try folder.make("task")
    try FileManager.default.copyItem(
      atPath: "\(plugins)/SuperResolution/manifest.yaml", toPath: folder("task/manifest.yaml"))
    try shorten("Plugins/SuperResolution/tiny.yaml", samples: 960, to: folder("task/recipe.yaml"))
    try shop.codi("train", "adapter", "task/recipe.yaml", "--run", "adapter", "--quiet").expect(0)
    let build = Process()
    build.executableURL = Toy.root.appending(path: ".ci/build-plugin")
    build.arguments = ["SuperResolution", folder("built")]
    try build.run()
    build.waitUntilExit()
    try #require(build.terminationStatus == 0)
    let pack = [
      "pack", "adapter", "--source", "\(plugins)/SuperResolution", "--library", "built/libSuperResolution.so",
      "--license", license,
    ]
    // A draft is packed and measured; published it is once its figures are told.
    let draft = try shop.run(pack + ["--out", "draft.codi"]).expect(0)
    #expect(draft.error.contains("not to be published yet, B005"), "\(draft.error)")
    let refused = try shop.codi("publish", "draft.codi", "--registry", "registry").expect(4)
    #expect(refused.error.contains("B005") && refused.error.contains("codi bundle lint draft.codi"))
    try shop.codi("bundle", "lint", "draft.codi").expect(1)
    try shop.codi("install", "./draft.codi").expect(0)
    try Pictures.write(folder("original.png"), 96, 64)
    let figures = try shop.codi(
      "evaluate", "original.png", "--adapter", "tiny-super-resolution", "--suite", "drawn", "--steps", "4", "--seeds",
      "1",
      "--json", "--quiet"
    ).expect(0)
    try Data(figures.out.utf8).write(to: URL(filePath: folder("figures.ndjson")))
    try shop.run(pack + ["--metrics", "figures.ndjson", "--out", "adapter.codi"]).expect(0)
    let rules = try shop.codi("bundle", "lint", "adapter.codi", "--json").expect(0).objects()
    #expect(rules.count == 7 && rules.allSatisfy { $0["outcome"] as? String == "passed" }, "\(rules)")
    let dry = try shop.codi("publish", "adapter.codi", "--registry", "registry", "--dry-run").expect(0)
    #expect(dry.error.contains("would publish demo/tiny-super-resolution@0.1.0"))
    #expect(try shop.codi("list", "--registry", "registry", "--json").objects().count == 1)
    try shop.codi("publish", "adapter.codi", "--registry", "registry").expect(0)
    let known = try shop.codi("publish", "adapter.codi", "--registry", "registry", "--dry-run").expect(0)
    #expect(known.error.contains("is published already"))

    // On another machine: nothing but the registry.
    let other = try Workshop(published: false)
    try FileManager.default.copyItem(atPath: folder("registry"), toPath: other.folder("registry"))
    try other.codi("install", "tiny-super-resolution").expect(0)
    let info = try other.codi("info", "tiny-super-resolution", "--json").expect(0).objects()
    #expect(info.first?["samples-seen"] as? Int == 960 && info.first?["core"] as? String == "demo/tiny")
    try Pictures.write(other.folder("small.png"), 24, 16)
    try other.codi("convert", "small.png", "--adapter", "tiny-super-resolution", "--out", "out").expect(0)
    let (before, after) = (try readPicture(other.folder("small.png")), try readPicture(other.folder("out/small.png")))
    #expect(after.width == 96 && after.height == 64)
    // However little was learnt, reducing the result gives the input again.
    var error: Float = 0
    for y in 4..<12 {
      for x in 4..<20 {
        for c in 0..<3 {
          let block = (0..<16).map { after.pixels[((4 * y + $0 / 4) * 96 + 4 * x + $0 % 4) * 3 + c] }
          error += abs(block.reduce(0, +) / 16 - before.pixels[(y * 24 + x) * 3 + c]) / Float(8 * 16 * 3)
        }
      }
    }
    #expect(error < 0.05, "\(error)")
  }

  @Test("depth-to-image goes from its tiny recipe to a picture: trained on scenes, packed, installed, used")
  func depth() throws {
    let shop = try Workshop()
    let folder = shop.folder
    let task = Toy.root.appending(path: "Plugins/DepthToImage").path
    try shop.codi("install", "toy/core").expect(0)
    _ = try folder.make("task")
    try FileManager.default.copyItem(atPath: "\(task)/manifest.yaml", toPath: folder("task/manifest.yaml"))
    try shorten("Plugins/DepthToImage/tiny.yaml", samples: 320, to: folder("task/recipe.yaml"))
    var text = try String(contentsOfFile: folder("task/recipe.yaml"), encoding: .utf8)
    text = text.replacing("core: demo/tiny", with: "core: toy/core")
    try Data(text.utf8).write(to: URL(filePath: folder("task/recipe.yaml")))

    // Without depth there is nothing to learn from: told before the first step.
    _ = try folder.make("wrong")
    try FileManager.default.copyItem(atPath: "\(task)/manifest.yaml", toPath: folder("wrong/manifest.yaml"))
    try Data(text.replacing("scenes: 1, dead-leaves: 0", with: "scenes: 1, dead-leaves: 1").utf8)
      .write(to: URL(filePath: folder("wrong/recipe.yaml")))
    let refused = try shop.codi("train", "adapter", "wrong/recipe.yaml", "--run", "wrong", "--quiet")
    #expect(refused.code != 0 && refused.error.contains("depth of every pixel"), "\(refused.error)")
    #expect(!FileManager.default.fileExists(atPath: folder("runs/wrong")))

    try shop.codi("train", "adapter", "task/recipe.yaml", "--run", "depth", "--quiet").expect(0)
    try shop.codi(
      "pack", "depth", "--source", task, "--library", Toy.products.appending(path: "libDepthToImage.so").path,
      "--license", Toy.root.appending(path: "LICENSE").path, "--out", "depth.codi"
    ).expect(0)
    try shop.codi("install", "./depth.codi").expect(0)
    try Pictures.write(folder("depth.png"), 80, 48)
    try shop.codi("convert", "depth.png", "--adapter", "tiny-depth-to-image", "--out", "out").expect(0)
    let made = try readPicture(folder("out/depth.png"))
    #expect(made.width == 32 && made.height == 32 && Set(made.pixels).count > 100)
  }
}
