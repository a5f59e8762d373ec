import Adapters
import Bundles
import Distillation
import Foundation
import Tensor
import Testing

@Suite("Resuming", .serialized, .oneThread) @Compute struct ResumeTests {
  func run(_ path: String, _ name: String) -> RunFolder { RunFolder(at: URL(filePath: "\(path)/\(name)")) }

  @Test("a run in bfloat16 resumes to the same bits, and its metrics say the threads", .enabled(if: hasNativeBFloat16))
  func lowPrecision() throws {
    try withFolder { path in
      var recipe = Toy.coreRecipe()
      recipe.training.precision = .bf16
      let (whole, parts, exact) = (run(path, "a"), run(path, "b"), run(path, "c"))
      try Toy.train(recipe, in: whole, stopAfter: 7)
      for steps in [3, 4] { try Toy.train(recipe, in: parts, stopAfter: steps) }
      #expect(try parts.open().differences(from: try whole.open()) == [])
      #expect(try parts.lines() == whole.lines())
      #expect(try whole.lines().first?.values["threads"] == 1)
      try Toy.train(Toy.coreRecipe(), in: exact, stopAfter: 7)
      #expect(try !exact.open().differences(from: try whole.open()).isEmpty, "bf16 must really have been used")
    }
  }

  @Test("a checkpoint that does not name its core, or has lost its recipe, is refused and left as it is")
  func identity() throws {
    try withFolder { path in
      let core = try Core(try Toy.coreBundle(in: path))
      let run = run(path, "a")
      try Toy.train(Toy.adapterRecipe(), on: core, in: run, stopAfter: 1)
      let file = try run.open()
      let digest = try #require(file.metadata["core-digest"])
      #expect(digest == core.digest)
      var metadata = file.metadata
      metadata["core-digest"] = nil
      let tensors = try file.names.map { name in
        let entry = try file.entry(name)
        return (name: name, dtype: entry.dtype, shape: entry.shape, data: entry.withBytes { Data($0) })
      }
      try SafetensorsWriter.write(tensors, metadata: metadata, to: run.checkpoint.path)
      let before = try SHA256.hex(ofFile: run.checkpoint.path)
      let nameless = #expect(throws: TrainingError.self) {
        try Toy.train(Toy.adapterRecipe(), on: core, in: run, stopAfter: 1)
      }
      #expect(nameless?.code == .run && nameless?.reason.contains("core-digest") == true)
      try FileManager.default.removeItem(at: run.recipe)
      let lost = #expect(throws: TrainingError.self) {
        try Toy.train(Toy.adapterRecipe(), on: core, in: run, stopAfter: 1)
      }
      #expect(lost?.location == run.recipe.path && lost?.remedy.contains("--run NAME") == true)
      #expect(try SHA256.hex(ofFile: run.checkpoint.path) == before)
    }
  }
}
