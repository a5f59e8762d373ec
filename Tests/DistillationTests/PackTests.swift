import Adapters
import Bundles
import Diffusion
import Distillation
import Foundation
import Networks
import Registry
import Tensor
import Testing

@Suite("Packing a run", .serialized, .oneThread) @Compute struct PackTests {
  struct Packed {
    let path, core, adapter: String
    let run: RunFolder
    let store: Store

    func extract(_ file: String, _ name: String) throws -> InstalledBundle {
      try BundleReader(path: file).extract(to: URL(filePath: "\(path)/\(name)"))
    }
  }

  /// A toy core and an adapter for it, packed; the adapter is trained for `steps`.
  func withPacked<R>(steps: Int = 8, _ body: (Packed) throws -> R) throws -> R {
    try withFolder { path in
      let core = try Toy.writeCore(in: path)
      let opened = try Core(try BundleReader(path: core).extract(to: URL(filePath: "\(path)/core")))
      let run = RunFolder(at: URL(filePath: "\(path)/run"))
      var recipe = Toy.adapterRecipe(steps: 30)
      recipe.distillation.velocity = 1
      recipe.muRate = 5
      recipe.training.averageDecay = 0.5
      try Toy.train(recipe, on: opened, in: run, stopAfter: steps)
      let adapter = "\(path)/adapter.codi"
      _ = try packer(run).packAdapter(core: opened, library: Toy.library, toolchain: "test", to: adapter)
      let store = Store(home: "\(path)/store", program: SemanticVersion(0, 1, 0))
      try store.changeTrust { try $0.setUnsigned(.warn, publisher: "demo") }
      return try body(Packed(path: path, core: core, adapter: adapter, run: run, store: store))
    }
  }

  func packer(_ run: RunFolder) -> RunPacker {
    RunPacker(run, source: Toy.repository.appending(path: "Plugins/SuperResolution"), license: Toy.license)
  }

  @Test("core and adapter are installed after their proof; what is opened is the run's averaged weights in bfloat16")
  func roundTrip() throws {
    try withPacked { packed in
      try packed.store.install(file: packed.core, proof: Proof.check)
      let installed = try packed.store.install(file: packed.adapter, proof: Proof.check)
      #expect(try packed.store.list().map(\.name) == ["demo/toy", "demo/toy-super-resolution"])
      let core = try Core(try packed.store.open(try packed.store.core(of: installed)))
      let bundle = try packed.store.open(installed)
      let adapter = try Adapter(bundle, core: core)
      let checkpoint = try packed.run.open()
      for parameter in adapter.encoder.parameters {
        let average = try Weights.tensor("average/\(parameter.name)", shape: parameter.shape, in: checkpoint)
        #expect(parameter.value.floats() == average.converted(to: .bf16).floats(), "\(parameter.name)")
        #expect(!parameter.isTrainable)
      }
      let manifest = adapter.manifest
      #expect(manifest.training.samplesSeen == 64 && manifest.training.method == "codi")
      #expect(manifest.requires.core == "demo/toy" && manifest.requires.coreDigest == core.digest)
      #expect(manifest.plugin?.libraries == ["linux-x86_64": "plugins/linux-x86_64/libSuperResolution.so"])
      #expect(manifest.training.data.map(\.name) == ["pictures drawn by codi"])
      #expect(try adapter.sampler(steps: 2).levels.map(\.time) == [1, 0.5, 0])
      let recipe = try String(contentsOf: bundle.url(of: BundleEntry.recipe), encoding: .utf8)
      #expect(try recipe == String(contentsOf: packed.run.recipe, encoding: .utf8))
      // The same run packs to the same bytes.
      let again = "\(packed.path)/again.codi"
      _ = try packer(packed.run).packAdapter(core: core, library: Toy.library, toolchain: "test", to: again)
      #expect(try SHA256.hex(ofFile: again) == SHA256.hex(ofFile: packed.adapter))
    }
  }

  @Test(
    "runs of the lab, whose core is no bundle's or whose network is no sampler, are not packed",
    arguments: [
      ("distillation.trains", "  trains: everything"), ("regression", "method: regression"),
      ("random-core", "method: random-core"), ("then-condition", "method: consistency-then-condition"),
    ])
  func labOnly(reason: String, line: String) throws {
    try withPacked { packed in
      let text = try String(contentsOf: packed.run.recipe, encoding: .utf8)
      let key = line.prefix { $0 != ":" }
      var lines = text.split(separator: "\n").map { $0.hasPrefix("\(key):") ? line : String($0) }
      if key == "method" {
        // The packed run's choice of a loss is codi's alone.
        lines = lines.filter { !$0.hasPrefix("  velocity:") }
      }
      try save(Array(lines.joined(separator: "\n").utf8), packed.run.recipe.path)
      let core = try Core(try packed.extract(packed.core, "core2"))
      let error = #expect(throws: TrainingError.self) {
        try packer(packed.run).packAdapter(
          core: core, library: Toy.library, toolchain: "test", to: "\(packed.path)/lab.codi")
      }
      #expect(error?.reason.contains("run of the lab") == true && error?.reason.contains(reason) == true)
      #expect(!FileManager.default.fileExists(atPath: "\(packed.path)/lab.codi"))
    }
  }

  @Test("an adapter refuses every core but its own, in one sentence with both names and the command that helps")
  func otherCore() throws {
    try withPacked { packed in
      let bundle = try packed.extract(packed.adapter, "adapter")
      let run = RunFolder(at: URL(filePath: "\(packed.path)/other-run"))
      var recipe = Toy.coreRecipe(steps: 1)
      recipe.name = "demo/other"
      try Toy.train(recipe, in: run)
      let source = Toy.repository.appending(path: "Plugins/Cores/tiny")
      _ = try RunPacker(run, source: source, license: Toy.license).packCore(to: "\(packed.path)/other.codi")
      let other = try Core(try packed.extract("\(packed.path)/other.codi", "other"))
      let error = #expect(throws: BundleError.self) { try Adapter(bundle, core: other) }
      let text = error?.description ?? ""
      for part in ["demo/toy-super-resolution@0.1.0", "made for demo/toy with", "demo/other@0.1.0", other.digest] {
        #expect(text.contains(part), "\(text)")
      }
      #expect(error?.remedy.contains("`codi install demo/toy-super-resolution@0.1.0`") == true)
      let swapped = #expect(throws: BundleError.self) { try Core(bundle) }
      #expect(swapped?.reason.contains("is an adapter, not a core") == true)
      let core = try packed.extract(packed.core, "core-again")
      #expect(throws: BundleError.self) { try Adapter(core, core: other) }
    }
  }

  /// Packs `file` anew after `change` to the numbers of its `entry`: all sums are right.
  func forged(
    _ packed: Packed, _ file: String, _ entry: String = BundleEntry.weights, _ change: (String, inout [Float]) -> Void
  ) throws -> String {
    let name = "forged-\(UInt32.random(in: 0 ... .max))"
    let bundle = try packed.extract(file, name)
    let old = try SafetensorsFile(path: bundle.url(of: entry).path)
    var tensors: [(name: String, tensor: Tensor)] = []
    for name in old.names {
      var values = try old.floats(name)
      change(name, &values)
      tensors.append((name, try Tensor(values, shape: try old.entry(name).shape)))
    }
    let dtype: DType = entry == BundleEntry.weights ? .bf16 : .f32
    try SafetensorsWriter.write(Weights.entries(tensors, as: dtype), metadata: old.metadata, to: old.path)
    let target = "\(packed.path)/\(name).codi"
    try BundleWriter.pack(folder: bundle.directory, to: target)
    return target
  }

  @Test("a bundle whose weights are not those of its proof is refused, and nothing is installed")
  func corrupted() throws {
    try withPacked { packed in
      func refused(_ file: String, _ place: String, _ reason: String = "computes something else") {
        let error = #expect(throws: BundleError.self) { try packed.store.install(file: file, proof: Proof.check) }
        #expect(error?.location.hasSuffix(place) == true, "\(error?.description ?? "")")
        #expect(error?.reason.contains(reason) == true, "\(error?.description ?? "")")
      }
      let (core, adapter) = ("proof.safetensors: core-output", "proof.safetensors: adapted-output")
      refused(
        try forged(packed, packed.core) { name, values in
          guard name == "encoder.input.weight" else { return }
          // Output channels change places.
          for i in 0..<(values.count / 2) { values.swapAt(i, values.count / 2 + i) }
        }, core)
      let poison = { (wanted: String) in
        { (name: String, values: inout [Float]) in if name == wanted { values[0] = .nan } }
      }
      refused(
        try forged(packed, packed.core, BundleEntry.weights, poison("decoder.output.bias")), "decoder.output.bias",
        "NaN")
      refused(try forged(packed, packed.core, BundleEntry.proof, poison("core-output")), core, "NaN")
      // Finite weights, and nothing but NaN comes out: no small difference either.
      let overflow = { (name: String, values: inout [Float]) in
        if name == "encoder.input.weight" { values = values.map { _ in 3e38 } }
      }
      refused(try forged(packed, packed.core, BundleEntry.weights, overflow), core)
      #expect(try packed.store.list().isEmpty)
      try packed.store.install(file: try forged(packed, packed.core) { _, _ in }, proof: Proof.check)
      refused(try forged(packed, packed.adapter) { if $0 == "mu.1" { $1[0] += 0.5 } }, adapter)
      refused(try forged(packed, packed.adapter, BundleEntry.proof, poison("adapted-output")), adapter, "NaN")
      #expect(try packed.store.list().map(\.name) == ["demo/toy"])
    }
  }

  @Test("an adapter that changes nothing is refused")
  func zeroEffect() throws {
    try withPacked(steps: 0) { packed in
      try packed.store.install(file: packed.core, proof: Proof.check)
      let error = #expect(throws: BundleError.self) {
        try packed.store.install(file: packed.adapter, proof: Proof.check)
      }
      #expect(error?.reason.contains("it does nothing") == true)
      #expect(try packed.store.list().map(\.name) == ["demo/toy"])
    }
  }

  @Test(
    "the proof holds on CPUs with narrower instructions",
    arguments: [
      ["CODI_MAX_ISA": "0", "ONEDNN_MAX_CPU_ISA": "SSE41"], ["CODI_MAX_ISA": "1", "ONEDNN_MAX_CPU_ISA": "AVX2"],
    ])
  func narrowerCPU(limits: [String: String]) throws {
    try withPacked { packed in
      // Libraries read their limits once, so each needs a process of its own.
      let install = Process()
      install.executableURL = Toy.products.appending(path: "codi")
      install.arguments = ["install", packed.core, packed.adapter]
      install.environment = limits.merging(
        ["CODI_HOME": packed.store.home, "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"]) { a, _ in a }
      let output = Pipe()
      install.standardError = output
      install.standardOutput = FileHandle.nullDevice
      try install.run()
      let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
      install.waitUntilExit()
      #expect(install.terminationStatus == 0, "\(text)")
    }
  }

  @Test("packing says what is missing")
  func missing() throws {
    try withFolder { path in
      let run = RunFolder(at: URL(filePath: "\(path)/run"))
      let packer = RunPacker(run, source: URL(filePath: path), license: Toy.license)
      let none = #expect(throws: TrainingError.self) { try packer.packCore(to: "\(path)/a.codi") }
      #expect(none?.reason.contains("There is no run here") == true)
      try Toy.train(Toy.coreRecipe(), in: run, stopAfter: 1)
      let card = #expect(throws: BundleError.self) { try packer.packCore(to: "\(path)/a.codi") }
      #expect(card?.location.hasSuffix("card.md") == true)
      try FileManager.default.removeItem(at: run.checkpoint)
      let checkpoint = #expect(throws: (any Error).self) { try packer.packCore(to: "\(path)/a.codi") }
      #expect("\(checkpoint.map(String.init(describing:)) ?? "")".contains("checkpoint.safetensors"))
      #expect(!FileManager.default.fileExists(atPath: "\(path)/a.codi"))
    }
  }
}
