import Adapters
import Bundles
import Diffusion
import Distillation
import Foundation
import Imaging
import Networks
import Tensor
import Testing

@Suite("Core training", .serialized, .oneThread) @Compute struct CoreTrainingTests {
  @Test("a run stopped and resumed twice equals one that was not, byte for byte, in state and in metrics")
  func resume() throws {
    try withFolder { path in
      let recipe = Toy.coreRecipe()
      let (whole, parts) = (RunFolder(at: URL(filePath: "\(path)/a")), RunFolder(at: URL(filePath: "\(path)/b")))
      #expect(try Toy.train(recipe, in: whole, stopAfter: 12) == .stopped)
      // Neither place is a multiple of `log-every`.
      #expect(try Toy.train(recipe, in: parts, stopAfter: 4) == .stopped)
      #expect(try parts.open().metadata["step"] == "4")
      #expect(try Toy.train(recipe, in: parts, stopAfter: 3) == .stopped)
      #expect(try !parts.open().differences(from: try whole.open()).isEmpty)
      #expect(try Toy.train(recipe, in: parts, stopAfter: 5) == .stopped)
      #expect(try parts.open().differences(from: try whole.open()) == [])
      #expect(try parts.open().metadata["samples"] == "96")
      #expect(try parts.lines() == whole.lines())
      #expect(try whole.lines().map(\.step) == [5, 10])
      let names = Set(try whole.open().names.map { $0.prefix { $0 != "/" } })
      #expect(names == ["weight", "first", "second", "average"])
    }
  }

  @Test("two trainings in one folder: the second is refused, and the first goes on")
  func lock() throws {
    try withFolder { path in
      let run = RunFolder(at: URL(filePath: "\(path)/run"))
      var refused: TrainingError?
      let end = try Toy.train(Toy.coreRecipe(), in: run) { step in
        guard step == 2 else { return }
        refused = #expect(throws: TrainingError.self) { try Toy.train(Toy.coreRecipe(), in: run) }
      }
      #expect(refused?.code == .run && refused?.reason.contains("at work") == true)
      #expect(end == .finished)
    }
  }

  @Test("two threads resume to the same bits, too")
  func resumeOnThreads() throws {
    try withFolder { path in
      Compute.threads = 2
      defer { Compute.threads = 1 }
      let (whole, parts) = (RunFolder(at: URL(filePath: "\(path)/a")), RunFolder(at: URL(filePath: "\(path)/b")))
      try Toy.train(Toy.coreRecipe(), in: whole, stopAfter: 3)
      for steps in [1, 2] { try Toy.train(Toy.coreRecipe(), in: parts, stopAfter: steps) }
      #expect(try parts.open().differences(from: try whole.open()) == [])
      #expect(try parts.open().metadata["step"] == "3")
    }
  }

  @Test("a killed run goes on from the checkpoint it wrote by time, and forgets the metrics that came after")
  func killed() throws {
    try withFolder { path in
      var recipe = Toy.coreRecipe(steps: 16)
      recipe.training.checkpointMinutes = 0
      recipe.training.logEvery = 2
      let (whole, killed) = (RunFolder(at: URL(filePath: "\(path)/a")), RunFolder(at: URL(filePath: "\(path)/b")))
      try Toy.train(recipe, in: whole) { step in
        // What a crash after step 12 leaves when step 9 was the last one saved.
        let manager = FileManager.default
        if step == 9 { try manager.copyItem(atPath: whole.checkpoint.path, toPath: "\(path)/checkpoint") }
        if step == 12 {
          try manager.copyItem(at: whole.url, to: killed.url)
          try manager.removeItem(at: killed.checkpoint)
          try manager.moveItem(atPath: "\(path)/checkpoint", toPath: killed.checkpoint.path)
          try save(
            Array(try Data(contentsOf: killed.metrics)) + Array("{\"step\": 13, \"sam".utf8), killed.metrics.path)
        }
      }
      #expect(try killed.open().metadata["step"] == "9")
      try Toy.train(recipe, in: killed)
      #expect(try killed.open().differences(from: try whole.open()) == [])
      #expect(try killed.lines() == whole.lines())
    }
  }

  @Test("half-written files of a killed run are cleared away; the checkpoint beside them is used")
  func staleFile() throws {
    try withFolder { path in
      let folder = RunFolder(at: URL(filePath: path))
      try Toy.train(Toy.coreRecipe(), in: folder, stopAfter: 2)
      try save([1, 2, 3], "\(folder.checkpoint.path).0a1b2c.tmp")
      try Toy.train(Toy.coreRecipe(), in: folder, stopAfter: 2)
      #expect(try folder.open().metadata["step"] == "4")
      let left = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
      #expect(left == ["checkpoint.safetensors", "loss.svg", "metrics.ndjson", "recipe.yaml", "sheets"])
    }
  }

  @Test("a checkpoint cut anywhere, or of another network, is refused with what to do, and left as it is")
  func damagedCheckpoint() throws {
    try withFolder { path in
      let folder = RunFolder(at: URL(filePath: path))
      try Toy.train(Toy.coreRecipe(), in: folder, stopAfter: 1)
      let bytes = [UInt8](try Data(contentsOf: folder.checkpoint))
      for keep in [0, 4, 100, bytes.count / 2, bytes.count - 1] {
        try save(Array(bytes.prefix(keep)), folder.checkpoint.path)
        let error = #expect(throws: TrainingError.self) { try Toy.train(Toy.coreRecipe(), in: folder) }
        #expect(error?.code == .run && error?.location == folder.checkpoint.path, "\(keep) bytes")
        #expect(error?.remedy.contains("Delete \(folder.checkpoint.path)") == true)
        #expect(try Data(contentsOf: folder.checkpoint).count == keep)
      }
      var wider = Toy.coreRecipe()
      wider.network.channels = [8, 24]
      let other = RunFolder(at: URL(filePath: "\(path)/other"))
      try Toy.train(wider, in: other, stopAfter: 1)
      try FileManager.default.removeItem(at: folder.checkpoint)
      try FileManager.default.copyItem(at: other.checkpoint, to: folder.checkpoint)
      let error = #expect(throws: TrainingError.self) { try Toy.train(Toy.coreRecipe(), in: folder) }
      #expect(error?.reason.contains("[24, 8, 3, 3]") == true, "\(error?.reason ?? "")")
    }
  }

  @Test("one run folder takes one recipe, whichever defaults a newer program adds to it")
  func changedRecipe() throws {
    try withFolder { path in
      let folder = RunFolder(at: URL(filePath: path))
      var recipe = Toy.coreRecipe()
      try Toy.train(recipe, in: folder, stopAfter: 1)
      let text = try String(contentsOf: folder.recipe, encoding: .utf8)
      let older = text.split(separator: "\n").filter { !$0.contains("checkpoint-minutes") }.joined(separator: "\n")
      #expect(older.count < text.count - 10)
      try save(Array(older.utf8), folder.recipe.path)
      try Toy.train(recipe, in: folder, stopAfter: 1)
      #expect(try String(contentsOf: folder.recipe, encoding: .utf8) == text)
      let before = try SHA256.hex(ofFile: folder.checkpoint.path)
      recipe.training.rate *= 2
      let error = #expect(throws: TrainingError.self) { try Toy.train(recipe, in: folder) }
      #expect(error?.code == .run && error?.description.contains("--run NAME") == true)
      #expect(try String(contentsOf: folder.recipe, encoding: .utf8) == text)
      #expect(try SHA256.hex(ofFile: folder.checkpoint.path) == before)
    }
  }

  @Test(
    "a loss that is no number ends the run, and the last checkpoint stays as it was", arguments: [Float(1e18), 3e38])
  func divergence(rate: Float) throws {
    try withFolder { path in
      let folder = RunFolder(at: URL(filePath: path))
      var recipe = Toy.coreRecipe(steps: 60)
      recipe.training.rate = rate
      recipe.training.warmUp = 0
      try Toy.train(recipe, in: folder, stopAfter: 0)
      let before = try SHA256.hex(ofFile: folder.checkpoint.path)
      let error = #expect(throws: TrainingError.self) { try Toy.train(recipe, in: folder) }
      #expect(error?.code == .diverged, "\(error.map(String.init(describing:)) ?? "")")
      #expect(error?.remedy.contains("lower the rate") == true)
      #expect(try SHA256.hex(ofFile: folder.checkpoint.path) == before)
      try folder.open().checkFinite()
    }
  }

  @Test("what is missing is told before the first step, and no folder is left behind")
  func missingData() throws {
    try withFolder { path in
      let folder = RunFolder(at: URL(filePath: "\(path)/runs/toy"))
      var recipe = Toy.coreRecipe()
      recipe.data.photographs = [.init(path: "\(path)/nowhere.tar")]
      #expect(code { try Toy.train(recipe, in: folder) } == .missing)
      try FileManager.default.createDirectory(atPath: "\(path)/empty", withIntermediateDirectories: true)
      recipe.data.photographs = [.init(path: "\(path)/empty")]
      #expect(code { try Toy.train(recipe, in: folder) } == .empty)
      recipe.data.photographs = [.init(path: "${CODI_DAAT}/train.tar")]
      #expect(code { try Toy.train(recipe, in: folder) } == .environment)
      recipe = Toy.coreRecipe()
      recipe.data.crops.mixture.deadLeaves = -1
      #expect(code { try Toy.train(recipe, in: folder) } == .options)
      let strange = "\(path)/strange.safetensors"
      try SafetensorsWriter.write(Weights.entries([("a", .zeros([3]))]), to: strange)
      let start = try StartingPoint(file: strange)
      recipe = Toy.coreRecipe()
      recipe.training.samplesBefore = 0
      #expect(throws: BundleError.self) { try Toy.train(recipe, in: folder, from: start) }
      #expect(!FileManager.default.fileExists(atPath: "\(path)/runs"))
    }
  }

  @Test("a broken photograph is counted and named, and the run goes on without it")
  func brokenPhotograph() throws {
    try withFolder { path in
      try FileManager.default.createDirectory(atPath: "\(path)/in", withIntermediateDirectories: true)
      for i in 0..<3 { try save(encodePNG(numbered(i)), "\(path)/in/\(i).png") }
      try save(Array(encodePNG(numbered(3)).prefix(200)), "\(path)/in/torn.png")
      try save(encodePNG(numbered(4, width: 20, height: 20)), "\(path)/in/small.png")
      var recipe = Toy.coreRecipe(steps: 2)
      recipe.data.photographs = [.init(path: "\(path)/in")]
      let trainer = try CoreTrainer(recipe, in: RunFolder(at: URL(filePath: "\(path)/run")))
      #expect(trainer.brokenPhotographs.map(\.name) == ["\(path)/in/small.png", "\(path)/in/torn.png"])
      #expect(trainer.brokenPhotographs.allSatisfy { !$0.reason.isEmpty })
      #expect(try trainer.run(shouldStop: { false }, report: { _ in }) == .finished)
    }
  }

  @Test("300 steps on drawn pictures take a quarter off the loss; curve, sheets and report come with it")
  func learns() throws {
    try withFolder { path in
      let folder = RunFolder(at: URL(filePath: path))
      var recipe = Toy.coreRecipe(steps: 300, batch: 16)
      recipe.training.sheetEvery = 2000
      var reports: [TrainingProgress] = []
      let trainer = try CoreTrainer(recipe, in: folder)
      _ = try trainer.run(shouldStop: { false }) { reports.append($0) }
      let losses = try folder.lines().compactMap { $0.values["loss"] }
      let (first, last) = (losses.prefix(4).reduce(0, +) / 4, losses.suffix(12).reduce(0, +) / 12)
      #expect(last < 0.75 * first, "from \(first) to \(last)")
      let curve = try String(contentsOf: folder.lossCurve, encoding: .utf8)
      #expect(curve.hasPrefix("<svg") && curve.contains("4800 samples") && curve.contains("<polyline"))
      let sheets = try FileManager.default.contentsOfDirectory(atPath: "\(path)/sheets").sorted()
      #expect(sheets == ["000002000.png", "000004000.png", "000004800.png"])
      let sheet = try decodeBitmap([UInt8](try Data(contentsOf: folder.url.appending(path: "sheets/000004800.png"))))
      #expect((sheet.width, sheet.height) == (8 * 18 + 2, 4 * 18 + 2))
      let end = try #require(reports.last)
      #expect((end.step, end.samples, end.total) == (300, 4800, 4800) && end.loss < first)
    }
  }

  @Test("a warm start begins with the loss of the weights it was given")
  func warmStart() throws {
    try withFolder { path in
      let recipe = Toy.coreRecipe(steps: 120)
      let source = RunFolder(at: URL(filePath: "\(path)/a"))
      try Toy.train(recipe, in: source)
      let trained = try source.open()
      let network = UNet(recipe.network)
      try Weights.load(network.parameters, from: trained, prefix: "average/")
      let weights = "\(path)/weights.safetensors"
      try SafetensorsWriter.write(Weights.entries(network.parameters.map { ($0.name, $0.value) }), to: weights)

      var next = recipe
      next.training.seed = 9
      next.training.logEvery = 1
      let cold = RunFolder(at: URL(filePath: "\(path)/c"))
      try Toy.train(next, in: cold, stopAfter: 1)
      next.training.samplesBefore = 960
      let folder = RunFolder(at: URL(filePath: "\(path)/b"))
      try Toy.train(next, in: folder, from: try StartingPoint(file: weights), stopAfter: 1)
      let line = try #require(try folder.lines().first)

      // The first step written out: its pictures, noise and times are functions of the recipe.
      let batch = try CropFeed(next.data.crops, photographs: nil).batch(step: 0)
      let x = try Tensor(batch.pixels, shape: [8, 16, 16, 3])
      let draw = StepNoise(NoiseStream(seed: 9, digest: Array("core".utf8)), step: 0, like: x)
      var sum = 0.0
      for (i, time) in draw.times().enumerated() {
        #expect(time >= Double(i) / 8 && time < Double(i + 1) / 8, "times are stratified")
        let (a, s) = (cos(time * .pi / 2), sin(time * .pi / 2))
        let (clean, noise) = (x.sample(i).floats(), draw.epsilon.sample(i).floats())
        let z = try Tensor(zip(clean, noise).map { Float(a * Double($0) + s * Double($1)) }, shape: [1, 16, 16, 3])
        let v = try network(z, [Schedule.cosineAngle.level(at: time)], precision: .f32).floats()
        for k in v.indices {
          let error = Double(v[k]) - (a * Double(noise[k]) - s * Double(clean[k]))
          sum += error * error
        }
      }
      let expected = sum / Double(8 * 16 * 16 * 3)
      let found = try #require(line.values["loss"])
      #expect(abs(found - expected) < 1e-5 * expected, "\(found), written out \(expected)")
      #expect(try #require(try cold.lines().first?.values["loss"]) > 1.2 * expected)
    }
  }

  @Test("an error while making batches ends the feed: it is thrown once, and nobody waits for more")
  func failingFeed() throws {
    let feed = Prefetcher<Int>(from: 3) { step in
      if step == 5 { throw CocoaError(.fileReadCorruptFile) }
      return step
    }
    #expect(try feed.next() == 3)
    #expect(try feed.next() == 4)
    #expect(throws: CocoaError.self) { try feed.next() }
    #expect(try feed.next() == nil)
  }
}
