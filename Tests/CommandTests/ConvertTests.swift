import Bundles
import Foundation
import Imaging
import TestSupport
import Testing

@Suite("codi convert") struct ConvertTests {
  private let shop: Workshop

  init() throws { shop = try Workshop.shared.get() }

  @Test("--json prints one object a line on stdout and nothing else there; --quiet says nothing at all")
  func streams() throws {
    let folder = try shop.pictures("streams", count: 2)
    let json = try shop.codi("convert", folder, "--adapter", "enlarge", "--out", "json", "--json").expect(0)
    let events = try json.objects()
    #expect(events.map { $0["event"] as? String } == ["started", "converted", "converted", "finished"])
    #expect(events[0]["items"] as? Int == 2)
    let made = try #require(events.first { $0["output"] as? String == "json/p0.png" })
    #expect(made["width"] as? Int == 48 && made["attempts"] as? Int == 1 && made["seed"] as? Int == 0)
    #expect(made["sha256"] as? String == SHA256.hex(of: try shop.bytes("json/p0.png")))
    #expect(Set((made["timing"] as? [String: Any] ?? [:]).keys) == ["decode", "network", "encode"])
    #expect(events[3]["converted"] as? Int == 2 && events[3]["failed"] as? Int == 0)

    let quiet = try shop.codi("convert", folder, "--adapter", "enlarge", "--out", "quiet", "--quiet").expect(0)
    #expect(quiet.out.isEmpty && quiet.error.isEmpty, "\(quiet.error)")
    let plain = try shop.codi("convert", folder, "--adapter", "enlarge", "--out", "plain").expect(0)
    #expect(plain.out.isEmpty && plain.error.contains("converted 2 of 2 into plain"))
    for name in ["p0.png", "p1.png"] {
      #expect(try shop.bytes("json/\(name)") == shop.bytes("plain/\(name)"))
      #expect(try shop.bytes("json/\(name)") == shop.bytes("quiet/\(name)"))
    }
  }

  @Test("the number of threads changes no byte")
  func threads() throws {
    let path = shop.folder("threads.png")
    try Pictures.write(path, 100, 70)
    for threads in ["1", "2", "3"] {
      try shop.codi(
        "convert", path, "--adapter", "enlarge", "--out", "threads-\(threads)",
        environment: ["OMP_NUM_THREADS": threads]
      ).expect(0)
    }
    let expected = try shop.bytes("threads-1/threads.png")
    for threads in ["2", "3"] { #expect(try shop.bytes("threads-\(threads)/threads.png") == expected) }
  }

  @Test("--set, --seed, --steps and --format reach the result")
  func options() throws {
    let path = "\(try shop.pictures("options", count: 1))/p0.png"
    var seen = Set<Data>()
    for (number, more) in [
      [], ["--seed", "1"], ["--steps", "1"], ["--set", "strength=0"], ["--precision", "f32"],
    ].enumerated() {
      try shop.run(["convert", path, "--adapter", "enlarge@1", "--out", "options-\(number)"] + more) { _ in }.expect(0)
      seen.insert(try shop.bytes("options-\(number)/p0.png"))
    }
    #expect(seen.count >= 4, "f32 is the default where the CPU lacks bfloat16")
    try shop.codi("convert", path, "--adapter", "toy/enlarge", "--out", "webp", "--format", "webp").expect(0)
    #expect(try probe(shop.folder("webp/p0.webp")).format == "webp")
  }

  @Test("--dry-run names what would be made, its time and memory, and makes nothing")
  func dryRun() throws {
    let folder = try shop.pictures("dry", count: 2)
    let text = try shop.codi("convert", folder, "--adapter", "enlarge", "--out", "dry-out", "--dry-run").expect(0)
    #expect(text.out.contains("/p0.png → dry-out/p0.png") && text.out.contains("MB of memory"), "\(text.out)")
    #expect(text.error.isEmpty)
    let json = try shop.codi("convert", folder, "--adapter", "enlarge", "--out", "dry-out", "--dry-run", "--json")
    let lines = try json.expect(0).objects()
    #expect(lines.map { $0["event"] as? String } == ["planned", "planned", "estimate"])
    #expect(Set(lines[2].keys) == ["event", "pictures", "skipped", "regions", "seconds", "bytes"])
    #expect(lines[2]["pictures"] as? Int == 2 && lines[2]["regions"] as? Int == 2)
    #expect(!shop.folder.names().contains("dry-out"))
  }

  @Test("killed at any moment, what is there is complete and what an undisturbed run makes")
  func killed() throws {
    let folder = try shop.pictures("killed", count: 24, side: 40)
    try shop.codi("convert", folder, "--adapter", "enlarge", "--out", "whole").expect(0)
    let all = shop.results("whole")
    #expect(all.count == 24)
    // From the moment results begin to appear.
    for (round, delay) in [0, 7_000, 23_000, 61_000, 140_000].enumerated() {
      let out = "killed-\(round)"
      _ = try shop.run(["convert", folder, "--adapter", "enlarge", "--out", out]) { process in
        while !shop.folder.names(out).contains("p0.png") && process.isRunning { usleep(500) }
        usleep(UInt32(delay))
        kill(process.processIdentifier, SIGKILL)
      }
      let present = shop.folder.names(out).filter { !$0.hasPrefix(".") }
      for name in present {
        _ = try readPicture(shop.folder("\(out)/\(name)"))
        #expect(try shop.bytes("\(out)/\(name)") == shop.bytes("whole/\(name)"), "\(name)")
      }
      // The same command again finishes the work.
      guard round == 2 else { continue }
      try shop.codi("convert", folder, "--adapter", "enlarge", "--out", out).expect(0)
      #expect(shop.results(out) == all)
      for name in all { #expect(try shop.bytes("\(out)/\(name)") == shop.bytes("whole/\(name)"), "\(name)") }
    }
  }

  @Test("SIGINT and SIGTERM end the run cleanly with 130 and 143", arguments: [SIGINT, SIGTERM])
  func stopped(signal: Int32) throws {
    let folder = try shop.pictures("stopped-\(signal)", count: 60, side: 40)
    let out = "stopped-out-\(signal)"
    let outcome = try shop.run(["convert", folder, "--adapter", "enlarge", "--out", out, "--json"]) { process in
      while !shop.folder.names(out).contains(where: { $0.hasPrefix("p") }) && process.isRunning { usleep(500) }
      kill(process.processIdentifier, signal)
    }.expect(128 + signal)
    let events = try outcome.objects()
    let present = shop.results(out)
    #expect(present.allSatisfy { $0.hasPrefix("p") })
    #expect(events.last?["event"] as? String == "finished" && events.last?["converted"] as? Int == present.count)
    #expect(present.count < 60)
    for name in present { _ = try readPicture(shop.folder("\(out)/\(name)")) }
  }

  @Test(
    "a full disk fails the pictures that have no room, and leaves no part of them",
    .enabled(if: SmallDisk.isPossible, "mounting a tmpfs takes root"))
  func fullDisk() throws {
    let disk = try SmallDisk(at: try shop.folder.make("disk"), kilobytes: 64)
    defer { disk.unmount() }
    let folder = try shop.pictures("full", count: 4, side: 24)
    let outcome = try shop.codi("convert", folder, "--adapter", "enlarge", "--out", "disk", "--journal", "full.sqlite")
      .expect(1)
    #expect(outcome.error.contains("No space left on device") && outcome.error.contains("has room"), "\(outcome.error)")
    let present = shop.folder.names("disk")
    #expect(!present.isEmpty && present.count < 4 && present.allSatisfy { $0.hasPrefix("p") }, "\(present)")
    for name in present { _ = try readPicture(shop.folder("disk/\(name)")) }
  }
}

/// A few kilobytes of memory mounted on a folder.
private struct SmallDisk {
  let path: String

  static var isPossible: Bool {
    guard let folder = try? TemporaryFolder(), let disk = try? SmallDisk(at: folder.path, kilobytes: 16) else {
      return false
    }
    disk.unmount()
    return true
  }

  init(at path: String, kilobytes: Int) throws {
    self.path = path
    try Self.run("mount", "-t", "tmpfs", "-o", "size=\(kilobytes)k", "codi-test", path)
  }

  func unmount() { try? Self.run("umount", path) }

  private struct Failed: Error {}

  private static func run(_ arguments: String...) throws {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = arguments
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw Failed() }
  }
}
