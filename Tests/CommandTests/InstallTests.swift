import Foundation
import Testing

/// `make install` into a folder of its own, with the products that this test runs from.
@Suite("An installed program") struct InstallTests {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path
  private static let products = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().path

  /// Whether the repository's registry offers super-resolution.
  static let hasAdapter = {
    let index = try? String(contentsOfFile: "\(root)/registry/index.json", encoding: .utf8)
    return index?.contains("codi/super-resolution:") == true
  }()

  @Test("finds the Swift runtime it came with, wherever it is moved to")
  func runtime() throws {
    try Self.install { prefix, elsewhere in
      let help = try Self.run("\(prefix)/bin/codi", ["--help"], in: elsewhere, environment: [:])
      #expect(help.contains("USAGE: codi"))
      // What `codi train adapter` runs.
      #expect(FileManager.default.fileExists(atPath: "\(prefix)/lib/codi/libSuperResolution.so"))
      let libraries = try Self.run("/usr/bin/ldd", ["\(prefix)/bin/codi"], in: elsewhere)
      let swift = libraries.split(separator: "\n").filter { $0.contains("libswift") || $0.contains("libFoundation") }
      #expect(!swift.isEmpty)
      #expect(swift.allSatisfy { $0.contains("\(prefix)/bin/../lib/codi/") }, "\(swift.joined(separator: "\n"))")
    }
  }

  @Test(
    "installs an adapter and its core from the registry it came with, for a new user in another folder",
    .enabled(if: hasAdapter, "registry/ does not hold codi/super-resolution"))
  func registry() throws {
    try Self.install { prefix, elsewhere in
      let said = try Self.run(
        "\(prefix)/bin/codi", ["install", "super-resolution", "--json"], in: elsewhere, environment: ["HOME": elsewhere]
      )
      #expect(said.contains("\"name\":\"codi/super-resolution\"") && said.contains("\"event\":\"installed\""))
      let listed = try Self.run("\(prefix)/bin/codi", ["list"], in: elsewhere, environment: ["HOME": elsewhere])
      #expect(listed.contains("codi/photo@") && listed.contains("codi/super-resolution@"))
    }
  }

  /// Runs `body` with the prefix of a fresh installation and another, empty folder.
  private static func install(_ body: (_ prefix: String, _ elsewhere: String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "codi-install-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let elsewhere = "\(folder)/elsewhere"
    try FileManager.default.createDirectory(atPath: elsewhere, withIntermediateDirectories: true)
    // A clean environment: `make test` hands its own flags down.
    try run(
      "/usr/bin/make", ["install", "DESTDIR=\(folder)", "PREFIX=/usr", "PRODUCTS=\(products)"], in: root,
      environment: ["PATH": "/usr/bin:/bin"])
    try body("\(folder)/usr", elsewhere)
  }

  /// Runs a program and returns what it prints; what it prints on stderr goes to the test's own.
  @discardableResult
  private static func run(
    _ program: String, _ arguments: [String], in folder: String, environment: [String: String]? = nil
  ) throws -> String {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(filePath: program)
    process.arguments = arguments
    process.currentDirectoryURL = URL(filePath: folder)
    if let environment { process.environment = environment }
    process.standardOutput = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(program) \(arguments.joined(separator: " "))")
    return String(decoding: output, as: UTF8.self)
  }
}
