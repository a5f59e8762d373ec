import Adapters
import AttackReport
import Bundles
import Foundation
import Registry
import TestSupport
import Testing

/// What a stranger can put into a bundle or into a registry, against the program as it is built.
@Suite("Hostile bundles and registries") struct HostileBundleTests {
  private let shop: Workshop

  init() throws { shop = try Workshop() }

  /// The toy core, packed anew with another proof: all sums are right.
  private func core(proof shape: [Int], tensors: [String] = ["input", "core-output"]) throws -> String {
    // Numbers that do not pack well: a bomb would be refused for being one.
    var state: UInt32 = 1
    let numbers = (0..<shape.reduce(1, *)).map { _ in
      state = state &* 1_664_525 &+ 1_013_904_223
      return 0x3E00_0000 | state >> 9
    }
    let data = numbers.withUnsafeBytes { Data($0) }
    let reader = try BundleReader(path: shop.folder("core.codi"))
    let path = shop.folder("hostile-proof")
    try SafetensorsWriter.write(
      tensors.map { (name: $0, dtype: .f32, shape: shape, data: data) },
      metadata: ["time": "0.5", "tolerance": "0.002"], to: path)
    let files = try [BundleEntry.weights, BundleEntry.card, BundleEntry.license].map {
      (name: $0, source: ZipWriter.Source.data(try reader.archive.read($0)))
    }
    try BundleWriter.pack(
      reader.manifest, files: files + [(BundleEntry.proof, .file(path: path))], to: shop.folder("hostile.codi"))
    return "./hostile.codi"
  }

  @Test(
    "a proof that would take hours or gigabytes, or is of another shape, is refused before anything is computed",
    arguments: [
      [1, 512, 512, 3], [1, 16, 16, 5], [1, 16, 16], [64, 16, 16, 3], [1, 17, 16, 3], [3],
    ])
  func proofs(shape: [Int]) throws {
    let outcome = try shop.run(["install", core(proof: shape)]).expect(5)
    #expect(outcome.error.contains("\(shape)"), "\(outcome.error)")
    #expect(try shop.codi("list", "--json").expect(0).out.isEmpty && !shop.folder.names("store").contains("staging"))
    AttackReport.record(.inputs, "proof vectors of shape \(shape)", outcome: "refused; nothing installed")
  }

  @Test("a proof without its tensors is refused")
  func missingTensors() throws {
    try shop.run(["install", core(proof: [1, 16, 16, 3], tensors: ["input"])]).expect(5)
    try shop.run(["install", core(proof: [1, 16, 16, 3], tensors: ["core-output"])]).expect(5)
    AttackReport.record(
      .inputs, "proof vectors without input or output", count: 2, outcome: "refused; nothing installed")
  }

  private func blob(_ digest: String) -> String { shop.folder("registry/blobs/sha256/\(digest.dropFirst(7))") }

  @Test("what a registry says of a bundle can neither steer the terminal nor forge a line")
  func summaries() throws {
    let registry = try BundleRegistry(path: shop.folder("registry"))
    let artifact = try registry.resolve(Reference("enlarge"))
    let old = try Data(contentsOf: URL(filePath: blob(artifact.digest)))
    let new = Data(
      String(decoding: old, as: UTF8.self)
        .replacing("Enlarges four times, badly.", with: #"\u001b[2J\ncodi: all is well\u202e"#).utf8)
    #expect(new != old)
    let digest = "sha256:" + SHA256.hex(of: new)
    try new.write(to: URL(filePath: blob(digest)))
    let index = URL(filePath: shop.folder("registry/index.json"))
    let text = try String(contentsOf: index, encoding: .utf8).replacing(artifact.digest, with: digest)
      .replacing("\"size\" : \(old.count)", with: "\"size\" : \(new.count)")
    try Data(text.utf8).write(to: index)
    for command in [["search"], ["list", "--available"], ["search", "well"]] {
      let shown = try shop.run(command).expect(0).out
      #expect(shown.contains("\\u{1B}[2J") && !shown.contains("\u{1B}") && !shown.contains("\u{202E}"), "\(shown)")
      #expect(!shown.contains("\ncodi:"), "\(shown)")
    }
    try Data().write(to: URL(filePath: shop.folder("registry/blobs/sha256/\u{1B}[2J\ncodi: all is well\u{202E}")))
    let checked = try shop.codi("registry", "check", "registry").expect(0).out
    #expect(checked.contains("\\u{1B}[2J") && !checked.contains("\u{1B}") && !checked.contains("\ncodi:"), "\(checked)")
    AttackReport.record(
      .registries, "a summary or a file's name with control characters", count: 4, outcome: "shown as \\u{1B}")
  }

  @Test(
    "a pipe, a device, a folder or a link in the place of a registry's file is refused at once",
    .timeLimit(.minutes(2)), arguments: ["index.json", "oci-layout", "document", "manifest", "bundle"])
  func specialFiles(place: String) throws {
    let registry = try BundleRegistry(path: shop.folder("registry"))
    let artifact = try registry.resolve(Reference("core"))
    let path =
      switch place {
      case "document": blob(artifact.digest)
      case "manifest": blob(artifact.manifest.digest)
      case "bundle": blob(artifact.bundle.digest)
      default: shop.folder("registry/\(place)")
      }
    for (kind, make) in [
      ("a pipe", "mkfifo \(path)"), ("a folder", "mkdir \(path)"), ("a link to a device", "ln -s /dev/zero \(path)"),
      ("a link to another file", "ln -s /etc/passwd \(path)"), ("a link to itself", "ln -s \(path) \(path)"),
    ] {
      try shop.shell("rm -rf '\(path)' && \(make)").expect(0)
      let outcome = try shop.codi("install", "core")
      #expect([3, 5].contains(outcome.code), "\(kind): \(outcome.code) \(outcome.error)")
      #expect(!outcome.error.contains("root:"), "\(outcome.error)")
      #expect(try shop.codi("list", "--json").expect(0).out.isEmpty)
      AttackReport.record(.registries, "\(kind) in the place of a registry's file", outcome: "refused at once")
    }
  }

  @Test("installs, removals, rollbacks and collections at once leave one whole store", .timeLimit(.minutes(5)))
  func racing() async throws {
    let shop = shop
    let commands =
      Array(repeating: ["install", "enlarge"], count: 4) + [["gc"], ["gc"], ["rollback"], ["rollback"]]
      + [["remove", "enlarge"], ["remove", "core"], ["update"], ["install", "core"]]
    let outcomes = try await withThrowingTaskGroup(of: Workshop.Outcome.self) { group in
      for command in commands { group.addTask { try shop.run(command + ["--quiet"]) } }
      return try await group.reduce(into: [Workshop.Outcome]()) { $0.append($1) }
    }
    for outcome in outcomes {
      // There may be nothing yet to remove, or something that still needs the core.
      #expect([0, 3, 4].contains(outcome.code), "\(outcome.command): \(outcome.code) \(outcome.error)")
    }
    try shop.codi("verify").expect(0)
    try shop.codi("install", "enlarge").expect(0)
    try shop.codi("verify").expect(0)
    try shop.codi("gc").expect(0)
    #expect(shop.folder.names("store/bundles").count == 2 && !shop.folder.names("store").contains("staging"))
    AttackReport.record(
      .faults, "install, remove, rollback, update and gc at once", count: commands.count,
      outcome: "one whole store, codi verify passes")
  }

  @Test("a store that may only be read lists, verifies and converts; what would change it is refused and says why")
  func readOnly() throws {
    try shop.codi("install", "enlarge").expect(0)
    let pictures = try shop.pictures("in", count: 1)
    try shop.shell("chmod -R a-w store").expect(0)
    defer { _ = try? shop.shell("chmod -R u+w store") }
    for command in ["list", "verify", "info enlarge", "convert \(pictures) $ARGS --out out", "search", "doctor"] {
      try shop.shell("$CODI \(command)", powerless: true).expect(0)
    }
    for command in [
      "remove enlarge", "rollback", "install core --registry registry --accept-unsigned && $CODI gc",
      "trust add toy --unsigned error", "registry add x ./registry",
    ] {
      let outcome = try shop.shell("$CODI \(command)", powerless: true)
      #expect(outcome.code == 5 && outcome.error.contains("Permission denied"), "\(command): \(outcome.error)")
    }
    try shop.codi("verify").expect(0)
    AttackReport.record(
      .faults, "changes of a store that may only be read", count: 5, outcome: "refused; store as before")
  }
}
