import Foundation
import TestSupport
import Testing

@Suite("Named registries") struct RegistryCommandTests {
  private let shop: Workshop

  init() throws { shop = try Workshop() }

  @Test("a registry gets a name, is searched, installed from, checked, copied, and forgotten under it")
  func names() throws {
    let folder = shop.folder("registry")
    try shop.codi("registry", "add", "toys", "registry").expect(0)
    let listed = try shop.codi("registry", "list", "--json").expect(0).objects()
    #expect(listed.map { $0["name"] as? String } == ["default", "toys"])
    // A folder is written down in full: the name means the same everywhere.
    #expect(listed.last?["address"] as? String == folder)
    let found = try shop.codi("search", "ENLARGE", "--registry", "toys", "--json").expect(0).objects()
    #expect(found.count == 1)
    let name = try #require(found.first?["name"] as? String)
    let none = try shop.codi("search", "nothing-like-it", "--registry", "toys").expect(3)
    #expect(none.error.contains("codi search alone shows all"))
    try shop.codi("info", name, "--registry", "toys").expect(0)
    try shop.codi("trust", "add", "--registry", "registry", "--unsigned", "warn", "--quiet").expect(0)
    try shop.codi("install", name, "--registry", "toys", "--quiet").expect(0)
    let checked = try #require(try shop.codi("registry", "check", "toys", "--json").expect(0).objects().last)
    #expect(checked["artifacts"] as? Int == 2 && checked["faults"] as? Int == 0)
    let dry = try shop.codi("registry", "mirror", "toys", "copy", "--dry-run", "--json").expect(3)
    #expect(dry.error.contains("There is no registry in this folder"))
    let copied = try shop.codi("registry", "mirror", "toys", "copy", "--json").expect(0).objects()
    #expect(copied.map { $0["event"] as? String } == ["copied", "copied"])
    let again = try shop.codi("registry", "mirror", "toys", "copy", "--dry-run", "--json").expect(0).objects()
    #expect(again.map { $0["event"] as? String } == ["present", "present"])
    #expect(try shop.bytes("copy/index.json") == shop.bytes("registry/index.json"))
    try shop.codi("registry", "remove", "toys").expect(0)
    try shop.codi("registry", "remove", "toys").expect(3)
    try shop.codi("search", "--registry", "toys").expect(3)
  }

  @Test("a damaged registry is found out: exit 1, and one line for each fault")
  func damaged() throws {
    let blobs = shop.folder("registry/blobs/sha256")
    let files = try FileManager.default.contentsOfDirectory(atPath: blobs)
    let largest = try #require(
      files.max {
        (try? shop.bytes("registry/blobs/sha256/\($0)").count) ?? 0
          < (try? shop.bytes("registry/blobs/sha256/\($1)").count) ?? 0
      })
    try Data("damaged".utf8).write(to: URL(filePath: "\(blobs)/\(largest)"))
    try Data().write(to: URL(filePath: "\(blobs)/left.tmp"))
    let events = try shop.codi("registry", "check", "registry", "--json").expect(1).objects()
    #expect(events.map { $0["event"] as? String } == ["fault", "dangling", "checked"])
  }

  @Test("addresses that are none, names that are taken, and unreadable credentials are said to be that")
  func refused() throws {
    try shop.codi("registry", "add", "default", "x").expect(2)
    try shop.codi("registry", "add", "x", "ftp://example.org").expect(2)
    try shop.codi("registry", "add", "x", "http://example.org").expect(2)
    try shop.codi("registry", "add", "x", "http://example.org", "--plain-http").expect(0)
    try shop.codi("search", "--registry", "no-such-folder").expect(3)
    try Data("host user:word\n".utf8).write(to: URL(filePath: shop.folder("store/credentials")))
    let open = try shop.codi("search", "--registry", "registry").expect(4)
    #expect(open.error.contains("chmod 600") && !open.error.contains("word"))
  }

  @Test("offline, registries elsewhere are refused by every command that could reach them")
  func offline() throws {
    let bundle = shop.folder("adapter.codi")
    let elsewhere = "oci://127.0.0.1:1/x"
    for command in [
      ["install", "enlarge", "--registry", elsewhere], ["update", "--registry", elsewhere],
      ["search", "--registry", elsewhere], ["list", "--registry", elsewhere], ["info", "x/y", "--registry", elsewhere],
      ["publish", bundle, "--registry", elsewhere], ["registry", "check", elsewhere],
      ["registry", "mirror", elsewhere, "copy"], ["registry", "mirror", "registry", elsewhere],
      ["yank", "toy/x@1.0.0", "--registry", elsewhere, "--key", "none"],
    ] {
      let flag = try shop.run(command + ["--offline"]) { _ in }.expect(4)
      #expect(flag.error.contains("forbids the network"), "\(command)")
      try shop.run(command, ["CODI_OFFLINE": "1"]) { _ in }.expect(4)
    }
  }

  static let strace = "/usr/bin/strace"
  static let canTrace: Bool = {
    let process = Process()
    process.executableURL = URL(filePath: strace)
    process.arguments = ["-o", "/dev/null", "/bin/true"]
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else {
      print("skipped: strace is not installed (Debian package strace)")
      return false
    }
    process.waitUntilExit()
    if process.terminationStatus != 0 { print("skipped: strace may not trace here") }
    return process.terminationStatus == 0
  }()

  @Test(
    "with a registry in a folder no socket is made, by any command; one elsewhere, offline, makes none either",
    .enabled(if: canTrace, "strace is missing or may not trace"))
  func noSockets() throws {
    let pictures = try shop.pictures("in", count: 1)
    for (command, code) in [
      (["search"], 0), (["list", "--available"], 0), (["info", "enlarge"], 0),
      (["install", "enlarge", "--offline"], 0),
      (["list"], 0), (["verify"], 0), (["convert", pictures, "--adapter", "enlarge", "--out", shop.folder("out")], 0),
      (["registry", "check", "registry"], 0), (["registry", "mirror", "registry", "copy"], 0),
      (["search", "--registry", "https://example.org/x", "--offline"], 4),
    ] as [([String], Int32)] {
      let calls = try sockets(command, code)
      #expect(calls.isEmpty, "\(command): \(calls.joined(separator: "\n"))")
    }
    // The trace would show one.
    #expect(try !sockets(["search", "--registry", "http://127.0.0.1:1/x"], 5, ["CODI_OFFLINE": "0"]).isEmpty)
  }

  /// The calls that make sockets, or name somebody to talk to, while a command runs. A pair of sockets without a name joins
  /// the program and its plugin's process, and reaches nobody else.
  private func sockets(_ command: [String], _ code: Int32, _ environment: [String: String] = [:]) throws -> [String] {
    let trace = shop.folder("trace")
    try shop.run(
      command, environment,
      under: [Self.strace, "-f", "-e", "trace=socket,connect,bind,listen", "-o", trace]
    ) { _ in }
    .expect(code)
    return try String(contentsOfFile: trace, encoding: .utf8).split(separator: "\n").map(String.init)
      .filter { !$0.contains("+++") && !$0.contains("---") }
  }
}
