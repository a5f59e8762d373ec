import Foundation
import Imaging
import Pipelines
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

  private func run(
    _ inputs: [String] = ["in"], into: String = "out", seed: UInt64 = 0, steps: Int = 1, format: PictureFormat? = nil,
    shouldStop: @escaping @Sendable () -> Bool = { false }
  ) async throws -> (events: [JobEvent], converted: Int, failed: Int) {
    let out = try folder.make(into)
    let adapter = try Toy.adapter()
    let converter = try await Compute.run { () throws in
      var options = Converter.Options()
      (options.steps, options.seed, options.precision) = (steps, seed, .f32)
      return try Converter(adapter, plugin: try Toy.plugin(), options: options)
    }
    let plan = try JobPlan(inputs: inputs.map { folder($0) }, into: out, format: format)
    let log = Log()
    let result = await Job(plan, converter).run(events: { log.append($0) }, shouldStop: shouldStop)
    return (log.events, result.converted, result.failed)
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

  @Test("a broken picture is reported in its place and the rest go on")
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
    let order = result.events.map { event -> String in
      switch event {
      case .started(let items): "\(items) items"
      case .converted(let item, _, _, _): (item.output as NSString).lastPathComponent
      case .failed(let item, let reason): "-" + (item.input as NSString).lastPathComponent + (reason.isEmpty ? "?" : "")
      case .finished(let converted, let failed, _): "\(converted) + \(failed)"
      }
    }
    #expect(order == ["7 items", "a.png", "-b.png", "-c.jpg", "d.jpg", "-e.jpg", "-f.png", "g.webp", "3 + 4"])
    #expect(folder.names("out") == ["a.png", "d.jpg", "g.webp"], "and nothing else is left there")
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
    let (gone, adapter) = (folder("gone"), try Toy.adapter())
    let converter = try await Compute.run { () throws in try Converter(adapter, plugin: try Toy.plugin()) }
    let job = Job(try JobPlan(inputs: [folder("in")], into: gone), converter)
    let result = await job.run(events: { _ in })
    #expect(result.converted == 0 && result.failed == 2)
  }

  @Test("a stop leaves complete results only, and says how many")
  func stopped() async throws {
    for name in ["a", "b", "c"] { try Pictures.write(folder("in/\(name).png"), 8, 8) }
    let out = folder("out")
    let result = try await run(shouldStop: { FileManager.default.fileExists(atPath: "\(out)/a.png") })
    #expect(result.converted >= 1 && result.converted < 3 && result.failed == 0)
    #expect(folder.names("out") == ["a.png", "b.png", "c.png"].prefix(result.converted).map { $0 })
    guard case .finished(let converted, 0, _) = result.events.last else {
      Issue.record("the last event is \(String(describing: result.events.last))")
      return
    }
    #expect(converted == result.converted)
  }

  @Test("what a killed writer left an hour ago is swept away, and nothing else")
  func sweeps() async throws {
    try Pictures.write(folder("in/a.png"), 4, 4)
    _ = try folder.make("out")
    let old = [FileAttributeKey.modificationDate: Date(timeIntervalSinceNow: -4000)]
    for name in [".codi-abcdef", ".codi-abcde", ".codi-notes.txt", "codi-abcdef"] {
      #expect(FileManager.default.createFile(atPath: folder("out/\(name)"), contents: nil, attributes: old))
      try FileManager.default.setAttributes(old, ofItemAtPath: folder("out/\(name)"))
    }
    #expect(FileManager.default.createFile(atPath: folder("out/.codi-abcdeg"), contents: nil))
    _ = try await run()
    #expect(folder.names("out") == [".codi-abcde", ".codi-abcdeg", ".codi-notes.txt", "a.png", "codi-abcdef"])
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
    let adapter = try Toy.adapter()
    let converter = try await Compute.run { () throws in try Converter(adapter, plugin: try Toy.plugin()) }
    let estimate = try await Job(try JobPlan(inputs: [folder("in")], into: folder("out")), converter).estimate()
    // 400 × 200 takes two regions, 32 × 32 one.
    #expect(estimate.pictures == 3 && estimate.regions == 3)
    #expect(estimate.seconds > 0 && estimate.bytes > 10_000_000)
    #expect(folder.names().contains("out") == false, "nothing was made")
  }

  @Test("events are one line of JSON each, with their names first")
  func json() throws {
    try Pictures.write(folder("in/\"ü\n.png"), 1, 1)
    let plan = try JobPlan(inputs: [folder("in")], into: "out")
    let item = try #require(plan.items.first)
    let lines = [
      JobEvent.started(items: 1), .converted(item, width: 4, height: 8, seconds: 0.5),
      .failed(item, reason: "a \"b\"\n"),
      .finished(converted: 1, failed: 0, seconds: 1),
    ].map(\.json)
    let keys = [
      ["event", "items"], ["event", "input", "output", "width", "height", "seconds"],
      ["event", "input", "output", "reason"], ["event", "converted", "failed", "seconds"],
    ]
    for (line, keys) in zip(lines, keys) {
      #expect(!line.contains("\n") && line.hasPrefix("{\"event\":"))
      let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      #expect(Set(object.keys) == Set(keys))
    }
    let failed = try JSONSerialization.jsonObject(with: Data(lines[2].utf8)) as? [String: Any]
    #expect(failed?["input"] as? String == item.input && failed?["reason"] as? String == "a \"b\"\n")
  }
}
