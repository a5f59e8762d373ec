import Adapters
import Bundles
import Distillation
import Foundation
import Registry
import Tensor
import Testing

@Suite struct DepthFeedTests {
  func scenes(_ size: Int = 16) -> CropFeedOptions {
    var options = CropFeedOptions()
    (options.mixture.deadLeaves, options.mixture.gradients, options.mixture.glyphEdges) = (0, 0, 0)
    (options.mixture.photographs, options.mixture.scenes) = (0, 1)
    options.sizes = [.init(size: size, weight: 1, batch: 5)]
    return options
  }

  @Test("a feed with depth has the scenes of one without, and their depths")
  func sameScenes() throws {
    let feed = try CropFeed(scenes(), photographs: nil, hasDepth: true)
    let plain = try CropFeed(scenes(), photographs: nil)
    for step in 0..<4 {
      let batch = feed.batch(step: step)
      #expect(batch.pixels == plain.batch(step: step).pixels)
      #expect(plain.batch(step: step).depth == nil)
      let depth = try #require(batch.depth)
      for sample in 0..<5 {
        // One number is drawn for the kind of picture before the scene is.
        var random = Philox(seed: 1, step: step, sample: sample)
        _ = random.uniform()
        var (pixels, expected) = ([Float](repeating: 0, count: 768), [Float](repeating: 0, count: 256))
        pixels.withUnsafeMutableBufferPointer { pixels in
          expected.withUnsafeMutableBufferPointer { Scenes.draw(size: 16, using: &random, into: pixels, depth: $0) }
        }
        #expect(Array(depth[sample * 256..<(sample + 1) * 256]) == expected)
      }
    }
  }

  @Test("pictures without depth are refused by name, and so are photographs")
  func refused() throws {
    var drawn = scenes()
    drawn.mixture.gradients = 0.1
    let error = #expect(throws: DataError.self) { try CropFeed(drawn, photographs: nil, hasDepth: true) }
    #expect(error?.code == .options && error?.reason.contains("other drawn pictures") == true)
    let photographed = #expect(throws: DataError.self) {
      try CropFeed(scenes(), photographs: try photographs(), hasDepth: true)
    }
    #expect(photographed?.reason.contains("photographs") == true)
    #expect(photographed?.remedy.contains("scenes: 1") == true)
  }

  @Test("a recipe with photographs for a task of depth is refused before a picture is read or a folder made")
  @Compute func recipeRefused() throws {
    try withFolder { path in
      var recipe = Toy.adapterRecipe()
      recipe.data.crops = scenes()
      recipe.data.photographs = [PhotographSource(path: "\(path)/nothing.tar")]
      let run = RunFolder(at: URL(filePath: "\(path)/run"))
      let core = try Core(try Toy.coreBundle(in: path))
      let library = try PluginLibrary(
        path: Toy.library.path, abi: PluginLibrary.abi, task: "super-resolution", halo: nil)
      let plugin = try TaskPlugin(library)
      let error = #expect(throws: DataError.self) {
        try AdapterTrainer(
          recipe, core: core, plugin: plugin, inputs: [.init(name: "depth", kind: .depth)], scale: 1, in: run)
      }
      #expect(error?.code == .options && error?.reason.contains("photographs") == true)
      #expect(!FileManager.default.fileExists(atPath: run.url.path))
    }
  }
}
