import Bundles
import Foundation
import Testing

@Suite("SHA-256 and sums") struct SumsTests {
  @Test("digests are those of FIPS 180-4, in one part or many")
  func digests() throws {
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    #expect(SHA256.hex(of: Data("abc".utf8)) == abc)
    #expect(SHA256.hex(of: Data()) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    var hash = SHA256()
    for byte in "abc".utf8 { hash.update(Data([byte])) }
    #expect(hash.hex() == abc && hash.hex() == abc, "asking does not end the stream")
    let folder = try TemporaryFolder()
    #expect(try SHA256.hex(ofFile: folder.write(Data("abc".utf8))) == abc)
    let million = Data(repeating: UInt8(ascii: "a"), count: 1_000_000)
    #expect(SHA256.hex(of: million) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test("sums read and write as sha256sum does")
  func roundTrip() throws {
    let text = "\(Example.digest)  manifest.yaml\n\(Example.digest)  examples/a.png\n"
    let sums = try SumsFile(parsing: Data(text.utf8), source: "SHA256SUMS")
    #expect(sums.text == text)
    #expect(sums["examples/a.png"] == Example.digest && sums["card.md"] == nil)
    try sums.check(names: ["manifest.yaml", "examples/a.png", "SHA256SUMS", "SHA256SUMS.minisig"], source: "b")
    expectError(.missingEntry, "examples/a.png") { try sums.check(names: ["manifest.yaml"], source: "b") }
    expectError(.unlistedEntry, "card.md") {
      try sums.check(names: ["manifest.yaml", "examples/a.png", "card.md"], source: "b")
    }
    expectError(.checksumMismatch, "b/manifest.yaml") { try sums.check("manifest.yaml", digest: "00", source: "b") }
  }

  @Test("lines that sha256sum would not write, and names that sums must not list, are refused")
  func hostile() {
    let digest = Example.digest
    for text in [
      "\(digest)  card.md", "\(digest) card.md\n", "\(digest) *card.md\n", "\(digest)  \n",
      "\(digest.uppercased())  card.md\n",
      "\(digest.dropLast())  card.md\n", "\n", "\(digest)  card.md\n\n", "\\\(digest)  card.md\n",
    ] { expectError(.syntax, "s") { _ = try SumsFile(parsing: Data(text.utf8), source: "s") } }
    expectError(.syntax) { _ = try SumsFile(parsing: Data([0xFF, 10]), source: "s") }
    for text in [
      "\(digest)  ../card.md\n", "\(digest)  SHA256SUMS\n", "\(digest)  SHA256SUMS.minisig\n", "\(digest)  card.md\r\n",
      "\(digest)   card.md\n", "\(digest)  card.md\n\(digest)  card.md\n",
    ] { expectError(.forbidden, "s:") { _ = try SumsFile(parsing: Data(text.utf8), source: "s") } }
  }
}

@Suite("Bundle") struct BundleTests {
  private let folder: TemporaryFolder
  private let library = "plugins/linux-x86_64/libSuperResolution.so"

  init() throws { folder = try TemporaryFolder() }

  /// A folder to pack: the example adapter with six parameters.
  private func source(_ name: String = "source") throws -> URL {
    let url = folder.url.appending(path: name)
    for path in ["plugins/linux-x86_64", "examples"] {
      try FileManager.default.createDirectory(at: url.appending(path: path), withIntermediateDirectories: true)
    }
    try SafetensorsWriter.write(
      [("w", .f32, [2, 3], Data(count: 24))], to: url.appending(path: BundleEntry.weights).path)
    let manifest = Example.adapter.split(separator: "\n").filter { !$0.hasPrefix("weights:") }.joined(separator: "\n")
    for (name, text) in [
      ("manifest.yaml", manifest), (library, "ELF"), ("card.md", "# Card"), ("LICENSE", "Apache"),
      ("recipe.yaml", "a: 1"),
      ("examples/b.png", "PNG b"), ("examples/a.png", "PNG a"),
    ] { try Data(text.utf8).write(to: url.appending(path: name)) }
    return url
  }

  private let names = [
    "manifest.yaml", "weights.safetensors", "plugins/linux-x86_64/libSuperResolution.so", "recipe.yaml", "card.md",
    "LICENSE",
    "examples/a.png", "examples/b.png", "SHA256SUMS",
  ]

  @Test("a packed folder has its entries in order, its weights described, and verifies")
  func pack() throws {
    let source = try source()
    let path = folder.path("a.codi")
    let manifest = try BundleWriter.pack(folder: source, to: path)
    let digest = try SHA256.hex(ofFile: source.appending(path: BundleEntry.weights).path)
    #expect(manifest.weights == .init(sha256: digest, parameters: 6))
    let reader = try BundleReader(path: path)
    #expect(reader.manifest == manifest)
    #expect(reader.archive.names == names)
    #expect(reader.sums.lines.map(\.name) == names.dropLast())
    try reader.verify()
    try BundleWriter.pack(folder: source, to: folder.path("b.codi"))
    #expect(try SHA256.hex(ofFile: folder.path("b.codi")) == SHA256.hex(ofFile: path), "packing is reproducible")
  }

  @Test("an extracted bundle verifies, finds its files, and packs to the same bytes again")
  func install() throws {
    let path = folder.path("a.codi")
    try BundleWriter.pack(folder: source(), to: path)
    let directory = folder.url.appending(path: "installed")
    let extracted = try BundleReader(path: path).extract(to: directory)
    let bundle = try InstalledBundle(directory: directory)
    #expect(bundle.manifest == extracted.manifest)
    try bundle.verify()
    #expect(try SafetensorsFile(path: bundle.weights.path).names == ["w"])
    #expect(try bundle.library(platform: "linux-x86_64").path == directory.appending(path: library).path)
    expectError(.unsupportedPlugin, "plan9-mips", "linux-x86_64") { _ = try bundle.library(platform: "plan9-mips") }
    try BundleWriter.pack(folder: directory, to: folder.path("b.codi"))
    #expect(try SHA256.hex(ofFile: folder.path("b.codi")) == SHA256.hex(ofFile: path))
  }

  @Test("entries from memory pack to the same bytes as the same files")
  func memory() throws {
    let source = try source()
    let manifest = try BundleWriter.pack(folder: source, to: folder.path("a.codi"))
    let files = try names.dropFirst().dropLast().reversed().map { name in
      (name: name, source: ZipWriter.Source.data(try Data(contentsOf: source.appending(path: name))))
    }
    var blank = manifest
    blank.weights = .init(sha256: "", parameters: 0)
    #expect(try BundleWriter.pack(blank, files: files, to: folder.path("b.codi")) == manifest)
    #expect(try SHA256.hex(ofFile: folder.path("a.codi")) == SHA256.hex(ofFile: folder.path("b.codi")))
  }

  @Test("what cannot be packed is refused, and no file appears")
  func packRefuses() throws {
    let path = folder.path("a.codi")
    func refuse(_ code: BundleError.Code, _ word: String, _ edit: (URL) throws -> Void) throws {
      let url = try source("source-\(UUID().uuidString)")
      try edit(url)
      expectError(code, word) { try BundleWriter.pack(folder: url, to: path) }
    }
    let manager = FileManager.default
    try refuse(.forbidden, "notes.txt") { try Data().write(to: $0.appending(path: "notes.txt")) }
    try refuse(.forbidden, "link.png") {
      try manager.createSymbolicLink(
        at: $0.appending(path: "examples/link.png"), withDestinationURL: $0.appending(path: "card.md"))
    }
    try refuse(.forbidden, "minisig") { try Data().write(to: $0.appending(path: "SHA256SUMS.minisig")) }
    try refuse(.missingEntry, "weights") { try manager.removeItem(at: $0.appending(path: "weights.safetensors")) }
    try refuse(.missingEntry, library) { try manager.removeItem(at: $0.appending(path: library)) }
    try refuse(.unlistedEntry, "libOther.so") {
      try Data().write(to: $0.appending(path: "plugins/linux-x86_64/libOther.so"))
    }
    try refuse(.badTensorFile, "weights") { try Data("x".utf8).write(to: $0.appending(path: "weights.safetensors")) }
    try refuse(.unknownKey, "manifest.yaml:") {
      let url = $0.appending(path: "manifest.yaml")
      try (Data(contentsOf: url) + Data("\nlicence: x".utf8)).write(to: url)
    }
    #expect(!manager.fileExists(atPath: path))
    #expect(try manager.contentsOfDirectory(atPath: folder.url.path).allSatisfy { $0.hasPrefix("source") })
  }

  /// The packed example with its entries changed, zipped again without further checks.
  private func tamper(_ edit: (inout [(name: String, source: Data)]) -> Void) throws -> String {
    let path = folder.path("a.codi")
    try BundleWriter.pack(folder: source("source-\(UUID().uuidString)"), to: path)
    let archive = try ZipArchive(path: path)
    var entries = try archive.names.map { (name: $0, source: try archive.read($0)) }
    edit(&entries)
    try ZipWriter.write(entries.map { (name: $0.name, source: ZipWriter.Source.data($0.source)) }, to: path)
    return path
  }

  @Test("a changed file is noticed by verify and by extract, which leaves nothing behind")
  func tampered() throws {
    for index in 1..<names.count - 1 {
      let path = try tamper { $0[index].source.append(32) }
      expectError(.checksumMismatch, names[index]) { try BundleReader(path: path).verify() }
      let directory = folder.url.appending(path: "out")
      expectError(.checksumMismatch, names[index]) { try BundleReader(path: path).extract(to: directory) }
      #expect(!FileManager.default.fileExists(atPath: directory.path))
    }
    let manifest = try tamper { $0[0].source.append(32) }
    expectError(.checksumMismatch, "manifest.yaml") { try BundleReader(path: manifest).verify() }
  }

  @Test("weights that fit the sums but not the manifest are refused")
  func weightsOfAnother() throws {
    let path = try tamper { entries in
      var weights = entries[1].source
      weights[weights.endIndex - 1] ^= 1
      let text = String(decoding: entries[8].source, as: UTF8.self)
        .replacingOccurrences(of: SHA256.hex(of: entries[1].source), with: SHA256.hex(of: weights))
      entries[1].source = weights
      entries[8].source = Data(text.utf8)
    }
    expectError(.checksumMismatch, "the manifest says") { try BundleReader(path: path).verify() }
  }

  @Test("unlisted, missing, and surplus entries are refused on opening")
  func entries() throws {
    func refuse(_ code: BundleError.Code, _ word: String, _ edit: (inout [(name: String, source: Data)]) -> Void) throws
    {
      let path = try tamper(edit)
      expectError(code, word) { _ = try BundleReader(path: path) }
    }
    try refuse(.unlistedEntry, "proof.safetensors") { $0.insert(("proof.safetensors", Data("x".utf8)), at: 8) }
    try refuse(.missingEntry, "card.md") { $0.remove(at: 4) }
    try refuse(.missingEntry, "weights.safetensors") { $0.remove(at: 1) }
    try refuse(.missingEntry, "SHA256SUMS") { $0.remove(at: 8) }
    try refuse(.missingEntry, "manifest.yaml") { $0.remove(at: 0) }
    try refuse(.unlistedEntry, "libB.so") { $0.insert(("plugins/linux-x86_64/libB.so", Data("x".utf8)), at: 2) }
  }

  @Test("packing with a key is packing and signing: the same bytes, the same entries, and a signature at the end")
  func signed() throws {
    let key = try SecretKey.generate()
    let (at, later) = (folder.path("a.codi"), folder.path("b.codi"))
    let source = try source()
    let manifest = try BundleWriter.pack(folder: source, to: at, key: key)
    try BundleWriter.pack(folder: source, to: later)
    let unsigned = try BundleReader(path: later)
    #expect(unsigned.signature == nil)
    expectError(.missingEntry, "not signed", "codi sign") { try unsigned.verifySignature(with: key.publicKey) }
    #expect(try BundleWriter.sign(later, with: key, to: folder.path("c.codi")) == manifest)
    #expect(try SHA256.hex(ofFile: folder.path("c.codi")) == SHA256.hex(ofFile: at))
    // Signing again with the same key changes nothing; with another one, the signature alone.
    try BundleWriter.sign(at, with: key)
    #expect(try SHA256.hex(ofFile: folder.path("c.codi")) == SHA256.hex(ofFile: at))
    let other = try SecretKey.generate()
    try BundleWriter.sign(at, with: other)
    let reader = try BundleReader(path: at)
    try reader.verify()
    try reader.verifySignature(with: other.publicKey)
    #expect(reader.archive.names == unsigned.archive.names + [BundleEntry.signature])
    #expect(reader.sums == unsigned.sums)
    #expect(reader.signature?.trustedComment == "\(manifest.name)@\(manifest.version)")
    expectError(.wrongKey) { try reader.verifySignature(with: key.publicKey) }
    let bundle = try reader.extract(to: folder.url.appending(path: "out"))
    try bundle.verify()
    try bundle.verifySignature(with: other.publicKey)
    #expect(try bundle.signature() == reader.signature)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).count == 5, "nothing left behind")
  }

  @Test("a signature for other sums, another name, or another version does not fit")
  func borrowedSignature() throws {
    let key = try SecretKey.generate()
    let path = folder.path("a.codi")
    let manifest = try BundleWriter.pack(folder: source("other"), to: path)
    let sums = try ZipArchive(path: path).read(BundleEntry.sums)
    for (message, comment, isGood) in [
      (sums, "\(manifest.name)@\(manifest.version)", true), (sums, "\(manifest.name)@9.9.9", false),
      (sums, "else/\(manifest.name.split(separator: "/")[1])@\(manifest.version)", false),
      (sums + Data("\n".utf8), "\(manifest.name)@\(manifest.version)", false),
    ] {
      let signature = try key.sign(message, trustedComment: comment)
      let signed = try tamper { $0.append((BundleEntry.signature, Data(signature.file.utf8))) }
      let reader = try BundleReader(path: signed)
      let bundle = try reader.extract(to: folder.url.appending(path: UUID().uuidString))
      if isGood {
        try reader.verifySignature(with: key.publicKey)
        try bundle.verifySignature(with: key.publicKey)
      } else {
        expectError(.badSignature, "minisig") { try reader.verifySignature(with: key.publicKey) }
        expectError(.badSignature, "minisig") { try bundle.verifySignature(with: key.publicKey) }
      }
    }
  }

  @Test("an entry that is no signature is refused on opening")
  func malformedSignature() throws {
    let path = try tamper { $0.append(("SHA256SUMS.minisig", Data("signed".utf8))) }
    expectError(.syntax, "minisig") { _ = try BundleReader(path: path) }
  }

  @Test("weights that hold a NaN are not installed")
  func notFinite() throws {
    let url = try source()
    try SafetensorsWriter.write(
      [("w", .f32, [1], Data([0, 0, 0xC0, 0x7F]))], to: url.appending(path: BundleEntry.weights).path)
    try BundleWriter.pack(folder: url, to: folder.path("a.codi"))
    let directory = folder.url.appending(path: "out")
    expectError(.notFinite, "w") { try BundleReader(path: folder.path("a.codi")).extract(to: directory) }
    #expect(!FileManager.default.fileExists(atPath: directory.path))
  }

  @Test("an installed bundle notices a changed, a missing, an added, and a linked file")
  func installedTampering() throws {
    let path = folder.path("a.codi")
    try BundleWriter.pack(folder: source(), to: path)
    func refuse(_ code: BundleError.Code, _ word: String, _ edit: (InstalledBundle) throws -> Void) throws {
      let bundle = try BundleReader(path: path).extract(to: folder.url.appending(path: UUID().uuidString))
      try edit(bundle)
      expectError(code, word) { try bundle.verify() }
    }
    let manager = FileManager.default
    try refuse(.checksumMismatch, "card.md") { try Data("x".utf8).write(to: $0.url(of: "card.md")) }
    try refuse(.missingEntry, "card.md") { try manager.removeItem(at: $0.url(of: "card.md")) }
    try refuse(.unlistedEntry, "examples/c.png") { try Data().write(to: $0.url(of: "examples/c.png")) }
    try refuse(.forbidden, "notes.txt") { try Data().write(to: $0.url(of: "notes.txt")) }
    try refuse(.forbidden, "card.md") {
      try manager.moveItem(at: $0.url(of: "card.md"), to: folder.url.appending(path: UUID().uuidString))
      try manager.createSymbolicLink(atPath: $0.url(of: "card.md").path, withDestinationPath: "LICENSE")
    }
  }

  @Test("a core packs without a plugin and knows its own digest")
  func core() throws {
    let url = folder.url.appending(path: "core")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    try Data(Example.core.utf8).write(to: url.appending(path: "manifest.yaml"))
    let weights = url.appending(path: BundleEntry.weights).path
    try SafetensorsWriter.write([("w", .bf16, [4], Data(count: 8))], to: weights)
    let manifest = try BundleWriter.pack(folder: url, to: folder.path("core.codi"))
    let network = try #require(manifest.network)
    #expect(
      try manifest.coreDigest == Manifest.coreDigest(network: network, weightsSHA256: SHA256.hex(ofFile: weights)))
  }
}
