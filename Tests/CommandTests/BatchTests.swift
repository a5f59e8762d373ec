import Foundation
import Imaging
import TestSupport
import Testing

@Suite("Batches of codi convert") struct BatchTests {
  private let shop: Workshop

  init() throws { shop = try Workshop.shared.get() }

  private func convert(_ arguments: String..., input: String? = nil) throws -> Workshop.Outcome {
    try shop.run(
      ["convert"] + arguments + (arguments.contains("--adapter") ? [] : ["--adapter", "enlarge", "--steps", "1"]),
      input: input.map { Data($0.utf8) })
  }

  private func last(_ outcome: Workshop.Outcome) throws -> [Int?] {
    let event = try #require(try outcome.objects().last)
    #expect(event["event"] as? String == "finished")
    return ["converted", "skipped", "failed", "remaining"].map { event[$0] as? Int }
  }

  // MARK: Inputs and names

  @Test("folders are searched to the bottom and keep their shape; the folder for results is left out of the search")
  func recursive() throws {
    let folder = try shop.pictures("deep", count: 1)
    _ = try shop.pictures("deep/b/c", count: 2)
    for _ in 0..<2 { try convert(folder, "--out", "\(folder)/out").expect(0) }
    #expect(shop.results("deep/out") == ["b", "p0.png"] && shop.results("deep/out/b/c") == ["p0.png", "p1.png"])
  }

  @Test("patterns in quotes are expanded, ** through folders; one that matches nothing is an error")
  func patterns() throws {
    _ = try shop.pictures("globs/x", count: 2)
    _ = try shop.pictures("globs/y/z", count: 1)
    try convert("globs/x/p*.png", "--out", "globs-a").expect(0)
    #expect(shop.results("globs-a") == ["p0.png", "p1.png"])
    try convert("globs/**/p0.png", "--out", "globs-b", "--name", "{index}.{ext}").expect(0)
    #expect(shop.results("globs-b") == ["1.png", "2.png"])
    try convert("globs/*.jpg", "--out", "globs-c").expect(3)
  }

  @Test("a list on stdin, lines or NUL between names; a name that does not exist fails alone")
  func lists() throws {
    let folder = try shop.pictures("list", count: 3)
    try convert("-", "--out", "list-a", input: "\(folder)/p0.png\n\(folder)/p2.png\n").expect(0)
    #expect(shop.results("list-a") == ["p0.png", "p2.png"])
    let some = try convert("-", "--out", "list-b", "--json", input: "\(folder)/p1.png\0gone.png\0").expect(1)
    #expect(try last(some) == [1, 0, 1, 0])
    let failures = try some.objects().last?["failures"] as? [[String: String]]
    #expect(failures?.map { $0["input"] } == ["gone.png"])
  }

  @Test("NDJSON gives each picture its own seed, steps, parameters and name; a mistake in it names the line")
  func items() throws {
    let folder = try shop.pictures("items", count: 1)
    func convert(_ out: String, _ lines: [String]) throws -> Workshop.Outcome {
      try Data(lines.joined(separator: "\n").utf8).write(to: URL(filePath: shop.folder("\(out).ndjson")))
      return try self.convert("--items", "\(out).ndjson", "--out", out)
    }
    let path = "\"path\": \"\(folder)/p0.png\""
    try convert(
      "items-a",
      [
        "{\(path)}", "", "{\(path), \"out\": \"sub/seed.png\", \"seed\": 7}",
        "{\(path), \"out\": \"steps.webp\", \"steps\": 2, \"parameters\": {\"strength\": 0.5}}",
      ]
    ).expect(0)
    #expect(shop.results("items-a") == ["p0.png", "steps.webp", "sub"] && shop.results("items-a/sub") == ["seed.png"])
    try self.convert(folder, "--out", "items-seed", "--seed", "7").expect(0)
    #expect(try shop.bytes("items-a/sub/seed.png") == shop.bytes("items-seed/p0.png"))
    #expect(try shop.bytes("items-a/p0.png") != shop.bytes("items-seed/p0.png"))
    for (line, word) in [
      ("{\"paht\": \"a\"}", "paht"), ("no json", "no JSON"), ("{\(path), \"seed\": \"x\"}", "seed"),
    ] {
      let refused = try convert("items-b", ["{\(path)}", line]).expect(5)
      #expect(refused.error.contains("items-b.ndjson:2") && refused.error.contains(word), "\(refused.error)")
    }
    #expect(
      try convert("items-c", ["{\(path), \"parameters\": {\"strength\": 2}}"]).expect(2).error.contains("strength"))
  }

  @Test("names come from the template; unknown fields, collisions and names without a format are found beforehand")
  func names() throws {
    let folder = try shop.pictures("names", count: 2)
    try convert(folder, "--out", "names-a", "--name", "{stem}-{adapter}-{seed}.{ext}", "--format", "webp").expect(0)
    #expect(shop.results("names-a") == ["p0-enlarge-0.webp", "p1-enlarge-0.webp"])
    for name in ["{stm}.png", "{stem.png", "same.png", "../{stem}.png", "{stem}.doc"] {
      try convert(folder, "--out", "names-b", "--name", name).expect(2)
    }
    #expect(!shop.folder.names().contains("names-b"))
    try convert(folder, "--out", "names-c", "--limit", "1").expect(0)
    #expect(shop.results("names-c") == ["p0.png"])
  }

  // MARK: What is there already

  @Test("the same command again does nothing; what was added or removed since is done")
  func again() throws {
    let folder = try shop.pictures("again", count: 3)
    try convert(folder, "--out", "again-out").expect(0)
    #expect(try last(convert(folder, "--out", "again-out", "--json").expect(0)) == [0, 3, 0, 0])
    let before = try shop.bytes("again-out/p1.png")
    try FileManager.default.removeItem(atPath: shop.folder("again-out/p1.png"))
    try Pictures.write("\(folder)/q.png", 9, 9)
    #expect(try last(convert(folder, "--out", "again-out", "--json").expect(0)) == [2, 2, 0, 0])
    #expect(try shop.bytes("again-out/p1.png") == before)
    let dry = try convert(folder, "--out", "again-out", "--dry-run", "--json").expect(0).objects()
    #expect(dry.count == 1 && dry[0]["pictures"] as? Int == 0 && dry[0]["skipped"] as? Int == 4)
  }

  @Test("changed inputs, settings and results, and files of others, are refused, left or replaced as asked")
  func changed() throws {
    let folder = try shop.pictures("changed", count: 2)
    func check(_ word: String, _ arguments: [String] = [], converts: Int, _ change: () throws -> Void) throws {
      let out = "changed-\(word)"
      try convert(folder, "--out", out).expect(0)
      let before = try shop.bytes("\(out)/p0.png")
      try change()
      let command = ["convert", folder, "--adapter", "enlarge", "--steps", "1", "--out", out] + arguments
      let altered = try shop.bytes("\(out)/p0.png")
      let refused = try shop.run(command).expect(4)
      #expect(refused.error.contains(word) && refused.error.contains("--existing overwrite"), "\(refused.error)")
      #expect(try last(shop.run(command + ["--existing", "skip", "--json"]).expect(0)) == [0, 2, 0, 0])
      #expect(try shop.bytes("\(out)/p0.png") == altered)
      let replaced = try shop.run(command + ["--existing", "overwrite", "--json"]).expect(0)
      #expect(try last(replaced) == [converts, 2 - converts, 0, 0])
      // Now it is as this command makes it.
      #expect(try last(shop.run(command + ["--json"]).expect(0)) == [0, 2, 0, 0])
      if word == "changed after" { #expect(try shop.bytes("\(out)/p0.png") == before) }
    }
    try check("seed", ["--seed", "1"], converts: 2) {}
    try check("strength", ["--set", "strength=0.5"], converts: 2) {}
    try check("changed after", converts: 1) {
      try Data([1]).write(to: URL(filePath: shop.folder("changed-changed after/p0.png")))
    }
    try check("not written", converts: 1) {
      try FileManager.default.removeItem(atPath: shop.folder("changed-not written/.codi-job.sqlite"))
      try FileManager.default.removeItem(atPath: shop.folder("changed-not written/p1.png"))
      try convert("\(folder)/p1.png", "--out", "changed-not written").expect(0)
    }
    try check("has changed since", converts: 1) { try Pictures.write("\(folder)/p0.png", 13, 12, seed: 99) }
    // A new date alone is no change.
    try FileManager.default.setAttributes([.modificationDate: Date.now], ofItemAtPath: "\(folder)/p0.png")
    #expect(try last(convert(folder, "--out", "changed-has changed since", "--json").expect(0)) == [0, 2, 0, 0])
  }

  @Test("a second process on the same journal is refused, and the first is not disturbed")
  func busy() throws {
    let folder = try shop.pictures("busy", count: 60, side: 40)
    let first = try shop.run(["convert", folder, "--adapter", "enlarge", "--out", "busy-out", "--json"]) { process in
      while shop.folder.names("busy-out").filter({ $0.hasSuffix(".png") }).isEmpty && process.isRunning { usleep(1000) }
      let second = try convert(folder, "--out", "busy-out").expect(4)
      #expect(second.error.contains("Another codi works with this journal"))
    }.expect(0)
    #expect(try last(first) == [60, 0, 0, 0])
  }

  @Test("a journal that is none, and one that cannot be written, are errors and not lost work")
  func unusable() throws {
    let folder = try shop.pictures("unusable", count: 1)
    try Data("no database".utf8).write(to: URL(filePath: shop.folder("none.sqlite")))
    try convert(folder, "--out", "unusable-out", "--journal", "none.sqlite").expect(5)
    try convert(folder, "--out", "unusable-out", "--journal", "nowhere/j.sqlite").expect(5)
    #expect(shop.results("unusable-out").isEmpty)
  }

  @Test("codi jobs show tells state, digests, settings and errors of every result")
  func show() throws {
    let folder = try shop.pictures("show", count: 1)
    try Data("no picture".utf8).write(to: URL(filePath: "\(folder)/broken.png"))
    try convert(folder, "--out", "show-out", "--retries", "1").expect(1)
    let rows = try shop.codi("jobs", "show", "show-out", "--json").expect(0).objects()
    #expect(rows.map { $0["output"] as? String } == ["broken.png", "p0.png"])
    #expect(rows.map { $0["state"] as? String } == ["failed", "done"])
    #expect(rows[0]["attempts"] as? Int == 2 && (rows[0]["error"] as? String)?.contains("broken.png") == true)
    for field in [
      "inputDigest", "adapter", "core", "numerics", "parameters", "seed", "steps", "outputDigest", "timing",
    ] {
      #expect(rows[1][field] != nil, "\(field)")
    }
    #expect((rows[1]["numerics"] as? String)?.contains("oneDNN") == true)
    let text = try shop.codi("jobs", "show", "show-out", "--failed").expect(0)
    #expect(text.out.hasPrefix("failed broken.png: ") && text.out.split(separator: "\n").count == 1)
    try shop.codi("jobs", "show", "show").expect(3)
  }

  // MARK: Chains

  @Test("a chain converts without files between; its parameters are checked against every manifest")
  func chain() throws {
    let folder = try shop.pictures("chain", count: 1)
    let chain = ["convert", folder, "--adapter", "enlarge", "--adapter", "enlarge", "--steps", "1"]
    try shop.run(chain + ["--out", "chain-a", "--name", "{adapter}.{ext}"]).expect(0)
    #expect(shop.results("chain-a") == ["enlarge-enlarge.png"])
    #expect(try probe(shop.folder("chain-a/enlarge-enlarge.png")).width == 12 * 16)
    var seen = [try shop.bytes("chain-a/enlarge-enlarge.png")]
    for (number, setting) in ["strength=0", "1:strength=0", "2:strength=0"].enumerated() {
      try shop.run(chain + ["--out", "chain-\(number)", "--set", setting]).expect(0)
      seen.append(try shop.bytes("chain-\(number)/p0.png"))
    }
    #expect(Set(seen).count == 4)
    for setting in ["3:strength=0", "strength=2", "colour=red"] {
      try shop.run(chain + ["--out", "chain-x", "--set", setting]).expect(2)
    }
  }

  @Test("a chain in a file makes the bytes of the same chain named by --adapter")
  func pipeline() throws {
    let folder = try shop.pictures("piped", count: 1, side: 6)
    try """
    format: 1
    seed: 3
    precision: f32
    stages:
      - adapter: enlarge
        steps: 1
      - adapter: toy/enlarge@1.0.0
        steps: 1
        parameters: { strength: 0.5 }
    """.write(toFile: shop.folder("chain.yaml"), atomically: true, encoding: .utf8)
    try shop.run(["convert", folder, "--pipeline", "chain.yaml", "--out", "piped-file"]).expect(0)
    try shop.run([
      "convert", folder, "--adapter", "enlarge", "--adapter", "enlarge", "--steps", "1", "--seed", "3", "--set",
      "2:strength=0.5", "--precision", "f32", "--out", "piped-named",
    ]).expect(0)
    #expect(try shop.bytes("piped-file/p0.png") == shop.bytes("piped-named/p0.png"))

    // --seed is the one thing that may be said beside the file.
    let command = ["convert", folder, "--pipeline", "chain.yaml", "--out", "piped-other"]
    try shop.run(command + ["--seed", "4"]).expect(0)
    #expect(try shop.bytes("piped-other/p0.png") != shop.bytes("piped-file/p0.png"))
    for more in [["--adapter", "enlarge"], ["--steps", "1"], ["--set", "strength=0"], ["--precision", "f32"]] {
      try shop.run(command + more).expect(2)
    }
    try shop.run(["convert", folder, "--out", "piped-other"]).expect(2)
    try "format: 1\nstages:\n  - adapter: enlarge\n    parameters: { strength: 2 }\n".write(
      toFile: shop.folder("wrong.yaml"), atomically: true, encoding: .utf8)
    let wrong = try shop.run(["convert", folder, "--pipeline", "wrong.yaml", "--out", "piped-x"]).expect(5)
    #expect(wrong.error.contains("wrong.yaml:4:") && shop.folder.names("piped-x") == [])
  }

  @Test("the report shows what earlier runs finished, too")
  func report() throws {
    let folder = try shop.pictures("page", count: 2)
    try convert("\(folder)/p0.png", "--out", "page-out").expect(0)
    try convert(folder, "--out", "page-out", "--report", "page.html").expect(0)
    let page = String(decoding: try shop.bytes("page.html"), as: UTF8.self)
    #expect(page.components(separatedBy: "<figure>").count == 3 && page.contains("1 finished earlier"))
  }
}
