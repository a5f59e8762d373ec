import Foundation
import Imaging
import TestSupport
import Testing

/// The promise of the journal, kept under fire: small by default, `make proof-batch` runs it at full size.
///
/// `CODI_PROOF_PICTURES` and `CODI_PROOF_KILLS` set the size; `CODI_PROOF_ADAPTER` names an adapter of the repository's
/// registry to use instead of the toy.
@Suite("Proof of resumption") struct BatchProofTests {
  private let shop: Workshop
  private let environment = ProcessInfo.processInfo.environment

  init() throws { shop = try Workshop.shared.get() }

  private func number(_ name: String, _ usual: Int) -> Int { environment[name].flatMap { Int($0) } ?? usual }

  /// 48 × 48 crops of photographs where there are some, else of drawn pictures; every hundredth is broken, three at least.
  private func crops(_ count: Int) throws -> (folder: String, broken: [String]) {
    let photographs = environment["CODI_TEST_DATA"].map { "\($0)/test/kodak24" } ?? ""
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: photographs)) ?? []).sorted()
      .filter { $0.hasSuffix(".png") }
    var sources = try names.map { try readBitmap("\(photographs)/\($0)") }
    if sources.isEmpty { sources = [Bitmap(Pictures.make(.photo, width: 512, height: 384))] }
    let folder = try shop.folder.make("proof")
    var random = SystemRandomNumberGenerator()
    let broken = Set((0..<count).shuffled(using: &random).prefix(max(3, count / 100)))
    for i in 0..<count {
      let source = sources[i % sources.count]
      let crop = source.cropped(
        x: (i * 61) % (source.width - 48), y: (i * 37) % (source.height - 48), width: 48, height: 48)
      var bytes = Data(try encodePNG(crop))
      // Cut off, emptied, or something else.
      if broken.contains(i) { bytes = [bytes.prefix(bytes.count / 2), Data(), Data("no picture".utf8)][i % 3] }
      try bytes.write(to: URL(filePath: String(format: "%@/crop%05d.png", folder, i)))
    }
    return (folder, broken.sorted().map { String(format: "%@/crop%05d.png", folder, $0) })
  }

  private func events(_ outcome: Workshop.Outcome, _ kind: String) -> [[String: Any]] {
    // A killed run may leave its last line cut off.
    outcome.out.split(separator: "\n").compactMap {
      try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
    }.filter { $0["event"] as? String == kind }
  }

  @Test("killed again and again, a batch ends as if nothing had happened", .timeLimit(.minutes(90)))
  func kills() throws {
    let (count, kills) = (number("CODI_PROOF_PICTURES", 80), number("CODI_PROOF_KILLS", 4))
    let (folder, broken) = try crops(count)
    var adapter = ["--adapter", "enlarge", "--steps", "1"]
    if let name = environment["CODI_PROOF_ADAPTER"] {
      try shop.codi("install", name, "--registry", Toy.root.appending(path: "registry").path).expect(0)
      adapter = ["--adapter", name, "--steps", "1"]
    }
    func command(_ out: String) -> [String] { ["convert", folder, "--out", out, "--json"] + adapter }

    let start = ContinuousClock.now
    let whole = try shop.run(command("proof-whole")).expect(1)
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    #expect(events(whole, "failed").compactMap { $0["input"] as? String }.sorted() == broken)

    var converted: [String] = []
    for round in 1...kills {
      // The first kill may come before the first result; each later one after some more of them, at any moment.
      let goal = round == 1 ? 0 : shop.folder.names("proof-killed").count + Int.random(in: 1...(count / kills / 2 + 1))
      let delay = Double.random(in: 0...0.1) + (round == 1 ? Double.random(in: 0...1) : 0)
      let outcome = try shop.run(command("proof-killed")) { process in
        while shop.folder.names("proof-killed").count < goal && process.isRunning { usleep(2000) }
        usleep(UInt32(delay * 1e6))
        kill(process.processIdentifier, SIGKILL)
      }
      converted += events(outcome, "converted").compactMap { $0["output"] as? String }
      print("kill \(round) of \(kills): \(converted.count) reported so far, exit \(outcome.code)")
    }
    let end = try shop.run(command("proof-killed")).expect(1)
    converted += events(end, "converted").compactMap { $0["output"] as? String }
    #expect(Set(converted).count == converted.count, "nothing that was reported finished was done again")
    #expect(events(end, "failed").compactMap { $0["input"] as? String }.sorted() == broken)
    let failures = events(end, "finished").first?["failures"] as? [[String: String]]
    #expect(failures?.compactMap { $0["input"] }.sorted() == broken)

    let names = shop.results("proof-whole")
    #expect(names.count == count - broken.count && shop.results("proof-killed") == names)
    var different = 0
    for name in names where try shop.bytes("proof-whole/\(name)") != shop.bytes("proof-killed/\(name)") {
      different += 1
    }
    #expect(different == 0)
    print("\(names.count) results equal the undisturbed run's (\(seconds) s), \(broken.count) named failures")
  }
}
