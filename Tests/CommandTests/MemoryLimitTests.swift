import Foundation
import TestSupport
import Testing

@Suite("codi convert --max-memory") struct MemoryLimitTests {
  private let shop: Workshop

  init() throws { shop = try Workshop.shared.get() }

  /// What the process held, by its own last event.
  private func peak(_ outcome: Workshop.Outcome) throws -> Int {
    try #require(try outcome.objects().last?["bytes"] as? Int)
  }

  @Test("a tall picture is made within less memory than it would take as a whole, with the same bytes")
  func kept() throws {
    _ = try shop.folder.make("tall")
    try Pictures.write(shop.folder("tall/a.png"), 160, 6000)
    let command = ["convert", "tall", "--adapter", "enlarge", "--steps", "1", "--json"]
    let free = try shop.run(command + ["--out", "tall-free"]).expect(0)
    let used = try peak(free)
    let tight = try shop.run(command + ["--out", "tall-tight", "--max-memory", "\(used * 4 / 5)"]).expect(0)
    #expect(try peak(tight) <= used * 4 / 5, "\(used) bytes without a limit")
    #expect(try shop.bytes("tall-tight/a.png") == shop.bytes("tall-free/a.png"))
    // What was done under the limit need not be done again under it.
    let again = try shop.run(command + ["--out", "tall-tight", "--max-memory", "\(used * 4 / 5)"]).expect(0)
    #expect(try again.objects().first?["skipped"] as? Int == 1)
  }

  @Test("a limit that no choice keeps is refused before the start, with the smallest that would do")
  func refused() throws {
    let folder = try shop.pictures("small", count: 1)
    let command = ["convert", folder, "--adapter", "enlarge", "--out", "small-out", "--steps", "1", "--json"]
    let refused = try shop.run(command + ["--max-memory", "10M"]).expect(4)
    #expect(shop.folder.names("small-out").filter { !$0.hasPrefix(".") } == [])
    let least = try #require(refused.error.firstMatch(of: /Allow (\d+)M/)?.1)
    let made = try shop.run(command + ["--max-memory", "\(least)M"]).expect(0)
    let allowed = try #require(Int(least)) << 20
    #expect(try peak(made) <= allowed)
    for wrong in ["", "lots", "-1G", "0", "1X", "1.2.3M"] {
      try shop.run(command + ["--max-memory=\(wrong)"]).expect(2)
    }
  }

  @Test("a dry run says what the job would hold, and stays below it")
  func estimated() throws {
    let folder = try shop.pictures("guess", count: 2, side: 200)
    let command = ["convert", folder, "--adapter", "enlarge", "--out", "guess-out", "--steps", "1", "--json"]
    let dry = try shop.run(command + ["--dry-run"]).expect(0)
    let bytes = try #require(try dry.objects().last?["bytes"] as? Int)
    #expect(try peak(try shop.run(command).expect(0)) <= bytes)
  }
}
