import AttackReport
import Foundation
import Registry
import Testing

@Suite("What a library needs") struct SharedLibraryTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func compile(_ flags: String...) throws -> [UInt8] {
    let (source, library) = (folder.path + "/x.c", folder.path + "/x.so")
    try Data("#include <math.h>\ndouble f(double x) { return sin(x); }\n".utf8).write(to: URL(filePath: source))
    let compiler = Process()
    compiler.executableURL = URL(filePath: "/usr/bin/cc")
    compiler.arguments = ["-shared", "-fPIC", "-fno-builtin", source, "-o", library] + flags
    try compiler.run()
    compiler.waitUntilExit()
    try #require(compiler.terminationStatus == 0)
    return Array(try Data(contentsOf: URL(filePath: library)))
  }

  @Test("libraries and run paths are those that the dynamic linker would use")
  func needs() throws {
    let plain = try SharedLibrary(compile("-Wl,--no-as-needed", "-lm"))
    #expect(plain.needed.contains("libm.so.6") && plain.needed.contains("libc.so.6"))
    #expect(plain.runPaths.isEmpty && plain.surplus.isEmpty && plain.machine != nil)
    for tags in ["--enable-new-dtags", "--disable-new-dtags"] {
      let more = try SharedLibrary(compile("-Wl,--no-as-needed,-rpath,/a:/b,\(tags)", "-lsodium", "-lm"))
      #expect(more.needed.first?.hasPrefix("libsodium.so") == true)
      #expect(more.runPaths == ["/a:/b"] && more.surplus.count == 2)
    }
  }

  @Test("readelf sees the same", .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/readelf")))
  func witness() throws {
    let bytes = try compile("-Wl,--no-as-needed", "-lsodium", "-lm", "-lzip")
    let readelf = Process()
    let pipe = Pipe()
    readelf.executableURL = URL(filePath: "/usr/bin/readelf")
    readelf.arguments = ["-d", "-W", folder.path + "/x.so"]
    readelf.standardOutput = pipe
    try readelf.run()
    let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    readelf.waitUntilExit()
    let seen = text.matches(of: /\(NEEDED\).*\[(.*)\]/).map { String($0.1) }
    #expect(try SharedLibrary(bytes).needed == seen && seen.count == 4)
  }

  @Test("truncated, changed and made-up files are refused or read, and never crash")
  func malformed() throws {
    let bytes = try compile("-lm")
    var refused = 0
    var made = 0
    func look(_ bytes: [UInt8]) {
      made += 1
      if (try? SharedLibrary(bytes)) == nil { refused += 1 }
    }
    for count in stride(from: 0, to: bytes.count, by: 37) { look(Array(bytes[..<count])) }
    #expect(refused == made || refused > made / 4, "\(refused) of \(made)")
    // Headers, program headers and the dynamic section, byte by byte.
    let dynamic = try #require(
      bytes.indices.first { bytes[$0...].starts(with: [0x01, 0, 0, 0, 0, 0, 0, 0]) && $0 > 1024 })
    for place in Array(0..<min(1024, bytes.count)) + Array(dynamic..<min(dynamic + 512, bytes.count)) {
      for value: UInt8 in [0, 1, 0x7F, 0x80, 0xFF] {
        var copy = bytes
        copy[place] = value
        look(copy)
      }
    }
    for place in stride(from: 0, to: 600, by: 8) {
      var copy = bytes
      copy.replaceSubrange(place..<place + 8, with: repeatElement(0xFF, count: 8))
      look(copy)
    }
    for text in ["", "\u{7F}ELF", "#!/bin/sh\n", String(repeating: "\u{7F}ELF", count: 100)] { look(Array(text.utf8)) }
    AttackReport.record(.inputs, "plugin library (ELF)", count: made, outcome: "refused, or read within its bounds")
  }
}
