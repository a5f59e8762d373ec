import AttackReport
import Bundles
import Foundation
import Registry
import TestSupport
import Testing

/// The program itself, killed or failed by the kernel at the changes that an install makes to files. `FaultTests` does
/// the same to the transaction alone, at every operation; here nothing of the program is told of it.
///
/// A few places by default; all of them with `CODI_PROOF_INSTALL=all`, as `make attacks` does.
@Suite(
  "A killed installer", .enabled(if: RegistryCommandTests.canTrace, "strace is missing or may not trace"), .serialized)
struct KillTests {
  private let shop: Workshop
  private let store: Store
  private let isComplete = ProcessInfo.processInfo.environment["CODI_PROOF_INSTALL"] == "all"

  init() throws {
    shop = try Workshop()
    store = Store(home: shop.folder("trial"), program: SemanticVersion(0, 1, 0))
  }

  /// One change of a file in the store: the n-th call of its kind that its thread makes.
  private struct Place: CustomStringConvertible {
    let call: String
    let number: Int
    let line: Substring
    var description: String { "\(call) \(number): \(line)" }
  }

  /// A store as it is before the install, on a disk of its own if `path` names one.
  private func reset() throws {
    let files = FileManager.default
    try? files.removeItem(atPath: store.home)
    try files.copyItem(atPath: shop.store, toPath: store.home)
  }

  private func install(under tracer: [String] = []) throws -> Workshop.Outcome {
    try shop.run(["install", "enlarge", "--quiet"], ["CODI_HOME": store.home], under: tracer)
  }

  private static let calls = ["mkdir", "write", "fsync", "rename", "unlink", "rmdir"]

  /// The changes that an undisturbed install makes in the store, and what is installed then.
  private func undisturbed() throws -> (places: [Place], installed: [Installed]) {
    try reset()
    let trace = shop.folder("trace")
    try install(under: [
      RegistryCommandTests.strace, "-f", "-y", "-e", "trace=" + Self.calls.joined(separator: ","), "-o", trace,
    ]).expect(0)
    var places: [Place] = []
    var counts: [Substring: [String: Int]] = [:]
    var most: [String: Int] = [:]
    for line in try String(contentsOfFile: trace, encoding: .utf8).split(separator: "\n") {
      guard let match = line.firstMatch(of: /^([0-9]+) +([a-z]+)\(/) else { continue }
      let call = String(match.2)
      let number = (counts[match.1]?[call] ?? 0) + 1
      counts[match.1, default: [:]][call] = number
      // Calls are counted by thread: where another one was first to make that many, it would be struck instead.
      let isFirst = number > most[call] ?? 0
      if isFirst { most[call] = number }
      if isFirst, line.contains(store.home) { places.append(Place(call: call, number: number, line: line)) }
    }
    return (places, try store.list())
  }

  /// Old or new, whole either way, and the next install succeeds; cleans up too.
  /// - Returns: whether it was the new state.
  private func check(_ installed: [Installed], _ outcome: Workshop.Outcome, _ comment: Comment) throws -> Bool {
    let found = try store.list()
    #expect(found.isEmpty || found == installed, comment)
    if outcome.code == 0 { #expect(found == installed, comment) }
    let verified = try shop.run(["verify", "--quiet"], ["CODI_HOME": store.home])
    #expect(verified.code == 0, "\(comment) \(verified.error)")
    let next = try install()
    #expect(next.code == 0, "\(comment) \(next.error)")
    #expect(try store.list() == installed, comment)
    #expect(!shop.folder.names("trial").contains("staging") || found == installed, comment)
    return found == installed
  }

  private func some<Element>(_ all: [Element], _ count: Int) -> [Element] {
    guard !isComplete, all.count > count else { return all }
    return (0..<count).map { all[$0 * (all.count - 1) / (count - 1)] }
  }

  @Test("killed at a change of a file: old or new, verified, and the next install succeeds", .timeLimit(.minutes(60)))
  func killed() throws {
    let (places, installed) = try undisturbed()
    #expect(places.count > 40 && installed.count == 2)
    var (old, new) = (0, 0)
    for place in some(places, 8) {
      try reset()
      let outcome = try install(under: [
        RegistryCommandTests.strace, "-f", "-e", "trace=\(place.call)",
        "-e", "inject=\(place.call):signal=KILL:when=\(place.number)", "-o", "/dev/null",
      ])
      #expect(outcome.code != 0, "it was not struck: \(place)")
      if try check(installed, outcome, "killed at \(place)") { new += 1 } else { old += 1 }
    }
    // The last changes only clean up.
    #expect(old > 0)
    print("killed at \(old + new) of \(places.count) changes: \(old) old, \(new) new")
    AttackReport.record(
      .faults, "codi install killed (SIGKILL by the kernel) at a change of a file", count: old + new,
      outcome: "old or new state; codi verify passes, the next codi install succeeds")
  }

  @Test(
    "a call that fails, once or from then on: an error or success, never half", .timeLimit(.minutes(60)),
    arguments: [
      ("write", "ENOSPC", "+"), ("mkdir", "ENOSPC", "+"), ("fsync", "EIO", ""), ("rename", "EIO", ""),
      ("write", "EINTR", ""), ("unlink", "EIO", ""),
    ])
  func failing(call: String, error: String, repeated: String) throws {
    let (places, installed) = try undisturbed()
    var made = 0
    for place in some(places.filter { $0.call == call }, 2) {
      try reset()
      let outcome = try install(under: [
        RegistryCommandTests.strace, "-f", "-e", "trace=\(call)",
        "-e", "inject=\(call):error=\(error):when=\(place.number)\(repeated)", "-o", "/dev/null",
      ])
      if error == "EINTR" { #expect(outcome.code == 0, "\(place): \(outcome.error)") }
      _ = try check(installed, outcome, "\(error) at \(place)")
      made += 1
    }
    #expect(made > 0)
    AttackReport.record(
      .faults, "codi install: \(call) fails with \(error)\(repeated.isEmpty ? "" : " from some call on")", count: made,
      outcome: error == "EINTR"
        ? "tried again: new state, codi verify passes"
        : "old or new state; codi verify passes, the next codi install succeeds")
  }

  @Test("files that may not grow: writes are short, then fail", arguments: [1, 4, 16, 64])
  func shortWrites(blocks: Int) throws {
    let (_, installed) = try undisturbed()
    try reset()
    let outcome = try install(under: ["/bin/sh", "-c", "trap '' XFSZ; ulimit -f \(blocks); exec \"$@\"", "sh"])
    _ = try check(installed, outcome, "files of \(blocks) blocks")
    AttackReport.record(
      .faults, "codi install with a limit of file size: short writes, then EFBIG",
      outcome: "old or new state; codi verify passes, the next codi install succeeds")
  }

  @Test(
    "a disk that is full, at one size after the other, until it is large enough",
    .enabled(if: geteuid() == 0, "only root mounts disks"))
  func fullDisk() throws {
    let (_, installed) = try undisturbed()
    try FileManager.default.removeItem(atPath: store.home)
    let disk = try shop.folder.make("trial")
    func mount(_ arguments: String...) throws -> Bool {
      let process = Process()
      process.executableURL = URL(filePath: "/bin/mount")
      process.arguments = arguments + ["tmpfs", disk]
      process.standardError = FileHandle.nullDevice
      try process.run()
      process.waitUntilExit()
      return process.terminationStatus == 0
    }
    var (full, enough) = (0, 0)
    for kilobytes in some(Array(stride(from: 64, through: 4096, by: 64)), 6) {
      guard try mount("-t", "tmpfs", "-o", "size=\(kilobytes)k") else {
        print("skipped: this machine mounts no tmpfs")
        return
      }
      defer { umount2(disk, Int32(MNT_DETACH)) }
      for name in shop.folder.names("store") {
        try FileManager.default.copyItem(atPath: "\(shop.store)/\(name)", toPath: "\(disk)/\(name)")
      }
      let outcome = try install()
      if outcome.code == 0 { enough += 1 } else { full += 1 }
      if outcome.code != 0 { #expect(outcome.error.contains("No space left"), "\(outcome.error)") }
      #expect(try store.list().isEmpty == (outcome.code != 0))
      try #require(try mount("-o", "remount,size=16m"))
      _ = try check(installed, outcome, "a disk of \(kilobytes) kB")
    }
    #expect(full > 0 && enough > 0, "\(full) full, \(enough) large enough")
    AttackReport.record(
      .faults, "codi install on a full disk (tmpfs)", count: full,
      outcome: "old state, \"No space left\"; codi verify passes, with space the next codi install succeeds")
  }

  @Test("installers at once, one of them killed: all others succeed, and one whole store is there")
  func together() async throws {
    let (places, installed) = try undisturbed()
    let rename = try #require(places.last { $0.call == "rename" })
    try reset()
    let shop = shop
    let home = store.home
    let codes = try await withThrowingTaskGroup(of: Int32.self) { group in
      for number in 0..<4 {
        group.addTask {
          let tracer =
            number == 0
            ? [
              RegistryCommandTests.strace, "-f", "-e", "trace=rename",
              "-e", "inject=rename:signal=KILL:when=\(rename.number)", "-o", "/dev/null",
            ] : []
          return try shop.run(["install", "enlarge", "--quiet"], ["CODI_HOME": home], under: tracer).code
        }
      }
      return try await group.reduce(into: [Int32]()) { $0.append($1) }
    }
    #expect(codes.filter { $0 == 0 }.count >= 3, "\(codes)")
    #expect(try store.list() == installed)
    try shop.codi("verify", environment: ["CODI_HOME": home]).expect(0)
    AttackReport.record(
      .faults, "four codi install at once, one of them killed", count: 4, outcome: "new state, codi verify passes")
  }
}
