import Adapters
import Bundles
import Diffusion
import Distillation
import Foundation
import Networks
import Tensor
import Testing

/// Whole runs on a toy core with the built super-resolution plugin.
@Suite("Adapter training", .serialized, .oneThread) @Compute struct AdapterTrainingTests {
  func withCore<R>(_ body: (_ path: String, _ core: Core) throws -> R) throws -> R {
    try withFolder { path in try body(path, try Core(try Toy.coreBundle(in: path))) }
  }

  func folder(_ path: String, _ name: String) -> RunFolder { RunFolder(at: URL(filePath: "\(path)/\(name)")) }

  @Test("a run stopped and resumed equals one that was not, byte for byte, the target network too")
  func resume() throws {
    try withCore { path, core in
      var recipe = Toy.adapterRecipe()
      recipe.encoder.sees = .conditionAndNoisy
      recipe.distillation.velocity = 1
      recipe.distillation.warmUpSamples = 40
      recipe.distillation.targetDecay = 0.9
      let (whole, parts) = (folder(path, "a"), folder(path, "b"))
      #expect(try Toy.train(recipe, on: core, in: whole) == .finished)
      #expect(try Toy.train(recipe, on: core, in: parts, stopAfter: 3) == .stopped)
      #expect(try Toy.train(recipe, on: core, in: parts, stopAfter: 11) == .stopped)
      #expect(try Toy.train(recipe, on: core, in: parts) == .finished)
      #expect(try parts.open().differences(from: try whole.open()) == [])
      #expect(try parts.lines() == whole.lines())
      let state = try whole.open()
      let names = state.names(below: "extra/")
      #expect(names == state.names(below: "weight/") && !names.isEmpty)
      let lagging = try names.filter { try state.floats("extra/\($0)") != state.floats("weight/\($0)") }
      #expect(lagging == names)
      #expect(state.metadata["core-digest"] == core.digest)
    }
  }

  @Test("a run goes on with the core it was started on, and no other")
  func otherCore() throws {
    try withCore { path, core in
      let run = folder(path, "run")
      try Toy.train(Toy.adapterRecipe(), on: core, in: run, stopAfter: 1)
      // The same network under the same name, trained for one step less.
      var recipe = Toy.coreRecipe(steps: 1)
      recipe.version = "0.2.0"
      let other = folder(path, "core-run")
      try Toy.train(recipe, in: other)
      let packer = RunPacker(other, source: Toy.repository.appending(path: "Plugins/Cores/tiny"), license: Toy.license)
      _ = try packer.packCore(to: "\(path)/other.codi")
      let bundle = try BundleReader(path: "\(path)/other.codi").extract(to: URL(filePath: "\(path)/other"))
      let stranger = try Core(bundle)
      let error = #expect(throws: TrainingError.self) { try Toy.train(Toy.adapterRecipe(), on: stranger, in: run) }
      #expect(error?.reason.contains(core.digest) == true && error?.reason.contains(stranger.digest) == true)
      let packing = #expect(throws: TrainingError.self) {
        try RunPacker(run, source: Toy.repository.appending(path: "Plugins/SuperResolution"), license: Toy.license)
          .packAdapter(core: stranger, library: Toy.library, toolchain: "test", to: "\(path)/a.codi")
      }
      #expect(packing?.reason.contains("demo/toy@0.2.0") == true)
      #expect(!FileManager.default.fileExists(atPath: "\(path)/a.codi"))
    }
  }

  @Test("θ⁻ ← γ θ⁻ + (1 − γ) θ after each step, from a target that starts as the student")
  func movingTarget() throws {
    try withCore { path, core in
      var recipe = Toy.adapterRecipe()
      recipe.distillation.targetDecay = 0.75
      let run = folder(path, "run")
      try Toy.train(recipe, on: core, in: run, stopAfter: 0)
      var before = try run.open()
      for name in before.names(below: "extra/") {
        #expect(try before.floats("extra/\(name)") == before.floats("weight/\(name)"))
      }
      for _ in 0..<3 {
        try Toy.train(recipe, on: core, in: run, stopAfter: 1)
        let after = try run.open()
        for name in after.names(below: "extra/") {
          let (old, new) = (try before.floats("extra/\(name)"), try after.floats("extra/\(name)"))
          let weights = try after.floats("weight/\(name)")
          let expected = zip(old, weights).map { 0.75 * Double($0) + 0.25 * Double($1) }
          // Exact but for the rounding of the sum.
          #expect(
            zip(new, expected).allSatisfy { abs(Double($0) - $1) <= Double(max(abs($0), 1e-30).ulp) }, "\(name)")
        }
        before = after
      }
    }
  }

  @Test("training writes nothing to the core: neither its parameters nor its file")
  func frozenCore() throws {
    try withFolder { path in
      let bundle = try Toy.coreBundle(in: path)
      let digest = try SHA256.hex(ofFile: bundle.weights.path)
      let written = try FileManager.default.attributesOfItem(atPath: bundle.weights.path)[.modificationDate] as? Date
      let core = try Core(bundle)
      let before = core.network.parameters.map { $0.value.floats() }
      #expect(core.network.parameters.allSatisfy { !$0.isTrainable })
      var recipe = Toy.adapterRecipe(steps: 6)
      recipe.distillation.velocity = 1
      try Toy.train(recipe, on: core, in: folder(path, "run"))
      #expect(core.network.parameters.map { $0.value.floats() } == before)
      #expect(core.network.parameters.allSatisfy { !$0.isTrainable })
      #expect(try SHA256.hex(ofFile: bundle.weights.path) == digest)
      let after = try FileManager.default.attributesOfItem(atPath: bundle.weights.path)[.modificationDate] as? Date
      #expect(after == written)
    }
  }

  @Test(
    "at μ = 0 only μ learns from the first step, and after three steps every parameter has moved by its gradient",
    arguments: ConditionEncoderConfiguration.Sees.allCases, ConditionEncoderConfiguration.Blend.allCases)
  func everythingMoves(sees: ConditionEncoderConfiguration.Sees, blend: ConditionEncoderConfiguration.Blend) throws {
    try withCore { path, core in
      var recipe = Toy.adapterRecipe()
      (recipe.encoder.sees, recipe.encoder.blend) = (sees, blend)
      recipe.distillation.velocity = 1
      // Decay moves weights without any gradient, which is not what is asked here.
      recipe.training.optimiser.weightDecay = 0
      let run = folder(path, "run")
      try Toy.train(recipe, on: core, in: run, stopAfter: 0)
      let start = try run.open()
      let names = start.names(below: "weight/")
      #expect(Set(names.filter { $0.hasPrefix("mu.") }) == ["mu.0", "mu.1", "mu.2"])
      for name in names where name.hasPrefix("mu.") {
        #expect(try start.floats("weight/\(name)").allSatisfy { $0 == 0 })
      }
      // da = μ g: while μ is 0 the encoder's gradients are there, and are 0.
      try Toy.train(recipe, on: core, in: run, stopAfter: 1)
      let first = try run.open()
      for name in names {
        let moved = try first.floats("weight/\(name)") != start.floats("weight/\(name)")
        #expect(moved == name.hasPrefix("mu."), "\(name)")
      }
      try Toy.train(recipe, on: core, in: run, stopAfter: 2)
      let third = try run.open()
      for name in names {
        #expect(try third.floats("weight/\(name)") != start.floats("weight/\(name)"), "\(name) never moved")
        #expect(try third.floats("second/\(name)").contains { $0 > 0 }, "\(name) got no gradient")
      }
    }
  }

  @Test("μ has a rate of its own, and |μ| is logged for each level")
  func muRate() throws {
    try withCore { path, core in
      @Compute func mus(_ rate: Float) throws -> [Float] {
        var recipe = Toy.adapterRecipe()
        recipe.muRate = rate
        recipe.training.logEvery = 1
        let run = folder(path, "run-\(rate)")
        try Toy.train(recipe, on: core, in: run, stopAfter: 2)
        let values = try (0..<3).map { try run.open().floats("weight/mu.\($0)")[0] }
        let lines = try run.lines()
        // Measured where the loss was: before the step.
        #expect((0..<3).allSatisfy { lines[0].values["mu-\($0)"] == 0 })
        #expect((0..<3).allSatisfy { (lines[1].values["mu-\($0)"] ?? 0) > 0 })
        return values
      }
      // The first steps of AdamW are of the rate's size, whatever the gradient.
      let (slow, quick) = (try mus(1), try mus(5))
      for (a, b) in zip(slow, quick) { #expect(abs(b / a) > 3 && abs(b / a) < 7, "\(a), \(b)") }
    }
  }

  @Test("the paper draws one time for the batch, stratified times cover all quarters")
  func times() throws {
    try withCore { path, core in
      for (times, quarters) in [(DistillationOptions.Times.common, 1), (.stratified, 4)] {
        var recipe = Toy.adapterRecipe()
        recipe.distillation.times = times
        recipe.training.logEvery = 1
        let run = folder(path, times.rawValue)
        try Toy.train(recipe, on: core, in: run, stopAfter: 6)
        let found = try run.lines().map { $0.values.keys.filter { $0.hasPrefix("guidance-t") }.sorted() }
        #expect(found.allSatisfy { $0.count == quarters }, "\(found)")
        if times == .common { #expect(Set(found).count > 1, "and another one at each step") }
      }
    }
  }

  @Test("self-consistency joins after the warm-up and rises to its weight")
  func warmUp() throws {
    try withCore { path, core in
      var recipe = Toy.adapterRecipe(steps: 12)
      recipe.training.logEvery = 1
      recipe.distillation.consistency = 3
      recipe.distillation.warmUpSamples = 32
      let run = folder(path, "run")
      try Toy.train(recipe, on: core, in: run)
      for (index, line) in try run.lines().enumerated() {
        let weight = 3 * min(1, max(0, Double(index * 8 - 32) / 32))
        let (loss, guidance) = (try #require(line.values["loss"]), try #require(line.values["guidance"]))
        let consistency = line.values["consistency"]
        #expect((consistency == nil) == (weight == 0), "step \(index)")
        #expect(abs(loss - guidance - weight * (consistency ?? 0)) < 1e-5 * loss, "step \(index)")
      }
    }
  }

  @Test("the conditional v-loss falls below the core's own; a curve and a sheet come with it")
  func learns() throws {
    try withCore { path, core in
      var recipe = Toy.adapterRecipe(steps: 120, batch: 16)
      recipe.encoder.sees = .conditionAndNoisy
      recipe.encoder.blend = .channel
      recipe.muRate = 5
      recipe.training.rate = 6e-3
      recipe.distillation.guidance = 0
      recipe.distillation.velocity = 1
      recipe.distillation.times = .stratified
      recipe.distillation.warmUpSamples = 960
      recipe.distillation.gap = 0.1
      recipe.distillation.earliest = 0.02
      recipe.distillation.predictor = .ddim
      recipe.distillation.space = .signal
      let run = folder(path, "run")
      try Toy.train(recipe, on: core, in: run)
      let losses = try run.lines().compactMap { $0.values["velocity"] }
      let (first, last) = (losses.prefix(2).reduce(0, +) / 2, losses.suffix(8).reduce(0, +) / 8)
      #expect(last < 0.97 * first, "from \(first) to \(last)")
      #expect(try run.lines().last?.values["consistency"] != nil)
      let sheets = try FileManager.default.contentsOfDirectory(atPath: run.url.appending(path: "sheets").path)
      #expect(sheets == ["000001920.png"])
      #expect(try String(contentsOf: run.lossCurve, encoding: .utf8).contains("<polyline"))
    }
  }

  @Test("sizes that network and task cannot take are refused before the first step, without a folder")
  func sizes() throws {
    try withCore { path, core in
      var recipe = Toy.adapterRecipe()
      recipe.data.crops.sizes = [.init(size: 18, weight: 1, batch: 4)]
      let error = #expect(throws: TrainingError.self) { try Toy.train(recipe, on: core, in: folder(path, "run")) }
      #expect(error?.code == .recipe && error?.reason.contains("18 is no multiple of 4") == true)
      #expect(!FileManager.default.fileExists(atPath: "\(path)/run"))
    }
  }
}
