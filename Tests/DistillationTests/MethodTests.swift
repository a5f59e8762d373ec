import Adapters
import Bundles
import Diffusion
import Distillation
import Foundation
import Networks
import Tensor
import Testing

/// The methods that CoDi is compared with, in whole runs on a toy core.
@Suite("Methods", .serialized, .oneThread) @Compute struct MethodTests {
  func run(_ path: String, _ name: String = "run") -> RunFolder { RunFolder(at: URL(filePath: "\(path)/\(name)")) }

  func recipe(_ method: TrainingMethod, steps: Int = 8) -> AdapterRecipe {
    var recipe = Toy.adapterRecipe(steps: steps)
    recipe.method = method
    recipe.training.logEvery = 1
    return recipe
  }

  @Test(
    "every method runs to its end within the samples of the recipe, and leaves the core alone",
    arguments: TrainingMethod.allCases)
  func runs(method: TrainingMethod) throws {
    try withFolder { path in
      let core = try Core(try Toy.coreBundle(in: path))
      let before = core.network.parameters.map { $0.value.floats() }
      let (whole, parts) = (run(path), run(path, "parts"))
      let recipe = recipe(method)
      #expect(try AdapterRecipe(parsing: recipe.yaml(), source: "recipe.yaml") == recipe)
      #expect(try Toy.train(recipe, on: core, in: whole) == .finished)
      #expect(core.network.parameters.map { $0.value.floats() } == before)
      let stages = try ["distil", "condition"].map { whole.url.appending(path: $0) }
        .filter { FileManager.default.fileExists(atPath: $0.path) }.map { try RunFolder(at: $0).open() }
      let samples = try (stages + [whole.open()]).compactMap { $0.metadata["samples"].flatMap { Int($0) } }
      #expect(
        samples.reduce(0, +) == 64 && stages.count == (method.rawValue.contains("then") || method == .lcm ? 1 : 0))
      #expect(try whole.lines().allSatisfy { $0.values.values.allSatisfy(\.isFinite) })
      // Stopped in the first stage, between the two, and in the second.
      for steps in [1, 3, 2] { try Toy.train(recipe, on: core, in: parts, stopAfter: steps) }
      #expect(try Toy.train(recipe, on: core, in: parts) == .finished)
      #expect(try parts.open().differences(from: try whole.open()) == [])
      let hasOwnCore = FileManager.default.fileExists(atPath: whole.ownCore.path)
      #expect(hasOwnCore == [.progressiveThenCondition, .consistencyThenCondition, .randomCore].contains(method))
    }
  }

  @Test(
    "the second stage starts from the averaged weights of the first",
    arguments: [TrainingMethod.conditionThenProgressive, .conditionThenConsistency, .lcm])
  func secondStage(method: TrainingMethod) throws {
    try withFolder { path in
      let core = try Core(try Toy.coreBundle(in: path))
      let folder = run(path)
      // The fourth step is the last of the first stage.
      try Toy.train(recipe(method), on: core, in: folder, stopAfter: 4)
      let (first, second) = (try RunFolder(at: folder.url.appending(path: "condition")).open(), try folder.open())
      #expect(second.metadata["samples"] == "0")
      for name in second.names(below: "weight/") {
        let average = try first.floats("average/\(name)")
        #expect(try second.floats("weight/\(name)") == average && average != first.floats("weight/\(name)"), "\(name)")
        #expect(try second.floats("teacher/\(name)") == average, "the teacher is the first stage's result")
      }
      #expect(try RunFolder(at: folder.url.appending(path: "condition")).lines()[1].values["consistency"] == nil)
    }
  }

  @Test(
    "a distilled core is steered by a copy of itself",
    arguments: [TrainingMethod.progressiveThenCondition, .consistencyThenCondition])
  func distilledCore(method: TrainingMethod) throws {
    try withFolder { path in
      let core = try Core(try Toy.coreBundle(in: path))
      let folder = run(path)
      try Toy.train(recipe(method), on: core, in: folder, stopAfter: 4)
      let (first, second) = (try RunFolder(at: folder.url.appending(path: "distil")).open(), try folder.open())
      let name = "encoder.down.0.block.0.conv2.weight"
      #expect(try first.floats("average/core.\(name)") == second.floats("weight/\(name)"))
      if method == .consistencyThenCondition {
        #expect(try first.floats("average/core.\(name)") != first.floats("teacher/core.\(name)"))
      }
      #expect(first.names.allSatisfy { !$0.contains("mu.") }, "the core is distilled without a condition")
      #expect(second.names(below: "weight/").allSatisfy { !$0.hasPrefix("core.") }, "the core is frozen then")
      try Toy.train(recipe(method), on: core, in: folder)
      let own = try SafetensorsFile(path: folder.ownCore.path)
      #expect(try own.floats(name) == first.floats("average/core.\(name)"))
    }
  }

  @Test("the regressor sees no noise: whatever the seed, the same pictures make the same losses")
  func regression() throws {
    try withFolder { path in
      let core = try Core(try Toy.coreBundle(in: path))
      var losses: [[Double?]] = []
      for seed in [1, 2] as [UInt64] {
        var recipe = recipe(.regression)
        recipe.training.seed = seed
        // The task's own degradation is drawn from the seed, too; a fixed one is asked for.
        recipe.encoder.sees = .condition
        recipe.training.rate = 1e-12
        try Toy.train(recipe, on: core, in: run(path, "\(seed)"), stopAfter: 2)
        let lines = try run(path, "\(seed)").lines()
        #expect(lines.allSatisfy { $0.values["guidance-t3"] == $0.values["guidance"] }, "always at full noise")
        #expect(
          lines.allSatisfy {
            let difference: Double = ($0.values["loss"] ?? 0) - ($0.values["guidance"] ?? 1)
            return abs(difference) < 1e-6 && $0.values["consistency"] == nil
          })
        losses.append(lines.map { $0.values["loss"] })
      }
      // At μ = 0 the core says the same of no picture at all, so the loss is the pictures' alone.
      #expect(losses[0][0] == losses[1][0])
    }
  }

  @Test("a random core keeps the size of each tensor and nothing else")
  func randomCore() throws {
    try withFolder { path in
      let core = try Core(try Toy.coreBundle(in: path))
      let folder = run(path)
      try Toy.train(recipe(.randomCore), on: core, in: folder)
      let own = try SafetensorsFile(path: folder.ownCore.path)
      for parameter in core.network.parameters where parameter.value.count > 200 {
        func moments(_ x: [Float]) -> (Double, Double) {
          let values = x.map(Double.init)
          let mean: Double = values.reduce(0, +) / Double(x.count)
          let squares: Double = values.map { ($0 - mean) * ($0 - mean) }.reduce(0, +)
          return (mean, (squares / Double(x.count)).squareRoot())
        }
        let (theirs, mine) = (parameter.value.floats(), try own.floats(parameter.name))
        let ((m, s), (n, r)) = (moments(theirs), moments(mine))
        let (spread, shift): (Double, Double) = (abs(r / s - 1), abs(n - m) / s)
        #expect(spread < 0.2 && shift < 0.3, "\(parameter.name)")
        let products = zip(theirs, mine).map { a, b -> Double in (Double(a) - m) * (Double(b) - n) }
        let correlation: Double = products.reduce(0, +) / (Double(mine.count) * s * r)
        #expect(abs(correlation) < 0.3, "\(parameter.name)")
      }
    }
  }
}
