import Adapters
import Bundles
import Foundation
import Registry
import TestSupport
import Testing

/// Publishers, keys and statements as a user meets them: by commands, exit codes and sentences.
@Suite("Keys, trust and statements") struct TrustCommandTests {
  private let shop: Workshop

  init() throws { shop = try Workshop() }

  /// A store of somebody who has heard of nobody yet.
  private func stranger(_ name: String) -> [String: String] { ["CODI_HOME": shop.folder(name)] }

  /// Makes keys and publishes both toys, signed with the first of them.
  private func signedRegistry() throws {
    for key in ["first", "second", "thief"] { try shop.codi("keys", "new", "./\(key).key", "--no-password").expect(0) }
    for bundle in ["core", "adapter"] { try shop.codi("sign", "\(bundle).codi", "--key", "./first.key").expect(0) }
    try publish("core.codi", "adapter.codi")
  }

  private func publish(_ bundles: String..., in folder: String = "signed") throws {
    let registry = try BundleRegistry(path: shop.folder(folder), create: true)
    for bundle in bundles { try registry.publish(shop.folder(bundle)) }
  }

  /// Version `1.minor.0` of the adapter, signed.
  private func newer(_ minor: Int, key: String) throws -> String {
    let name = "adapter-\(minor)-\(key).codi"
    try Toy.packAdapter(
      core: shop.folder("core.codi"), to: shop.folder(name), version: SemanticVersion(1, minor, 0))
    try shop.codi("sign", name, "--key", "./\(key).key").expect(0)
    return name
  }

  @Test("a first key is noted and said so; another one is refused until the old one vouches for it, or it is added")
  func keys() throws {
    try signedRegistry()
    let home = stranger("keys")
    let install = ["install", "enlarge", "--registry", "signed"]
    let first = try shop.run(install, home).expect(0)
    #expect(first.error.contains("the publisher toy is known by the key"), "\(first.error)")
    try publish(newer(1, key: "second"))
    let refused = try shop.run(install, home).expect(4)
    #expect(refused.error.contains("codi trust rotate toy NEW.pub"), "\(refused.error)")

    try shop.codi("keys", "rotate", "toy", "--from", "./first.key", "--to", "second.pub", "--out", "next.pub").expect(0)
    // For somebody else, and by somebody else, it says nothing.
    try shop.codi("trust", "rotate", "acme", "next.pub", environment: home).expect(4)
    try shop.codi("keys", "rotate", "toy", "--from", "./thief.key", "--to", "second.pub", "--out", "lie.pub").expect(0)
    try shop.codi("trust", "rotate", "toy", "lie.pub", environment: home).expect(4)
    try shop.run(install, home).expect(4)
    try shop.codi("trust", "rotate", "toy", "next.pub", environment: home).expect(0)
    try shop.run(install, home).expect(0)
    let listed = try shop.codi("trust", "list", "--json", environment: home).expect(0).objects()
      .filter { $0["publisher"] as? String == "toy" }
    #expect(listed.map { $0["origin"] as? String } == ["firstUse", "rotation"], "\(listed)")
    #expect(listed.map { $0["retired"] as? Bool } == [true, false])

    // A stolen key: what it signed is named, refused and no longer sound.
    let id = try #require(listed.last?["id"] as? String)
    let revoked = try shop.codi("trust", "revoke", id, environment: home).expect(0)
    #expect(revoked.out.contains("codi remove toy/enlarge@1.1.0"), "\(revoked.out)")
    try publish(newer(2, key: "second"))
    try shop.run(install, home).expect(4)
    let verified = try shop.codi("verify", "--no-proof", environment: home).expect(1)
    #expect(verified.error.contains("was revoked") && verified.out.contains("toy/core@1.0.0 is sound"))
    try shop.codi("trust", "add", "toy", "second.pub", environment: home).expect(4)
  }

  @Test("a version that is taken back is left out, refused by name, and may come back; the word rises in number")
  func yank() throws {
    try signedRegistry()
    try publish(newer(1, key: "first"))
    let home = stranger("yank")
    try shop.codi("trust", "add", "toy", "first.pub", environment: home).expect(0)
    let yank = ["yank", "toy/enlarge@1.1.0", "--registry", "signed", "--key", "./first.key"]
    let dry = try shop.run(yank + ["--dry-run"]).expect(0)
    #expect(dry.out.contains("would state for toy, number 1"))
    try shop.run(yank + ["--reason", "Wrong colours.", "--expires", "2999-01-31"]).expect(0)
    let refused = try shop.codi("install", "enlarge@1.1.0", "--registry", "signed", environment: home).expect(4)
    #expect(refused.error.contains("Wrong colours."), "\(refused.error)")
    let installed = try shop.codi("install", "enlarge", "--registry", "signed", "--json", environment: home).expect(0)
    #expect(try installed.objects().first?["version"] as? String == "1.0.0")
    let none = try shop.codi("update", "--registry", "signed", environment: home).expect(0)
    #expect(none.out.contains("everything is up to date"))
    let undone = try shop.run(yank + ["--undo", "--json"]).expect(0).objects()
    #expect(undone.first?["number"] as? Int == 2 && undone.first?["expires"] as? String == "2999-01-31")
    try shop.codi("update", "--registry", "signed", environment: home).expect(0)
    // A thief's word is not the publisher's.
    try shop.codi("yank", "toy/enlarge@1.0.0", "--registry", "signed", "--key", "./thief.key").expect(0)
    try shop.codi("install", "enlarge@1.0.0", "--registry", "signed", environment: home).expect(4)
    try shop.codi("yank", "toy/enlarge@9.9.9", "--registry", "signed", "--key", "./first.key").expect(3)
  }

  @Test("unsigned bundles: error, prompt and warn, by publisher before registry, and no switch for all")
  func policies() throws {
    let install = ["install", "core", "--registry", "registry"]
    let cases: [(words: [[String]], code: Int32, says: String)] = [
      ([], 4, "--accept-unsigned"),
      ([["--registry", "registry", "--unsigned", "warn"]], 0, "nobody answers for it"),
      ([["--registry", "registry", "--unsigned", "error"]], 4, "must be"),
      ([["--registry", "registry", "--unsigned", "warn"], ["toy", "--unsigned", "error"]], 4, "must be"),
      (
        [["--registry", "registry", "--unsigned", "error"], ["toy", "--unsigned", "warn"]], 0, "nobody answers for it"
      ),
      ([["toy", "--unsigned", "warn"], ["toy", "--unsigned", "default"]], 4, "--accept-unsigned"),
    ]
    for (number, (words, code, says)) in cases.enumerated() {
      let home = stranger("policy-\(number)")
      for word in words { try shop.run(["trust", "add"] + word, home).expect(0) }
      let outcome = try shop.run(install, home).expect(code)
      #expect(outcome.error.contains(says), "\(words): \(outcome.error)")
    }
    try shop.run(install + ["--accept-unsigned"], stranger("accepted")).expect(0)
    for wrong in ["--unsigned warn", "toy --unsigned never", "toy --registry r --unsigned warn"] {
      try shop.run(["trust", "add"] + wrong.split(separator: " ").map(String.init), stranger("none")).expect(2)
    }
  }

  @Test(
    "at a terminal the user is asked by name; anything but yes is no",
    arguments: [("y", 0), ("yes", 0), ("n", 4), ("", 4)],
    [false, true])
  func prompt(answer: (word: String, code: Int), isEnd: Bool) throws {
    guard FileManager.default.isExecutableFile(atPath: "/usr/bin/script") else { return }
    let home = stranger("asked")
    // `script` gives the program a terminal; its input ends after the answer, or before it.
    let typed = isEnd ? "" : "\(answer.word)\n"
    let outcome = try shop.run(
      ["-qec", "'\(Toy.products.path)/codi' install core --registry registry", "/dev/null"], home,
      program: "/usr/bin/script", input: Data((typed + "\u{4}").utf8))
    outcome.expect(isEnd ? 4 : Int32(answer.code))
    #expect(outcome.out.contains("toy/core@1.0.0 (from \(shop.folder("registry"))) is not signed"), "\(outcome.out)")
  }

  @Test("update --dry-run says what would be new and changes nothing; update and rollback do and undo it")
  func update() throws {
    try shop.codi("install", "enlarge").expect(0)
    try Toy.packAdapter(
      core: shop.folder("core.codi"), to: shop.folder("newer.codi"), version: SemanticVersion(1, 1, 0))
    try publish("newer.codi", in: "registry")
    func store() throws -> [String: Data] {
      try shop.folder.names("store").reduce(into: [:]) { files, name in
        files[name] = try? shop.bytes("store/\(name)")
      }
    }
    let before = try store()
    let dry = try shop.codi("update", "--dry-run", "--json").expect(0).objects()
    #expect(dry.count == 1 && dry[0]["event"] as? String == "would-update" && dry[0]["to"] as? String == "1.1.0")
    #expect(try shop.codi("update", "enlarge@^1", "--dry-run").expect(0).out.contains("would update toy/enlarge"))
    #expect(try shop.codi("update", "enlarge@~1.0.0", "--dry-run").expect(0).out.contains("up to date"))
    try shop.codi("update", "nothing", "--dry-run").expect(3)
    #expect(try store() == before && shop.folder.names("store/bundles").count == 2)

    func versions() throws -> [String] {
      try shop.codi("list", "--json").objects().filter { $0["name"] as? String == "toy/enlarge" }
        .compactMap { $0["version"] as? String }
    }
    try shop.codi("update").expect(0)
    #expect(try versions() == ["1.1.0"])
    try shop.codi("rollback").expect(0)
    #expect(try versions() == ["1.0.0"])
    let kept = shop.folder.names("store/bundles").count
    try shop.codi("gc", "--dry-run").expect(0)
    #expect(shop.folder.names("store/bundles").count == kept)
    try shop.codi("gc").expect(0)
    #expect(shop.folder.names("store/bundles").count == 2)
  }

  @Test("verify hashes every file again and runs the proof again, and ends with 1 for whatever is not sound")
  func verify() throws {
    // Sound by its digests, but what it promises is not what it computes: only the proof can tell.
    let proof = shop.folder("wrong-proof")
    try BundleReader(path: shop.folder("core.codi")).extract(to: URL(filePath: proof))
    let file = URL(filePath: "\(proof)/\(BundleEntry.proof)")
    var data = try Data(contentsOf: file)
    data.replaceSubrange(data.count - 4..<data.count, with: withUnsafeBytes(of: Float(1000)) { Data($0) })
    try data.write(to: file)
    let reader = try BundleReader(path: shop.folder("core.codi"))
    let entries = [BundleEntry.weights, BundleEntry.proof, BundleEntry.card, BundleEntry.license]
    try BundleWriter.pack(
      reader.manifest, files: entries.map { (name: $0, source: .file(path: "\(proof)/\($0)")) },
      to: shop.folder("wrong.codi"))
    let install = try shop.codi("install", "./wrong.codi").expect(5)
    #expect(install.error.contains("This machine computes something else"), "\(install.error)")
    // As if it had been sound when it was installed, on another processor.
    let store = Store(home: shop.store, program: SemanticVersion(0, 1, 0))
    try store.install(file: shop.folder("wrong.codi"))
    try shop.codi("verify", "--no-proof").expect(0)
    let proved = try shop.codi("verify", "--json").expect(1)
    #expect(proved.out.contains("This machine computes something else"), "\(proved.out)")

    try shop.codi("remove", "core").expect(0)
    try shop.codi("trust", "forget", "toy/core@1.0.0").expect(0)
    try shop.codi("gc").expect(0)
    try shop.codi("install", "enlarge").expect(0)
    try shop.codi("verify").expect(0)
    for bundle in try store.list() {
      let weights = URL(
        filePath: "\(shop.store)/bundles/\(bundle.digest.replacing(":", with: "-"))/weights.safetensors")
      let sound = try Data(contentsOf: weights)
      var spoilt = sound
      spoilt[spoilt.count / 2] ^= 1
      try spoilt.write(to: weights)
      let outcome = try shop.codi("verify", "--no-proof").expect(1)
      #expect(outcome.error.contains("weights.safetensors"), "\(outcome.error)")
      try sound.write(to: weights)
    }
    try shop.codi("verify").expect(0)
  }
}
