import Bundles
import Foundation
import TestSupport
import Testing

private let mpirun = ["/usr/bin/mpirun", "/usr/local/bin/mpirun"].first {
  FileManager.default.isExecutableFile(atPath: $0)
}

/// Data-parallel training with the program under `mpirun`.
@Suite("Training under mpirun", .serialized, .enabled(if: mpirun != nil, "no mpirun on this machine"))
struct MPITests {
  /// Open MPI refuses root and more processes than cores unless told.
  private let environment = [
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMP_NUM_THREADS": "1",
  ]

  private func recipe(batch: Int, samples: Int) -> Data {
    Data(
      """
      kind: core
      name: demo/short
      summary: A core for tests of the command.
      network: { channels: [8, 16], blocks: [1, 1], embedding: 16, native-size: 16 }
      data: { crops: { sizes: [ { size: 16, weight: 1, batch: \(batch) } ] } }
      training: { samples: \(samples), precision: f32, sheet-every: 0, log-every: 1, checkpoint-minutes: 0 }

      """.utf8)
  }

  private func together(
    _ shop: Workshop, _ arguments: [String], processes: Int = 2, meanwhile: (Process) throws -> Void = { _ in }
  ) throws -> Workshop.Outcome {
    try shop.run(
      ["-n", "\(processes)", Toy.products.appending(path: "codi").path] + arguments, environment,
      program: mpirun, meanwhile: meanwhile)
  }

  @Test("two processes make the step of one with the doubled batch, to 1e-5 of the largest gradient of a tensor")
  func gradients() throws {
    let shop = try Workshop(published: false)
    try recipe(batch: 8, samples: 16).write(to: URL(filePath: shop.folder("half.yaml")))
    try recipe(batch: 16, samples: 16).write(to: URL(filePath: shop.folder("whole.yaml")))
    try shop.run(["train", "core", "whole.yaml", "--run", "whole", "--quiet"], environment).expect(0)
    let two = try together(shop, ["train", "core", "half.yaml", "--run", "half", "--json"]).expect(0)
    #expect(try two.objects().filter { $0["event"] as? String == "finished" }.count == 1, "one of them speaks")
    let (whole, half) = try (
      SafetensorsFile(path: shop.folder("runs/whole/checkpoint.safetensors")),
      SafetensorsFile(path: shop.folder("runs/half/checkpoint.safetensors"))
    )
    #expect(half.metadata["step"] == "1" && half.metadata["samples"] == "16" && whole.metadata["samples"] == "16")
    // After one step the first moments are the gradients, scaled.
    for name in whole.names where name.hasPrefix("first/") {
      let (a, b) = (try floats(name, whole), try floats(name, half))
      let largest = a.map(abs).max() ?? 0
      let difference = zip(a, b).map { abs($0 - $1) }.max() ?? 0
      #expect(difference <= 1e-5 * largest, "\(name): \(difference) of \(largest)")
    }
    #expect(
      whole.names.filter { $0.hasPrefix("first/") }.contains { (try? floats($0, whole).contains { $0 != 0 }) == true })
    let (a, b) = (try shop.bytes("runs/whole/metrics.ndjson"), try shop.bytes("runs/half/metrics.ndjson"))
    let losses = try [a, b].map { try #require(try JSONSerialization.jsonObject(with: $0) as? [String: Any]) }
      .compactMap { ($0["values"] as? [String: Any])?["loss"] as? Double }
    #expect(
      losses.count == 2 && abs(losses[0] - losses[1]) < 1e-5 * losses[0], "the loss is that of all samples: \(losses)")
  }

  private func floats(_ name: String, _ file: SafetensorsFile) throws -> [Float] {
    try file.entry(name).withBytes { Array($0.bindMemory(to: Float.self)) }
  }

  @Test(
    "a process that is killed ends the job; the last checkpoint is whole, and the run goes on from it",
    .enabled(
      if: ProcessInfo.processInfo.environment["CODI_PROOF_MPI"] != nil,
      "a run of two processes was seen not to end here; CODI_PROOF_MPI=1 tries again"))
  func deadRank() throws {
    let shop = try Workshop(published: false)
    try recipe(batch: 8, samples: 1_000_000).write(to: URL(filePath: shop.folder("core.yaml")))
    let train = ["train", "core", "core.yaml", "--run", "core", "--quiet"]
    let checkpoint = shop.folder("runs/core/checkpoint.safetensors")
    let killed = try together(shop, train) { process in
      // Several checkpoints in.
      for _ in 0..<6000 where process.isRunning {
        let lines = ((try? shop.bytes("runs/core/metrics.ndjson")) ?? Data()).count { $0 == UInt8(ascii: "\n") }
        if lines > 5 { break }
        usleep(10_000)
      }
      let ranks = Self.children(of: process.processIdentifier)
      #expect(ranks.count == 2, "\(ranks)")
      if let last = ranks.max() { kill(last, SIGKILL) }
    }
    #expect(killed.code != 0)
    let file = try SafetensorsFile(path: checkpoint)
    let step = try #require(file.metadata["step"].flatMap { Int($0) })
    #expect(step >= 5)
    let seen = try #require(file.metadata["samples"].flatMap { Int($0) })
    #expect(seen == step * 16)
    let stopped = try together(shop, train) { process in
      for _ in 0..<6000 where process.isRunning {
        let now = (try? SafetensorsFile(path: checkpoint))?.metadata["step"].flatMap { Int($0) } ?? 0
        if now > step { break }
        usleep(10_000)
      }
      kill(process.processIdentifier, SIGTERM)
    }
    #expect(stopped.code != 0)
    #expect(try SafetensorsFile(path: checkpoint).metadata["step"].flatMap { Int($0) } ?? 0 > step)
  }

  /// Processes that mpirun started.
  private static func children(of parent: Int32) -> [Int32] {
    let listed = try? String(contentsOfFile: "/proc/\(parent)/task/\(parent)/children", encoding: .utf8)
    return (listed ?? "").split(separator: " ").compactMap { Int32($0) }
  }

  @Test("where libmpi cannot be used, the reason is told")
  func noLibrary() throws {
    let shop = try Workshop(published: false)
    try recipe(batch: 8, samples: 16).write(to: URL(filePath: shop.folder("core.yaml")))
    // A file that is no library under the name that is looked for first.
    _ = try shop.folder.make("fake")
    try Data("no library".utf8).write(to: URL(filePath: shop.folder("fake/libmpi.so.40")))
    try Data("no library".utf8).write(to: URL(filePath: shop.folder("fake/libmpi.so")))
    let alone = try shop.run(
      ["train", "core", "core.yaml"], ["OMPI_COMM_WORLD_SIZE": "2", "LD_LIBRARY_PATH": shop.folder("fake")]
    )
    #expect(alone.code != 0 && alone.error.contains("cannot talk to each other"), "\(alone.error)")
    #expect(shop.folder.names("runs").isEmpty)
  }
}
