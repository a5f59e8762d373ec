import Adapters
import Foundation
import Imaging
import Pipelines
import Registry
import Synchronization
import Tensor
import TestSupport
import Testing

@Suite("Running a job") struct JobTests {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    _ = try folder.make("in")
  }

  /// What a job reported, in order.
  private final class Log: Sendable {
    private let list = Mutex<[JobEvent]>([])
    var events: [JobEvent] { list.withLock { $0 } }
    func append(_ event: JobEvent) { list.withLock { $0.append(event) } }
  }

  /// One adapter, or the same several times over.
  private func chain(seed: UInt64 = 0, steps: Int = 1, stages: Int = 1) throws -> Chain {
    var options = Converter.Options()
    (options.steps, options.seed, options.precision) = (steps, seed, .f32)
    let stage = Chain.Stage(try Toy.adapter(), digest: "sha256:toy") { try Toy.plugin($0, seed: $1) }
    return try Chain([Chain.Stage](repeating: stage, count: stages), options: options, program: "test")
  }

  private typealias Run = (events: [JobEvent], converted: Int, failed: Int, skipped: Int, remaining: Int)

  private func run(
    _ inputs: [String] = ["in"], into: String = "out", seed: UInt64 = 0, steps: Int = 1, stages: Int = 1,
    format: PictureFormat? = nil, journal: Journal? = nil, options: JobOptions = JobOptions(),
    shouldStop: @escaping @Sendable () -> Bool = { false }
  ) async throws -> Run {
    let plan = try JobPlan(inputs: inputs.map { folder($0) }, into: try folder.make(into), format: format)
    return try await run(
      Job(
        plan, try chain(seed: seed, steps: steps, stages: stages), try journal ?? Journal(), options: options),
      shouldStop)
  }

  private func run(_ job: Job, _ shouldStop: @escaping @Sendable () -> Bool = { false }) async throws -> Run {
    let log = Log()
    let result = try await job.run(events: { log.append($0) }, shouldStop: shouldStop)
    return (log.events, result.converted, result.failures.count, result.skipped, result.remaining)
  }

  private func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(filePath: folder(name))) }

  @Test("a result's bytes depend on the picture's bytes, adapter, seed and steps alone")
  func sameBytes() async throws {
    try Pictures.write(folder("in/m.png"), 40, 30)
    _ = try await run()
    _ = try await run(into: "again")
    _ = try await run(into: "seed", seed: 1)
    _ = try await run(into: "steps", steps: 2)
    // Under other names, between others of other sizes, first and last.
    _ = try folder.make("batch")
    for name in ["a", "z"] {
      try FileManager.default.copyItem(atPath: folder("in/m.png"), toPath: folder("batch/\(name).png"))
    }
    try Pictures.write(folder("batch/k.png"), 70, 20, seed: 3)
    try Pictures.write(folder("batch/p.png"), 9, 90, seed: 4)
    #expect(try await run(["batch"], into: "many").converted == 4)
    let expected = try bytes("out/m.png")
    for same in ["again/m.png", "many/a.png", "many/z.png"] { #expect(try bytes(same) == expected, "\(same)") }
    for other in ["seed/m.png", "steps/m.png"] { #expect(try bytes(other) != expected, "\(other)") }
  }

  @Test("how many are under way changes no byte, whatever they share", arguments: [2, 8])
  func underWay(jobs: Int) async throws {
    for i in 0..<24 {
      var picture = Pictures.make(.photo, width: 5 + i * 7 % 50, height: 4 + i * 5 % 30, seed: UInt32(i + 1))
      if i % 4 == 0 { picture.alpha = (0..<picture.width * picture.height).map { Float($0 % 7) / 6 } }
      if i % 5 == 0 { picture.bitDepth = .sixteen }
      try Imaging.write(picture, to: folder("in/\(i).png"))
    }
    try Pictures.write(folder("in/wide.png"), 200, 8)
    var options = JobOptions()
    options.jobs = 1
    #expect(try await run(into: "one", steps: 2, options: options).converted == 25)
    options.jobs = jobs
    #expect(try await run(into: "many", steps: 2, options: options).converted == 25)
    for name in folder.names("one") { #expect(try bytes("many/\(name)") == bytes("one/\(name)"), "\(name)") }
  }

  @Test("broken pictures are named and the rest go on")
  func broken() async throws {
    try Pictures.write(folder("in/a.png"), 8, 8)
    try Data("no picture".utf8).write(to: URL(filePath: folder("in/b.png")))
    try Data().write(to: URL(filePath: folder("in/c.jpg")))
    try Pictures.write(folder("in/d.jpg"), 64, 64)
    // Cut off in the middle.
    let whole = try bytes("in/d.jpg")
    try whole.prefix(whole.count / 2).write(to: URL(filePath: folder("in/e.jpg")))
    try FileManager.default.createSymbolicLink(atPath: folder("in/f.png"), withDestinationPath: folder("gone"))
    try Pictures.write(folder("in/g.webp"), 8, 8)
    let result = try await run()
    #expect(result.converted == 3 && result.failed == 4)
    var (made, failed) = ([String](), [String]())
    for event in result.events {
      if case .converted(let item, _) = event { made.append((item.output as NSString).lastPathComponent) }
      if case .failed(let item, 1, let reason) = event, !reason.isEmpty {
        failed.append((item.input as NSString).lastPathComponent)
      }
    }
    #expect(made.sorted() == ["a.png", "d.jpg", "g.webp"])
    #expect(failed.sorted() == ["b.png", "c.jpg", "e.jpg", "f.png"])
    guard case .started(7, 0, .whole) = result.events.first, case .finished(let last, _) = result.events.last else {
      Issue.record("\(result.events)")
      return
    }
    #expect(
      last.failures.map(\.item.input).sorted() == ["b.png", "c.jpg", "e.jpg", "f.png"].map { folder("in/\($0)") })
    #expect(folder.names("out") == ["a.png", "d.jpg", "g.webp"], "and nothing else is left there")
  }

  @Test(
    "a picture wider than this machine can hold rows of fails by name, and the others go on",
    .enabled(if: ProcessInfo.processInfo.physicalMemory < 300 << 30, "this machine could hold them"))
  func tooWide() async throws {
    try Data(pngHeader(width: 9_999_999, height: 1)).write(to: URL(filePath: folder("in/a.png")))
    try Pictures.write(folder("in/b.png"), 4, 4)
    let result = try await run()
    #expect(result.converted == 1 && result.failed == 1)
    for case .failed(let item, _, let reason) in result.events {
      #expect(reason.hasPrefix(item.input) && reason.contains("9999999 pixels wide"), "\(reason)")
    }
  }

  @Test("a picture that changes while it is converted fails by name, and is made by the next run")
  func changing() async throws {
    try Pictures.write(folder("in/a.png"), 40, 40)
    let journal = try Journal()
    let input = folder("in/a.png")
    let result = try await run(
      journal: journal,
      shouldStop: {
        // What lies behind a PNG's end is ignored, so that only the file's size tells.
        guard let file = FileHandle(forWritingAtPath: input) else { return true }
        file.seekToEndOfFile()
        file.write(Data([0]))
        return false
      })
    guard case .failed(_, 1, let reason) = result.events.dropLast().last else {
      Issue.record("\(result.events)")
      return
    }
    #expect(reason.hasPrefix(input) && reason.contains("changed while"), "\(reason)")
    #expect(result.failed == 1 && folder.names("out") == [])
    #expect(try await run(journal: journal).converted == 1)
  }

  @Test("a pipe among the inputs is refused instead of waited for")
  func pipes() async throws {
    #expect(mkfifo(folder("in/a.png"), 0o600) == 0)
    try Pictures.write(folder("in/b.png"), 4, 4)
    let result = try await run()
    #expect(result.converted == 1 && result.failed == 1)
  }

  @Test("a folder for results that goes away fails every picture, and ends")
  func noFolder() async throws {
    try Pictures.write(folder("in/a.png"), 4, 4)
    try Pictures.write(folder("in/b.png"), 4, 4)
    let job = Job(try JobPlan(inputs: [folder("in")], into: folder("gone")), try chain(), try Journal())
    let result = try await run(job)
    #expect(result.converted == 0 && result.failed == 2)
  }

  @Test("a stop leaves complete results only, and says how many")
  func stopped() async throws {
    for i in 0..<100 { try Pictures.write(folder("in/\(i).png"), 8, 8) }
    let out = folder("out")
    let result = try await run(
      shouldStop: {
        (try? FileManager.default.contentsOfDirectory(atPath: out))?.contains { $0.hasSuffix(".png") } == true
      })
    #expect(result.converted >= 1 && result.converted < 100 && result.failed == 0)
    #expect(folder.names("out").count == result.converted && result.remaining == 100 - result.converted)
    guard case .finished(let last, _) = result.events.last else {
      Issue.record("the last event is \(String(describing: result.events.last))")
      return
    }
    #expect(last.converted == result.converted && last.remaining == result.remaining)
  }

  @Test("what a killed writer left is swept away; what another one is writing, and other files, are not")
  func sweeps() async throws {
    try Pictures.write(folder("in/a.png"), 4, 4)
    _ = try folder.make("out")
    let mine = [
      ".codi-abcdef", ".codi-notes.txt", "codi-abcdef", "\(StagedFile.prefix)abcde", "\(StagedFile.prefix)abcdefg",
    ]
    for name in mine + ["\(StagedFile.prefix)abcdef"] {
      try Data([1]).write(to: URL(filePath: folder("out/\(name)")))
    }
    let staged = try StagedFile([1, 2, 3], for: folder("out/other.png"))
    _ = try await run()
    let names = folder.names("out")
    #expect(Set(mine).isSubset(of: names), "\(names)")
    let hidden = names.filter { !(mine + ["a.png"]).contains($0) }
    #expect(
      hidden.count == 1 && hidden[0].hasPrefix(StagedFile.prefix) && !hidden[0].hasSuffix("-abcdef"), "\(hidden)")
    try staged.publish()
    #expect(try bytes("out/other.png") == Data([1, 2, 3]))
  }

  @Test("formats, depth, alpha and grey pictures keep what they promise")
  func formats() async throws {
    var picture = Pictures.make(.photo, width: 10, height: 6)
    for suffix in ["png", "jpg", "jpeg", "webp", "tif", "tiff"] {
      try write(picture, to: folder("in/plain-\(suffix).\(suffix)"))
    }
    picture.bitDepth = .sixteen
    for suffix in ["png", "tif"] { try write(picture, to: folder("in/deep-\(suffix).\(suffix)")) }
    picture.alpha = (0..<60).map { Float($0) / 60 }
    for suffix in ["png", "webp", "tif"] { try write(picture, to: folder("in/alpha-\(suffix).\(suffix)")) }
    try Data(Self.greyTIFF(width: 10, height: 6)).write(to: URL(filePath: folder("in/grey.tif")))
    let result = try await run()
    #expect(result.failed == 0, "\(result.events)")
    for name in folder.names("in") {
      let (before, after) = (try probe(folder("in/\(name)")), try probe(folder("out/\(name)")))
      #expect(after.width == 40 && after.height == 24 && after.format == before.format, "\(name)")
      #expect(after.bitDepth == before.bitDepth && after.hasAlpha == before.hasAlpha, "\(name)")
    }
  }

  /// A little-endian, uncompressed TIFF of one 8-bit channel: our own encoders write colours only.
  private static func greyTIFF(width: Int, height: Int) -> [UInt8] {
    func u16(_ v: Int) -> [UInt8] { [UInt8(v & 255), UInt8(v >> 8 & 255)] }
    func u32(_ v: Int) -> [UInt8] { u16(v & 0xffff) + u16(v >> 16) }
    let count = width * height
    let data = (0..<count).map { UInt8($0 * 255 / count) }
    let entries: [(tag: Int, type: Int, value: Int)] = [
      (256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
      (278, 4, height),
      (279, 4, count),
    ]
    let records = entries.flatMap { u16($0.tag) + u16($0.type) + u32(1) + u32($0.value) }
    return [0x49, 0x49, 42, 0] + u32(8 + count) + data + u16(entries.count) + records + u32(0)
  }

  @Test("an estimate counts pictures and regions and leaves out what cannot be read")
  func estimate() async throws {
    try Pictures.write(folder("in/a.png"), 100, 50)
    try Pictures.write(folder("in/b.png"), 8, 8)
    try Data("no picture".utf8).write(to: URL(filePath: folder("in/c.png")))
    let plan = try JobPlan(inputs: [folder("in")], into: folder("out"))
    let estimate = try await Job(plan, try chain(), try Journal()).estimate()
    // 400 × 200 takes two regions, 32 × 32 one.
    #expect(estimate.pictures == 3 && estimate.regions == 3 && estimate.skipped == 0)
    #expect(estimate.items.map { ($0.input as NSString).lastPathComponent } == ["a.png", "b.png", "c.png"])
    #expect(estimate.seconds > 0 && estimate.bytes > 10_000_000)
    #expect(folder.names().contains("out") == false, "nothing was made")
  }

  @Test("events are one line of JSON each, with their names first")
  func json() throws {
    try Pictures.write(folder("in/\"ü\n.png"), 1, 1)
    let plan = try JobPlan(inputs: [folder("in")], into: "out")
    let item = try #require(plan.items.first)
    var timing = ItemTiming()
    (timing.decode, timing.network, timing.encode) = (0.25, 0.5, 0.25)
    var result = JobResult()
    result.failures = [.init(item: item, reason: "broken")]
    let lines = [
      JobEvent.started(items: 1, skipped: 0, share: Share(index: 1, count: 4)), .skipped(item, .exists),
      .converted(
        item, .init(width: 4, height: 8, digest: "abc", seed: .max, attempts: 2, timing: timing)),
      .retried(item, attempt: 1, reason: "busy"), .failed(item, attempts: 3, reason: "a \"b\"\n"),
      .finished(result, seconds: 1),
    ].map(\.json)
    let named = ["event", "input", "output"]
    let keys = [
      ["event", "items", "skipped", "share"], named + ["reason"],
      named + ["width", "height", "sha256", "seed", "attempts", "seconds", "timing"], named + ["attempt", "reason"],
      named + ["attempts", "reason"],
      ["event", "converted", "skipped", "failed", "remaining", "seconds", "bytes", "failures"],
    ]
    // The documented table: every event with every field, and no other.
    let page = try String(contentsOf: Toy.root.appending(path: "Documentation/Batch.md"), encoding: .utf8)
    var documented: [String: [String]] = [:]
    for row in page.split(separator: "\n").compactMap({ $0.wholeMatch(of: /\| ((?:`\w+`, )*`\w+`) \| `(\w+)` \| .*\|/) }
    ) {
      for event in row.1.replacing("`", with: "").split(separator: ", ") {
        documented[String(event), default: ["event"]].append(String(row.2))
      }
    }
    let names = ["started", "skipped", "converted", "retried", "failed", "finished"]
    #expect(Set(documented.keys) == Set(names))
    for (name, keys) in zip(names, keys) { #expect(Set(documented[name] ?? []) == Set(keys), "\(name)") }
    #expect(lines.count == keys.count)
    for (line, keys) in zip(lines, keys) {
      #expect(!line.contains("\n") && line.hasPrefix("{\"event\":"))
      let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      #expect(Set(object.keys) == Set(keys))
    }
    let failed = try JSONSerialization.jsonObject(with: Data(lines[4].utf8)) as? [String: Any]
    #expect(failed?["input"] as? String == item.input && failed?["reason"] as? String == "a \"b\"\n")
  }

  @Test("a chain gives what its adapters give one after the other, with noise of its own at each")
  func chains() async throws {
    try Pictures.write(folder("in/a.png"), 6, 5)
    #expect(try await run(into: "twice", stages: 2).converted == 1)
    #expect(try probe(folder("twice/a.png")).width == 96)
    #expect(try await run(into: "again", stages: 2).converted == 1)
    #expect(try bytes("twice/a.png") == bytes("again/a.png"))
  }

  @Test("what is chosen for one picture reaches it, and no other")
  func choices() async throws {
    try Pictures.write(folder("in/a.png"), 8, 8)
    _ = try await run(into: "plain")
    _ = try await run(into: "seven", seed: 7)
    let items = ["plain", "seed", "strength"].map { name in
      var item = InputItem(path: folder("in/a.png"))
      item.out = "\(name).png"
      if name == "seed" { item.choices.seed = 7 }
      if name == "strength" { item.choices.parameters = ["strength": "0"] }
      return item
    }
    let out = try folder.make("out")
    let result = try await run(Job(try JobPlan(items, into: out), try chain(), try Journal()))
    #expect(result.converted == 3)
    #expect(try bytes("out/plain.png") == bytes("plain/a.png"))
    #expect(try bytes("out/seed.png") == bytes("seven/a.png"))
    #expect(try bytes("out/strength.png") != bytes("plain/a.png"))
  }

  @Test("a parameter that is none, or out of its range, is refused before the first conversion")
  func wrongChoices() async throws {
    try Pictures.write(folder("in/a.png"), 8, 8)
    for parameters in [["strengh": "1"], ["strength": "much"]] {
      var item = InputItem(path: folder("in/a.png"))
      item.choices.parameters = parameters
      let job = Job(try JobPlan([item], into: try folder.make("out")), try chain(), try Journal())
      let error = await #expect(throws: ConversionError.self) { try await run(job) }
      #expect(error?.code == .options)
    }
    #expect(folder.names("out").isEmpty)
  }

  @Test("a failing picture gets as many further attempts as were asked for, and --on-error stop ends the run after it")
  func retries() async throws {
    try Data("no picture".utf8).write(to: URL(filePath: folder("in/a.png")))
    for name in ["b", "c", "d", "e", "f", "g"] { try Pictures.write(folder("in/\(name).png"), 8, 8) }
    var options = JobOptions()
    (options.retries, options.onError, options.jobs) = (2, .stop, 1)
    let result = try await run(options: options)
    let attempts = result.events.compactMap { event -> Int? in
      if case .retried(_, let attempt, _) = event { attempt } else { nil }
    }
    #expect(attempts == [1, 2])
    #expect(result.failed == 1 && result.converted == 0 && result.remaining == 6)
    guard case .failed(_, 3, _) = result.events.dropLast().last else {
      Issue.record("\(result.events)")
      return
    }
  }
}
