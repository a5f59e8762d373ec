import Foundation
import TestSupport
import Testing

@Suite("One job on several machines") struct MachineTests {
  private let shop: Workshop

  init() throws { shop = try Workshop.shared.get() }

  private static let codi = Toy.products.appending(path: "codi").path
  private static let scripts = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Scripts").path

  private func command(_ folder: String, _ out: String) -> [String] {
    ["convert", folder, "--adapter", "enlarge", "--steps", "1", "--out", out, "--json"]
  }

  private func finished(_ outcome: Workshop.Outcome) throws -> [(converted: Int, skipped: Int)] {
    try outcome.objects().filter { $0["event"] as? String == "finished" }
      .map { ($0["converted"] as? Int ?? -1, $0["skipped"] as? Int ?? -1) }
  }

  /// Fails unless the folder has the results of an undisturbed run, byte for byte.
  private func check(_ folder: String, _ out: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let whole = "\(out)-whole"
    try shop.run(command(folder, whole)).expect(0, sourceLocation: sourceLocation)
    let names = shop.results(whole)
    #expect(shop.results(out) == names, sourceLocation: sourceLocation)
    for name in names {
      #expect(try shop.bytes("\(out)/\(name)") == shop.bytes("\(whole)/\(name)"), sourceLocation: sourceLocation)
    }
  }

  @Test("shares do everything once; a whole run takes their journals in and finds nothing to do")
  func shares() throws {
    let folder = try shop.pictures("shares", count: 7)
    var made: [Int] = []
    for share in ["1/3", "2/3", "3/3"] {
      made += try finished(shop.run(command(folder, "shares-out") + ["--share", share]).expect(0)).map(\.converted)
    }
    #expect(made == [3, 2, 2])
    #expect(shop.folder.names("shares-out").filter { $0.hasPrefix(".codi-job.") }.count == 3)
    let whole = try shop.run(command(folder, "shares-out")).expect(0)
    #expect(try finished(whole).map(\.skipped) == [7])
    #expect(shop.folder.names("shares-out").filter { $0.hasPrefix(".codi-job.") } == [".codi-job.sqlite"])
    // Shares of another number know what is done.
    let again = try shop.run(command(folder, "shares-out") + ["--share", "2/2"]).expect(0)
    #expect(try finished(again).map(\.converted) == [0])
    try check(folder, "shares-out")
  }

  @Test("a lost share is picked up by one process, or by shares of another number")
  func lost() throws {
    let folder = try shop.pictures("lost", count: 8)
    for out in ["lost-one", "lost-two"] {
      for share in ["1/4", "3/4", "4/4"] { try shop.run(command(folder, out) + ["--share", share]).expect(0) }
    }
    #expect(try finished(shop.run(command(folder, "lost-one")).expect(0)).map(\.converted) == [2])
    var made = 0
    for share in ["1/2", "2/2"] {
      made += try finished(shop.run(command(folder, "lost-two") + ["--share", share]).expect(0)).map(\.converted)
        .reduce(0, +)
    }
    #expect(made == 2)
    let merged = try shop.codi("jobs", "merge", "lost-two", "--json").expect(0).objects()
    #expect(merged.first?["journals"] as? Int == 5)
    let states = try shop.codi("jobs", "show", "lost-two", "--json").expect(0).objects()
    #expect(states.count == 8 && states.allSatisfy { $0["state"] as? String == "done" })
    try check(folder, "lost-one")
    try check(folder, "lost-two")
  }

  @Test("a whole run waits for no share at work: it is refused")
  func atWork() throws {
    let folder = try shop.pictures("at-work", count: 60, side: 40)
    _ = try shop.run(command(folder, "at-work-out") + ["--share", "1/2"]) { process in
      while shop.folder.names("at-work-out").filter({ $0.hasSuffix(".png") }).isEmpty && process.isRunning {
        usleep(1000)
      }
      try shop.run(command(folder, "at-work-out")).expect(4)
    }.expect(0)
  }

  @Test("Kubernetes' indexed Jobs are shares by their environment")
  func indexedJob() throws {
    let folder = try shop.pictures("indexed", count: 5)
    for index in 0..<2 {
      try shop.run(
        command(folder, "indexed-out"), ["JOB_COMPLETION_INDEX": "\(index)", "COMPLETIONS": "2"]
      ).expect(0)
    }
    try check(folder, "indexed-out")
    let refused = try shop.run(command(folder, "indexed-x"), ["JOB_COMPLETION_INDEX": "0"]).expect(2)
    #expect(refused.error.contains("COMPLETIONS"))
  }

  @Test(
    "mpirun starts ranks that share a job",
    .enabled(if: Programs.has("mpirun"), "openmpi-bin is not installed"))
  func mpi() throws {
    let folder = try shop.pictures("mpi", count: 9)
    let mpirun = ["--allow-run-as-root", "--oversubscribe", "-n", "3", Self.codi]
    let outcome = try shop.run(
      mpirun + command(folder, "mpi-out"), ["OMPI_MCA_btl": "self,tcp"], program: Programs.path("mpirun")
    ).expect(0)
    #expect(try finished(outcome).map(\.converted) == [3, 3, 3])
    // Again, with another number of ranks.
    let again = try shop.run(
      mpirun.map { $0 == "3" ? "2" : $0 } + command(folder, "mpi-out"), ["OMPI_MCA_btl": "self,tcp"],
      program: Programs.path("mpirun")
    ).expect(0)
    #expect(try finished(again).map(\.skipped).sorted() == [4, 5])
    try check(folder, "mpi-out")
  }

  @Test(
    "srun's tasks and a job array's share a job", .enabled(if: Programs.hasSlurm, "Slurm, Munge or root is missing"))
  func slurm() throws {
    let folder = try shop.pictures("slurm", count: 8)
    let array = shop.folder("array.sh")
    let line = ([Self.codi] + command(folder, "array-out")).joined(separator: " ")
    try Data("#!/bin/sh\nexec \(line)\n".utf8).write(to: URL(filePath: array))
    let step = ([Self.codi] + command(folder, "slurm-out")).joined(separator: " ")
    // A batch script with two tasks converts alone, its srun in two.
    let script = """
      srun -n 3 \(step)
      sbatch --wait -a 1-2 -o array-%a.txt \(array)
      cat array-1.txt array-2.txt
      """
    try Data(script.utf8).write(to: URL(filePath: shop.folder("slurm.sh")))
    let outcome = try shop.run(["sh", "slurm.sh"], program: "\(Self.scripts)/with-slurm")
    guard outcome.code != 77 else {
      print("skipped: \(outcome.error)")
      return
    }
    outcome.expect(0)
    let lines = outcome.out.split(separator: "\n").filter { $0.hasPrefix("{") }.joined(separator: "\n")
    let counts = try finished(.init(command: "", code: 0, out: lines, error: "")).map(\.converted)
    #expect(counts.prefix(3).sorted() == [2, 3, 3] && counts.dropFirst(3).sorted() == [4, 4], "\(counts)")
    try check(folder, "slurm-out")
    try check(folder, "array-out")
  }
}

private enum Programs {
  static func path(_ name: String) -> String? {
    (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/usr/sbin").split(separator: ":").map { "\($0)/\(name)" }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  static func has(_ name: String) -> Bool { path(name) != nil }

  static var hasSlurm: Bool {
    geteuid() == 0 && ["munged", "slurmctld", "slurmd", "srun", "sbatch"].allSatisfy(has)
  }
}
