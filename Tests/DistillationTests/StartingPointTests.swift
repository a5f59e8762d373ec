import Adapters
import Bundles
import Distillation
import Foundation
import Tensor
import Testing

@Suite("Training from published weights", .serialized, .oneThread) @Compute struct StartingPointTests {
  /// The toy core's bundle has seen 200 steps of 16 pictures.
  let before = 3200

  func run(_ path: String, _ name: String = "run") -> RunFolder { RunFolder(at: URL(filePath: "\(path)/\(name)")) }

  func pack(_ run: RunFolder, to path: String) throws -> Manifest {
    let source = Toy.repository.appending(path: "Plugins/Cores/tiny")
    return try RunPacker(run, source: source, license: Toy.license).packCore(to: path)
  }

  @Test("the run folder and the manifest say what the weights are and what they had seen, over several bundles")
  func recorded() throws {
    try withFolder { path in
      let bundle = try Toy.coreBundle(in: path)
      let (first, second) = (self.run(path, "first"), self.run(path, "second"))
      try Toy.train(Toy.coreRecipe(), in: first, from: try StartingPoint(bundle), stopAfter: 2)
      let origin = Manifest.Training.Origin(
        name: "demo/toy", version: SemanticVersion(0, 1, 0), weightsSHA256: bundle.manifest.weights.sha256,
        samplesSeen: before)
      #expect(try first.origin() == origin)
      let packed = try pack(first, to: "\(path)/first.codi")
      #expect(packed.training.samplesSeen == 16 && packed.training.from == origin)
      #expect(packed.training.samplesInAll == before + 16)

      let next = try BundleReader(path: "\(path)/first.codi").extract(to: URL(filePath: "\(path)/first-bundle"))
      #expect(next.manifest.training == packed.training)
      try Toy.train(Toy.coreRecipe(), in: second, from: try StartingPoint(next), stopAfter: 1)
      #expect(try second.origin()?.samplesSeen == before + 16)
      #expect(try pack(second, to: "\(path)/second.codi").training.samplesInAll == before + 24)
    }
  }

  @Test("a run from fresh weights says nothing of a start, also where an earlier run in its folder had one")
  func fresh() throws {
    try withFolder { path in
      let run = self.run(path)
      try Toy.train(
        Toy.coreRecipe(), in: run, from: try StartingPoint(try Toy.coreBundle(in: path)), stopAfter: 1)
      try FileManager.default.removeItem(at: run.checkpoint)
      try Toy.train(Toy.coreRecipe(), in: run, stopAfter: 1)
      #expect(try run.origin() == nil)
      let packed = try pack(run, to: "\(path)/a.codi")
      #expect(packed.training.from == nil && packed.training.samplesInAll == 8)
    }
  }

  @Test("a resumed run keeps its start; other weights are refused, and nothing changes")
  func resumed() throws {
    try withFolder { path in
      let (run, other) = (self.run(path), self.run(path, "other"))
      let bundle = try Toy.coreBundle(in: path)
      try Toy.train(Toy.coreRecipe(), in: run, from: try StartingPoint(bundle), stopAfter: 1)
      let origin = try run.origin()
      try Toy.train(Toy.coreRecipe(), in: run, stopAfter: 1)
      #expect(try run.origin() == origin)
      try Toy.train(Toy.coreRecipe(), in: other, stopAfter: 1)
      _ = try pack(other, to: "\(path)/other.codi")
      let wrong = try BundleReader(path: "\(path)/other.codi").extract(to: URL(filePath: "\(path)/other-bundle"))
      let checkpoint = try SHA256.hex(ofFile: run.checkpoint.path)
      let error = #expect(throws: TrainingError.self) {
        try Toy.train(Toy.coreRecipe(), in: run, from: try StartingPoint(wrong))
      }
      #expect(error?.code == .run && error?.location == run.start.path, "\(error?.description ?? "")")
      #expect(try SHA256.hex(ofFile: run.checkpoint.path) == checkpoint)
      #expect(try run.origin() == origin)
    }
  }

  @Test("a run that did not record its start gets it when it is resumed; a finished one is else left as it is")
  func older() throws {
    try withFolder { path in
      let run = self.run(path)
      let start = try StartingPoint(try Toy.coreBundle(in: path))
      try Toy.train(Toy.coreRecipe(steps: 3), in: run, from: start)
      try FileManager.default.removeItem(at: run.start)
      let names = try FileManager.default.subpathsOfDirectory(atPath: run.url.path).sorted()
      func state() throws -> [String: Date] {
        var state: [String: Date] = [:]
        for name in names where name != "recipe.yaml" {
          let file = run.url.appending(path: name)
          state[name] = try FileManager.default.attributesOfItem(atPath: file.path)[.modificationDate] as? Date
        }
        return state
      }
      let before = try state()
      var recipe = Toy.coreRecipe(steps: 3)
      recipe.training.samplesBefore = 5000
      #expect(try Toy.train(recipe, in: run, from: start) == .finished)
      #expect(try state() == before)
      #expect(
        try FileManager.default.subpathsOfDirectory(atPath: run.url.path).sorted() == (names + ["start.yaml"]).sorted())
      let packed = try pack(run, to: "\(path)/a.codi")
      #expect(packed.training.samplesSeen == 24 && packed.training.samplesInAll == 5024)
      #expect(packed.training.from?.name == "demo/toy")
    }
  }

  @Test("samples-before counts what the manifest does not, never less, and never without weights")
  func samplesBefore() throws {
    try withFolder { path in
      let run = self.run(path)
      let start = try StartingPoint(try Toy.coreBundle(in: path))
      var recipe = Toy.coreRecipe()
      recipe.training.samplesBefore = before - 1
      let less = #expect(throws: TrainingError.self) { try Toy.train(recipe, in: run, from: start) }
      #expect(less?.location == "training.samples-before" && less?.reason.contains("\(before)") == true)
      recipe.training.samplesBefore = before + 1
      let none = #expect(throws: TrainingError.self) { try Toy.train(recipe, in: run) }
      #expect(none?.location == "training.samples-before" && none?.remedy.contains("--from") == true)
      #expect(!FileManager.default.fileExists(atPath: run.url.path))
      try Toy.train(recipe, in: run, from: start, stopAfter: 1)
      #expect(try run.origin()?.samplesSeen == before + 1)
      // What is packed must not forget it either.
      try FileManager.default.removeItem(at: run.start)
      let lost = #expect(throws: TrainingError.self) { try pack(run, to: "\(path)/a.codi") }
      #expect(lost?.location == run.start.path && lost?.remedy.contains("--from") == true)
    }
  }

  @Test("a file of weights tells no count, so the recipe must")
  func file() throws {
    try withFolder { path in
      let weights = try Toy.coreBundle(in: path).weights.path
      let start = try StartingPoint(file: weights)
      var recipe = Toy.coreRecipe()
      let error = #expect(throws: TrainingError.self) { try Toy.train(recipe, in: run(path), from: start) }
      #expect(error?.location == weights && error?.remedy.contains("samples-before") == true)
      recipe.training.samplesBefore = 7
      try Toy.train(recipe, in: run(path), from: start, stopAfter: 1)
      let origin = try #require(try run(path).origin())
      #expect(origin == .init(weightsSHA256: try SHA256.hex(ofFile: weights), samplesSeen: 7))
      let packed = try pack(run(path), to: "\(path)/a.codi")
      #expect(packed.training.samplesInAll == 15 && packed.training.from == origin)
    }
  }
}
