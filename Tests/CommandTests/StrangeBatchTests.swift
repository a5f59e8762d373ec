import Foundation
import Imaging
import TestSupport
import Testing

@Suite("Batches that were meant otherwise") struct StrangeBatchTests {
  private let shop: Workshop

  init() throws { shop = try Workshop.shared.get() }

  private func items(_ line: String) throws -> Workshop.Outcome {
    try shop.run(
      ["convert", "--items", "-", "--adapter", "enlarge", "--steps", "1", "--out", "strange-items"],
      input: Data((line + "\n").utf8))
  }

  @Test("results of NDJSON stay in their folder; mistakes are told with their line, in words of NDJSON")
  func mistakes() throws {
    let path = "\"path\": \"\(try shop.pictures("strange", count: 1))/p0.png\""
    for (line, code, words) in [
      ("{\(path), \"out\": \"../x.png\"}", 2, "leave the folder"),
      ("{\(path), \"out\": \"a/../../x.png\"}", 2, "leave the folder"),
      ("{\(path), \"out\": \"\(shop.folder("x.png"))\"}", 2, "leave the folder"),
      ("{\(path), \"out\": \"a\\u0000b.png\"}", 5, "out holds a NUL"),
      ("{\"path\": \"a\\u0000b.png\"}", 5, "path holds a NUL"),
      ("{\(path), \"seed\": 1.5}", 5, "seed is no whole number"),
      ("{\(path), \"seed\": -1}", 5, "seed is no whole number"),
      ("{\(path), \"steps\": \"2\"}", 5, "steps is no whole number"),
      ("{\(path), \"out\": 7}", 5, "out is no text"),
      ("{\(path), \"seed\": 1, \"s\\u0065ed\": 2}", 5, "seed is there twice"),
      ("{\(path), \"parameters\": {\"strength\": 1, \"strength\": 0}}", 5, "strength is there twice"),
      ("[1]", 5, "no JSON object"), ("{}", 5, "path is missing"),
      ("{\(path), \"steps\": 0}", 2, "steps"), ("{\(path), \"parameters\": {\"colour\": 1}}", 2, "colour"),
    ] {
      let outcome = try items(line).expect(Int32(code))
      #expect(outcome.error.contains("stdin:1") && outcome.error.contains(words), "\(line): \(outcome.error)")
      #expect(!outcome.error.contains("Int"), "\(outcome.error)")
    }
    #expect(!shop.folder.names().contains("x.png"))
    // What a field stands for may lead out as well.
    try shop.shell(
      "mkdir dots && cp strange/p0.png dots/...png && $CODI convert dots/...png $ARGS --out d --name '{stem}/x.png'"
    )
    .expect(2)
  }

  @Test("the same command again works where results lie beside their inputs")
  func resultsBesideInputs() throws {
    _ = try shop.pictures("beside", count: 2)
    for input in ["beside", "'beside/*.png'"] {
      for _ in 0..<2 { try shop.shell("$CODI convert \(input) $ARGS --out beside --name '{stem}-4.{ext}'").expect(0) }
    }
    #expect(shop.results("beside") == ["p0-4.png", "p0.png", "p1-4.png", "p1.png"])
    try shop.shell("$CODI convert beside/p0-4.png $ARGS --out beside --name '{stem}-4.{ext}'").expect(0)
    #expect(shop.results("beside").contains("p0-4-4.png"))
  }

  @Test("a chain whose result no memory holds fails by name, and the other pictures go on")
  func hugeChain() throws {
    let folder = try shop.pictures("huge", count: 1)
    try write(Pictures.make(.flat, width: 200_000, height: 11), to: "\(folder)/wide.png")
    let outcome = try shop.shell("$CODI convert huge $ARGS --adapter enlarge --out huge-out").expect(1)
    #expect(outcome.error.contains("16 times") && shop.results("huge-out") == ["p0.png"], "\(outcome.error)")
  }

  @Test("a report that cannot be written is found before the first conversion")
  func impossibleReport() throws {
    _ = try shop.pictures("paged", count: 1)
    for page in ["none/page.html", "paged", "/proc/page.html"] {
      let outcome = try shop.shell("$CODI convert paged $ARGS --out paged-out --report \(page)").expect(5)
      #expect(outcome.error.contains("--report") && shop.results("paged-out").isEmpty, "\(outcome.error)")
    }
  }

  @Test("messages say what helps: formats, damaged journals, bundles without suffix, licences, equal keys")
  func messages() throws {
    let folder = try shop.folder.make("said")
    try Data("P6\n1 1\n255\nabc".utf8).write(to: URL(filePath: "\(folder)/a.png"))
    let format = try shop.shell("$CODI convert said $ARGS --out said-out").expect(1)
    #expect(format.error.contains("PPM") && !format.error.contains("Vips"), "\(format.error)")
    let journal = try shop.shell("echo no database at all >j.sqlite; $CODI jobs show j.sqlite").expect(5)
    #expect(journal.error.contains("damaged") && journal.error.contains("--existing"), "\(journal.error)")
    for command in ["install", "info", "verify"] {
      #expect(
        try shop.shell("cp core.codi said/c; $CODI \(command) ./said/c").expect(2).error.contains("ends in .codi"))
    }
    let pack = try shop.shell("cd said && $CODI pack run --source . --out o.codi").expect(3)
    #expect(pack.error.contains("--license"), "\(pack.error)")
    let keys = try shop.shell(
      "cd said && $CODI keys new ./k.key --no-password && $CODI keys rotate toy --from ./k.key --to ./k.pub --out u")
    #expect(keys.expect(2).error.contains("same key") && !shop.folder.names("said").contains("u"), "\(keys.error)")
  }
}
