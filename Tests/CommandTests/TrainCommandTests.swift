import Bundles
import Foundation
import TestSupport
import Testing

/// `codi train` as a pipeline meets it: signals, exit codes, what is said where.
@Suite("Training commands", .serialized) struct TrainCommandTests {
  /// Many short steps of the smallest network.
  private let recipe = """
    kind: core
    name: demo/short
    summary: A core for tests of the command.
    network: { channels: [8, 16], blocks: [1, 1], embedding: 16, native-size: 16 }
    data: { crops: { sizes: [ { size: 16, weight: 1, batch: 8 } ] } }
    training: { samples: 4800, precision: f32, sheet-every: 0, log-every: 1 }

    """

  private func shop() throws -> Workshop {
    let shop = try Workshop(published: false)
    try Data(recipe.utf8).write(to: URL(filePath: shop.folder("core.yaml")))
    return shop
  }

  /// Lines of metrics so far.
  private func steps(_ shop: Workshop) -> Int {
    ((try? shop.bytes("runs/core/metrics.ndjson")) ?? Data()).count { $0 == UInt8(ascii: "\n") }
  }

  @Test("INT and TERM stop a training with a checkpoint and a code that `&&` sees; the same command goes on to the end")
  func stops() throws {
    let shop = try shop()
    let train = ["train", "core", "core.yaml", "--run", "core", "--threads", "1"]
    var before = 0
    for (signal, code) in [(SIGTERM, Int32(143)), (SIGINT, 130)] {
      let stopped = try shop.run(train + ["--json"], ["OMP_NUM_THREADS": "1"]) { process in
        while steps(shop) <= before && process.isRunning { usleep(2000) }
        kill(process.processIdentifier, signal)
      }.expect(code)
      let objects = try stopped.objects()
      #expect(
        objects.last?["event"] as? String == "stopped" && objects.last?["run"] as? String == shop.folder("runs/core"))
      #expect(stopped.error.contains("the same command") == false, "people's text is for people")
      let checkpoint = try SafetensorsFile(path: shop.folder("runs/core/checkpoint.safetensors"))
      let step = try #require(checkpoint.metadata["step"].flatMap { Int($0) })
      #expect(step > before && step < 600)
      before = step
    }
    let finished = try shop.run(train + ["--quiet"], ["OMP_NUM_THREADS": "1"]).expect(0)
    #expect(finished.out.isEmpty && finished.error.isEmpty)
    #expect(steps(shop) == 600)
    // Asked again, it is finished still.
    let again = try shop.run(train).expect(0)
    #expect(again.out.isEmpty && again.error.contains("finished: "))
  }

  @Test("where bfloat16 may not be used, a recipe that asks for it trains in float32, and says so")
  func noBFloat16() throws {
    let shop = try shop()
    let wanted = recipe.replacing("samples: 4800, precision: f32", with: "samples: 64, precision: bf16")
    try Data(wanted.utf8).write(to: URL(filePath: shop.folder("core.yaml")))
    let outcome = try shop.codi(
      "train", "core", "core.yaml", "--run", "core", environment: ["ONEDNN_MAX_CPU_ISA": "AVX2"]
    ).expect(0)
    #expect(outcome.error.contains("training in float32"))
  }

  @Test("a task that came with no library is named, with the option that helps")
  func noLibrary() throws {
    let shop = try shop()
    let text = try String(
      contentsOf: Toy.root.appending(path: "Plugins/SuperResolution/tiny.yaml"), encoding: .utf8)
    _ = try shop.folder.make("task")
    try FileManager.default.copyItem(
      at: Toy.root.appending(path: "Plugins/SuperResolution/manifest.yaml"),
      to: URL(filePath: shop.folder("task/manifest.yaml")))
    try Data(text.replacingOccurrences(of: "plugin: SuperResolution", with: "plugin: Nothing").utf8)
      .write(to: URL(filePath: shop.folder("task/recipe.yaml")))
    let outcome = try shop.codi("train", "adapter", "task/recipe.yaml").expect(3)
    #expect(outcome.error.contains("libNothing.so") && outcome.error.contains("--library"))
  }
}
