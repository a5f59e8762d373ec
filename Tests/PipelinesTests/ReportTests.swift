import Bundles
import Foundation
import Imaging
import Pipelines
import Testing

@Suite("The report") struct ReportTests {
  @Test("holds every picture before and after, and links to nothing")
  func selfContained() throws {
    let html = try Self.report(width: 20, height: 10, scale: 4)
    #expect(try Self.pictures(html).map(\.width) == [80, 80], "both at the size of the result")
    #expect(html.contains("demo/adapter@0.1.0") && html.contains("4 steps, seed 7"))
    #expect(html.contains("20 × 10 → 80 × 40, 1.50 s"))
    #expect(!html.contains("http") && !html.contains("<link"))
  }

  @Test("shows the middle of a large result at its own pixels, and the same part of the input beside it")
  func middle() throws {
    let html = try Self.report(width: 211, height: 140, scale: 4)
    let pictures = try Self.pictures(html)
    #expect(pictures.map(\.width) == [512, 512] && pictures.map(\.height) == [512, 512])
    // The result here is the bicubic enlargement itself, so both must be one picture; a shift by a pixel would show.
    let difference = zip(pictures[0].pixels, pictures[1].pixels).map { abs(Int($0) - Int($1)) }.max()
    #expect(try #require(difference) <= 8)
    #expect(html.contains("the middle is shown"))
  }

  @Test("shows a large result of unchanged size as a whole, reduced")
  func reduced() throws {
    let html = try Self.report(width: 1024, height: 256, scale: 1)
    #expect(try Self.pictures(html).map(\.width) == [512, 512])
    #expect(html.contains("shown reduced"))
  }

  @Test("lists what failed, with names that cannot become markup")
  func failures() throws {
    var report = try Self.empty()
    report.add(.failed(try Self.item("<b>&\"x\".png"), attempts: 1, reason: "a < b"))
    report.add(.finished(JobResult(), seconds: 2))
    #expect(report.html.contains("&lt;b&gt;&amp;&quot;x&quot;.png"))
    #expect(report.html.contains("a &lt; b") && report.html.contains("0 converted, 1 failed, 2.00 s"))
  }

  @Test("stays a page that a browser opens when it shows two thousand pictures, and says what was finished earlier")
  func large() throws {
    let folder = try Self.folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let pixels = (0..<(192 * 192 * 3)).map { 0.5 + 0.4 * Float(sin(Double($0) / 7)) }
    try write(Picture(width: 192, height: 192, pixels: pixels), to: "\(folder)/out/a.png")
    try write(Picture(width: 48, height: 48, pixels: Array(pixels.prefix(48 * 48 * 3))), to: "\(folder)/in/a.png")
    let item = try JobPlan(inputs: ["\(folder)/in/a.png"], into: "\(folder)/out").items[0]
    var report = try Self.empty()
    for _ in 0..<2010 { report.add(.skipped(item, .done)) }
    let html = report.html
    #expect(html.utf8.count < 40_000_000, "\(html.utf8.count) bytes")
    #expect(html.contains("2010 finished earlier") && html.contains("the first 2000 are shown"))
    #expect(html.components(separatedBy: "<figure>").count == 2001)
  }

  @Test("cannot be written into a folder that does not exist, and says so")
  func unwritable() throws {
    let report = try Self.empty()
    #expect(throws: ConversionError.self) { try report.write(to: "/nowhere/page.html") }
  }

  /// The page of one conversion whose result is the input enlarged by a bicubic kernel.
  private static func report(width: Int, height: Int, scale: Int) throws -> String {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let pixels = (0..<(width * height * 3)).map { i in
      let (x, y) = (i / 3 % width, i / 3 / width)
      return 0.5 + 0.4 * Float(sin(Double(x) / 3 + Double(i % 3)) * cos(Double(y) / 4))
    }
    let enlarged = ResamplingKernel.bicubic.resampled(
      pixels, width: width, height: height, channels: 3, to: (width * scale, height * scale))
    try write(Picture(width: width, height: height, pixels: pixels), to: "\(folder)/in/a.png")
    try write(
      Picture(width: width * scale, height: height * scale, pixels: enlarged), to: "\(folder)/out/a.png")
    var report = try empty()
    let plan = try JobPlan(inputs: ["\(folder)/in/a.png"], into: "\(folder)/out")
    report.add(.started(items: 1, skipped: 0, share: .whole))
    var timing = ItemTiming()
    (timing.decode, timing.network, timing.encode) = (0.25, 1, 0.25)
    report.add(
      .converted(
        plan.items[0],
        .init(
          width: width * scale, height: height * scale, digest: "", seed: 7, attempts: 1, timing: timing)))
    report.add(.finished(JobResult(), seconds: 1.6))
    return report.html
  }

  private static func item(_ name: String) throws -> JobItem {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try Data().write(to: URL(filePath: "\(folder)/in").appending(path: name))
    return try JobPlan(inputs: ["\(folder)/in/\(name)"], into: "\(folder)/out").items[0]
  }

  private static func folder() throws -> String {
    let folder = FileManager.default.temporaryDirectory.appending(path: "codi-report-\(UUID().uuidString)").path
    for name in ["in", "out"] {
      try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
    }
    return folder
  }

  private static func empty() throws -> Report {
    let manifest = Manifest(
      kind: .adapter, name: "demo/adapter", version: try #require(SemanticVersion("0.1.0")), task: "enlarge",
      summary: "Enlarges.", license: "Apache-2.0", requires: .init(codi: .any),
      weights: .init(sha256: "", parameters: 1),
      training: .init(method: "codi", samplesSeen: 1, data: []))
    return Report(adapters: [manifest], steps: 4, seed: 7)
  }

  /// The pictures embedded in a page, in order.
  private static func pictures(_ html: String) throws -> [Bitmap] {
    try html.components(separatedBy: "data:image/jpeg;base64,").dropFirst().map { part in
      let data = try #require(Data(base64Encoded: String(part.prefix { $0 != "\"" })))
      return try decodeBitmap([UInt8](data))
    }
  }
}
