import Bundles
import Foundation
import Testing

@Suite("Zip") struct ZipTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func open(_ zip: RawZip) throws -> ZipArchive {
    try ZipArchive(path: folder.write(zip.build(), UUID().uuidString))
  }

  private let text = Data(String(repeating: "some words, ", count: 20).utf8)

  private func entries() throws -> [(name: String, source: ZipWriter.Source)] {
    let picture = try folder.write(Data((0..<2000).map { UInt8(truncatingIfNeeded: $0 * $0) }), "picture")
    return [
      ("manifest.yaml", .data(text)), ("weights.safetensors", .data(text)),
      ("plugins/linux-x86_64/libTask.so", .data(text + text)), ("card.md", .data(Data())),
      ("examples/a.png", .file(path: picture)),
    ]
  }

  @Test("the raw builder's plain zip is accepted, so that what follows is refused for its one fault")
  func plain() throws {
    let archive = try open(RawZip("manifest.yaml", "card.md"))
    #expect(archive.names == ["manifest.yaml", "card.md"])
    #expect(try archive.read("card.md") == Data("x".utf8))
    #expect(archive.size(of: "card.md") == 1)
    expectError(.missingEntry, "LICENSE", "manifest.yaml, card.md") { _ = try archive.read("LICENSE") }
    expectError(.limit, "at most 0") { _ = try archive.read("card.md", atMost: 0) }
  }

  @Test("what is written reads back; weights and pictures are stored, the rest deflated")
  func roundTrip() throws {
    let path = folder.path("a.codi")
    try ZipWriter.write(entries(), to: path)
    let archive = try ZipArchive(path: path)
    #expect(archive.names == (try entries()).map(\.name))
    #expect(try archive.read("weights.safetensors") == text)
    #expect(try archive.read("plugins/linux-x86_64/libTask.so") == text + text)
    #expect(try archive.read("card.md") == Data())
    let bytes = try Data(contentsOf: URL(filePath: path))
    #expect(bytes.ranges(of: text).count == 1, "only the weights stand as they are")
    #expect(bytes.range(of: try archive.read("examples/a.png")) != nil)
  }

  @Test("the same entries give the same bytes, whatever the files' times and modes")
  func reproducible() throws {
    let (a, b) = (folder.path("a.codi"), folder.path("b.codi"))
    try ZipWriter.write(entries(), to: a)
    let picture = folder.path("picture")
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSince1970: 1e9), .posixPermissions: 0o600], ofItemAtPath: picture)
    var again = try entries()
    again[4].source = .data(try Data(contentsOf: URL(filePath: picture)))
    try ZipWriter.write(again, to: b)
    let (x, y) = (try Data(contentsOf: URL(filePath: a)), try Data(contentsOf: URL(filePath: b)))
    #expect(x == y)
    #expect(Array(x[10..<14]) == [0, 0, 0x21, 0], "midnight, 1980-01-01")
  }

  @Test(
    "names outside the list are refused, whatever they try",
    arguments: [
      "../card.md", "/card.md", "examples/../../card.md", "plugins/linux-x86_64/../libA.so", "examples\\a.png",
      "C:card.md", "card.md/", "plugins/", "examples/a/b.png", "examples/.png", "examples/-a.png", "examples/a.jpg",
      "CARD.md", "other", "plugins/linux/lib.so", "plugins/linux/libA.so.1", "plugins//libA.so", "card.md\0",
      "\u{202E}dm.drac",
      "examples/é.png", "examples/a b.png", "", "plugins/.x/libA.so", "weights.safetensors2",
      "examples/" + String(repeating: "a", count: 200) + ".png",
    ])
  func names(name: String) {
    expectError(.forbidden) { _ = try open(RawZip(name)) }
  }

  @Test("entries that are not plain files, not plainly packed, or not plainly named are refused")
  func kinds() throws {
    func one(_ name: String = "card.md", _ edit: (inout RawZip.Entry) -> Void) -> RawZip {
      var zip = RawZip("manifest.yaml", name)
      edit(&zip.entries[1])
      return zip
    }
    let cases: [(String, RawZip)] = [
      ("regular", one { $0.attributes = 0o120777 << 16 }), ("regular", one { $0.attributes = 0o040755 << 16 }),
      ("regular", one { $0.attributes = 0o020644 << 16 }), ("regular", one { $0.attributes = 0x10 }),
      ("encrypted", one { $0.flags = 1 }), ("encrypted", one { $0.flags = 0x41 }), ("flags", one { $0.flags = 8 }),
      ("flags", one { $0.flags = 0x2000 }), ("method 12", one { $0.method = 12 }),
      ("method 99", one { $0.method = 99 }),
      ("two sizes", one { $0.size = 2 }), ("extra", one { $0.centralExtra = Data([1, 0, 0, 0]) }),
      ("local header", one { $0.localExtra = Data([1, 0, 0, 0]) }), ("UTF-8", one { $0.name = [0xFF, 0xFE] }),
    ]
    for (words, zip) in cases { expectError(.badArchive, words) { _ = try open(zip) } }
  }

  @Test("a local header that differs from the central directory is refused, field by field", arguments: 0..<37)
  func localHeader(byte: Int) {
    var zip = RawZip("manifest.yaml", "card.md")
    zip.entries[1].editLocal = { $0[$0.startIndex + byte] ^= 1 }
    expectError(.badArchive) { _ = try open(zip) }
  }

  @Test("bytes before, between, and after the entries are refused, and so is every truncation")
  func structure() throws {
    let plain = RawZip("manifest.yaml", "card.md")
    for part in [\RawZip.before, \.gap, \.comment, \.after] {
      var zip = plain
      zip[keyPath: part] = Data("more".utf8)
      expectError(.badArchive) { _ = try open(zip) }
    }
    var zip = plain
    zip.shift = -44
    expectError(.badArchive, "start where") { _ = try open(zip) }
    let bytes = plain.build()
    for count in 0..<bytes.count {
      let path = try folder.write(bytes.prefix(count))
      expectError(.badArchive) { _ = try ZipArchive(path: path) }
    }
    let twice = try folder.write(bytes + bytes)
    expectError(.badArchive) { _ = try ZipArchive(path: twice) }
  }

  @Test("no single changed byte goes unnoticed or crashes")
  func flips() throws {
    let bytes = RawZip("manifest.yaml", "card.md").build()
    for position in bytes.indices {
      for mask: UInt8 in [0x01, 0x80, 0xFF] {
        var copy = bytes
        copy[position] ^= mask
        let path = try folder.write(copy)
        guard let archive = try? ZipArchive(path: path) else { continue }
        // What opens has the same names and contents, or fails on reading.
        #expect(archive.names == ["manifest.yaml", "card.md"])
        if let data = try? archive.read("card.md") { #expect(data == Data("x".utf8)) }
      }
    }
    recordInput(#_sourceLocation, count: bytes.count * 3, "one changed byte: refused, or the same contents")
  }

  @Test("duplicate names, also in another case, and entries out of order are refused")
  func duplicates() {
    expectError(.forbidden, "twice") { _ = try open(RawZip("manifest.yaml", "card.md", "card.md")) }
    expectError(.forbidden, "twice") { _ = try open(RawZip("manifest.yaml", "examples/A.png", "examples/a.png")) }
    expectError(.badArchive, "before") { _ = try open(RawZip("card.md", "manifest.yaml")) }
    expectError(.badArchive, "before") { _ = try open(RawZip("examples/b.png", "examples/a.png")) }
  }

  @Test("bombs are refused before anything is unpacked")
  func bombs() throws {
    let path = folder.path("bomb")
    try ZipWriter.write([("manifest.yaml", .data(Data(count: 10 << 20)))], to: path)
    expectError(.limit, "200 times") { _ = try ZipArchive(path: path) }
    try ZipWriter.write([("manifest.yaml", .data(text)), ("card.md", .data(text))], to: path)
    let size = 2 * text.count
    _ = try ZipArchive(path: path, limits: .init(bytes: size))
    expectError(.limit, "\(size - 1) bytes") { _ = try ZipArchive(path: path, limits: .init(bytes: size - 1)) }
    expectError(.limit, "2 entries") { _ = try ZipArchive(path: path, limits: .init(entries: 1)) }
  }

  @Test("a lie about the unpacked size or the checksum is noticed, and extraction leaves nothing behind")
  func lies() throws {
    let path = folder.path("zip")
    try ZipWriter.write([("manifest.yaml", .data(text)), ("card.md", .data(text))], to: path)
    let good = try Data(contentsOf: URL(filePath: path))
    let size = withUnsafeBytes(of: UInt32(text.count).littleEndian) { Data($0) }
    let places = good.ranges(of: size)
    #expect(places.count == 4, "two local headers and two central records")
    for delta in [-1, 1] {
      var bad = good
      let lie = withUnsafeBytes(of: UInt32(text.count + delta).littleEndian) { Data($0) }
      for place in [places[1], places[3]] { bad.replaceSubrange(place, with: lie) }
      let archive = try? ZipArchive(path: folder.write(bad, "bad"))
      expectError(.badArchive) { _ = try #require(archive).read("card.md") }
      expectError(.badArchive) { try #require(archive).extract(to: folder.url.appending(path: "out")) }
    }
    var zip = RawZip("manifest.yaml", "card.md")
    zip.entries[1].crc = 1
    let archive = try open(zip)
    expectError(.badArchive, "card.md", "CRC") { _ = try archive.read("card.md") }
    expectError(.badArchive, "card.md") { try archive.extract(to: folder.url.appending(path: "out")) }
    #expect(!FileManager.default.fileExists(atPath: folder.path("out")))
  }

  @Test("extraction makes a fresh folder of plain files, and never touches one that exists")
  func extraction() throws {
    let path = folder.path("a.codi")
    try ZipWriter.write(entries(), to: path)
    let archive = try ZipArchive(path: path)
    let out = folder.url.appending(path: "out")
    try archive.extract(to: out)
    let files = try FileManager.default.subpathsOfDirectory(atPath: out.path).filter { $0.contains(".") }.sorted()
    #expect(files == archive.names.sorted())
    for name in archive.names {
      #expect(try Data(contentsOf: out.appending(path: name)) == archive.read(name))
      let mode = try FileManager.default.attributesOfItem(atPath: out.appending(path: name).path)[.posixPermissions]
      #expect(mode as? Int == 0o644)
    }
    expectError(.inputOutput, "exists") { try archive.extract(to: out) }
    #expect(FileManager.default.fileExists(atPath: out.appending(path: "card.md").path))
    let link = folder.url.appending(path: "link")
    try FileManager.default.createSymbolicLink(at: link, withDestinationURL: folder.url.appending(path: "elsewhere"))
    expectError(.inputOutput) { try archive.extract(to: link) }
    #expect(!FileManager.default.fileExists(atPath: folder.path("elsewhere")))
  }

  @Test("a failing check stops extraction without a trace, and a failing write leaves no file")
  func cleanup() throws {
    let path = folder.path("a.codi")
    try ZipWriter.write([("manifest.yaml", .data(text)), ("card.md", .data(text))], to: path)
    let before = try folder.contents
    expectError(.checksumMismatch) {
      try ZipArchive(path: path).extract(to: folder.url.appending(path: "out")) { (name, _) throws(BundleError) in
        if name == "card.md" { throw BundleError(.checksumMismatch, at: name, "No.", remedy: "None.") }
      }
    }
    expectError(.inputOutput, "missing", "No such file") {
      try ZipWriter.write([("card.md", .file(path: folder.path("missing")))], to: folder.path("b.codi"))
    }
    expectError(.checksumMismatch) {
      try ZipWriter.write([("card.md", .data(text))], to: path) { (_) throws(BundleError) in
        throw BundleError(.checksumMismatch, at: "here", "No.", remedy: "None.")
      }
    }
    #expect(try folder.contents == before)
    #expect(try ZipArchive(path: path).names.count == 2)
  }
}
