import Bundles
import Foundation
import Testing

@Suite("Signatures") struct SignatureTests {
  private let folder: TemporaryFolder
  private let key: SecretKey
  private let message = Data("a list of sums\n".utf8)

  init() throws {
    folder = try TemporaryFolder()
    key = try SecretKey.generate()
  }

  // MARK: Keys

  @Test("keys read back from their files, encrypted or not, and sign the same bytes")
  func keyFiles() throws {
    let signature = try key.sign(message, trustedComment: "a/b@1.0.0").file
    for (password, given) in [(nil, nil), (nil, "not looked at"), ("pass word", "pass word")] as [(String?, String?)] {
      let file = Data(try key.file(password: password, effort: .interactive).utf8)
      #expect(try SecretKey.isEncrypted(file, source: "k") == (password != nil))
      let read = try SecretKey(parsing: file, password: given, source: "k")
      #expect(read.publicKey == key.publicKey)
      #expect(try read.sign(message, trustedComment: "a/b@1.0.0").file == signature)
    }
    let shown = key.publicKey
    #expect(try PublicKey(parsing: Data(shown.file.utf8), source: "p") == shown)
    #expect(PublicKey(shown.description) == shown && KeyID(shown.id.description) == shown.id)
    #expect(try SecretKey.generate().publicKey != shown)
  }

  @Test("a wrong password, none, and a changed key are refused")
  func wrongPassword() throws {
    let file = Data(try key.file(password: "right", effort: .interactive).utf8)
    expectError(.wrongPassword, "k") { _ = try SecretKey(parsing: file, password: "wrong", source: "k") }
    expectError(.wrongPassword, "encrypted") { _ = try SecretKey(parsing: file, source: "k") }
    let plain = try record(key.file(password: nil))
    // The number, the seed, the public half, the checksum.
    for place in [70, 100, 157] {
      let changed = keyFile(plain) { $0[place] ^= 1 }
      #expect(throws: BundleError.self, "byte \(place)") { try SecretKey(parsing: changed, source: "k") }
    }
    let greedy = keyFile(try record(key.file(password: "p", effort: .interactive))) { $0[50] = 0xFF }
    expectError(.limit, "memory") { _ = try SecretKey(parsing: greedy, password: "p", source: "k") }
  }

  @Test(
    "files that are no keys are refused", arguments: ["short", "mark", "base64", "lines", "comment", "text", "long"])
  func badKeys(_ how: String) throws {
    func edit(_ file: String) -> Data {
      var lines = file.split(separator: "\n").map(String.init)
      var bytes = [UInt8](Data(base64Encoded: lines[1]) ?? Data())
      switch how {
      case "short": lines[1] = Data(bytes.dropLast()).base64EncodedString()
      case "mark":
        bytes[1] = UInt8(ascii: "X")
        lines[1] = Data(bytes).base64EncodedString()
      case "base64": lines[1] = lines[1].replacingOccurrences(of: lines[1].prefix(1), with: "*")
      case "lines": lines.append("more")
      case "comment": lines[0] = "comment: x"
      case "long": lines[0] += String(repeating: "x", count: 20_000)
      default: return Data([0xFF, 10, 10])
      }
      return Data((lines.joined(separator: "\n") + "\n").utf8)
    }
    expectError(.syntax, "k") { _ = try PublicKey(parsing: edit(key.publicKey.file), source: "k") }
    let secret = edit(try key.file(password: nil))
    expectError(.syntax, "k") { _ = try SecretKey(parsing: secret, source: "k") }
  }

  // MARK: Signatures

  @Test("a signature verifies its message, and reads back from its file")
  func roundTrip() throws {
    let signature = try key.sign(message, trustedComment: "a/b@1.0.0")
    try signature.verify(message, with: key.publicKey, source: "s")
    #expect(try Signature(parsing: Data(signature.file.utf8), source: "s") == signature)
    #expect(signature.offeredKey == key.publicKey && signature.trustedComment == "a/b@1.0.0")
    try key.sign(Data(), trustedComment: "").verify(Data(), with: key.publicKey, source: "s")
  }

  @Test("other bytes, another key, a borrowed number and a changed comment are told apart")
  func forged() throws {
    let signature = try key.sign(message, trustedComment: "a/b@1.0.0")
    expectError(.badSignature, "s:") { try signature.verify(message + [10], with: key.publicKey, source: "s") }
    let other = try SecretKey.generate()
    expectError(.wrongKey, "\(key.publicKey.id)", "\(other.publicKey.id)") {
      try signature.verify(message, with: other.publicKey, source: "s")
    }
    // A key that claims the number of ours.
    let borrowed = keyFile(try record(other.file(password: nil))) {
      let mine = [UInt8](Data(base64Encoded: key.publicKey.description) ?? Data())
      $0.replaceSubrange(54..<62, with: mine[2..<10])
    }
    let forger = try SecretKey(parsing: borrowed, source: "k")
    #expect(forger.publicKey.id == key.publicKey.id)
    let forged = try forger.sign(message, trustedComment: "a/b@1.0.0")
    expectError(.badSignature) { try forged.verify(message, with: key.publicKey, source: "s") }

    let newer = try key.sign(message + [1], trustedComment: "a/b@2.0.0").file
    let lines = signature.file.split(separator: "\n").map(String.init)
    let newLines = newer.split(separator: "\n").map(String.init)
    for swapped in [
      [lines[0], lines[1], newLines[2], lines[3]], [lines[0], lines[1], newLines[2], newLines[3]],
      [lines[0], lines[1], lines[2], newLines[3]],
    ] {
      let read = try Signature(parsing: Data((swapped.joined(separator: "\n") + "\n").utf8), source: "s")
      expectError(.badSignature, "comment") { try read.verify(message, with: key.publicKey, source: "s") }
    }
  }

  @Test("every changed byte of a signature file is noticed, but for the untrusted comment's text")
  func everyByte() throws {
    let file = Data(try key.sign(message, trustedComment: "a/b@1.0.0").file.utf8)
    let first = file.prefix { $0 != 10 }.count
    for place in file.indices where !(19..<first).contains(place) {
      for bit in [0, 5] {
        var changed = file
        changed[place] ^= 1 << bit
        #expect(throws: BundleError.self, "byte \(place), bit \(bit)") {
          try Signature(parsing: changed, source: "s").verify(message, with: key.publicKey, source: "s")
        }
      }
    }
    for length in 0..<file.count {
      #expect(throws: BundleError.self) { try Signature(parsing: file.prefix(length), source: "s") }
    }
    recordInput(#_sourceLocation, count: (file.count - first + 19) * 2, "one changed bit: refused")
    recordInput(#_sourceLocation, count: file.count, "truncated: refused")
  }

  @Test("files that are no signatures are refused")
  func badSignatures() throws {
    let file = try key.sign(message, trustedComment: "a/b@1.0.0").file
    let lines = file.split(separator: "\n").map(String.init)
    func refuse(_ code: BundleError.Code, _ text: String, at location: SourceLocation = #_sourceLocation) {
      expectError(code, at: location) { _ = try Signature(parsing: Data(text.utf8), source: "s") }
    }
    func with(_ line: Int, _ text: String) -> String {
      var edited = lines
      edited[line] = text
      return edited.joined(separator: "\n") + "\n"
    }
    refuse(.syntax, file + "\n")
    refuse(.forbidden, file.replacingOccurrences(of: "\n", with: "\r\n"))
    refuse(.syntax, String(file.dropLast()))
    refuse(.syntax, "\u{FEFF}" + file)
    refuse(.syntax, with(1, lines[1] + " "))
    refuse(.syntax, with(1, lines[1].replacingOccurrences(of: "=", with: "")))
    refuse(.syntax, with(1, lines[3]))
    refuse(.syntax, with(3, lines[1]))
    refuse(.syntax, with(3, String(lines[3].dropLast(3)) + "B=="))  // stray bits under the padding
    refuse(.syntax, with(2, "Trusted comment: a/b@1.0.0"))
    refuse(.forbidden, with(2, lines[2] + "\r"))
    refuse(.forbidden, with(2, lines[2] + "\u{2028}x"))
    refuse(.forbidden, with(2, lines[2] + "\u{85}x"))
    refuse(.forbidden, with(0, lines[0] + "\u{1B}[31m"))
    refuse(.forbidden, with(2, lines[2] + String(repeating: "x", count: 1000)))
    for comment in ["a\nb", "a\r\nb", "a\u{2029}b", "\u{0}", String(repeating: "x", count: 1001)] {
      expectError(.forbidden) { _ = try key.sign(message, trustedComment: comment) }
    }
  }

  // MARK: Debian's minisign as the judge

  @Test("minisign verifies what we sign", .enabled(if: Judge.exists, "minisign is not installed"))
  func judgedByMinisign() throws {
    _ = try folder.write(message, "m")
    _ = try folder.write(Data(key.sign(message, trustedComment: "a/b@1.0.0").file.utf8), "m.minisig")
    _ = try folder.write(Data(key.publicKey.file.utf8), "k.pub")
    let told = try Judge.run(["-V", "-H", "-m", folder.path("m"), "-p", folder.path("k.pub")])
    #expect(told.status == 0 && told.output.contains("Trusted comment: a/b@1.0.0"), "\(told.output)")
    #expect(try Judge.run(["-V", "-m", folder.path("m"), "-P", key.publicKey.description]).status == 0)
    _ = try folder.write(message + [10], "m")
    #expect(try Judge.run(["-V", "-m", folder.path("m"), "-p", folder.path("k.pub")]).status != 0)
  }

  @Test("minisign signs with our keys, encrypted or not", .enabled(if: Judge.exists, "minisign is not installed"))
  func ourKeys() throws {
    _ = try folder.write(message, "m")
    for password in [nil, "pass word"] as [String?] {
      _ = try folder.write(Data(key.file(password: password, effort: .interactive).utf8), "k.key")
      let told = try Judge.run(
        ["-S", "-s", folder.path("k.key"), "-m", folder.path("m"), "-t", "a/b@1.0.0"], input: (password ?? "") + "\n")
      #expect(told.status == 0, "\(told.output)")
      let file = try Data(contentsOf: URL(filePath: folder.path("m.minisig")))
      let signature = try Signature(parsing: file, source: "m.minisig")
      try signature.verify(message, with: key.publicKey, source: "m.minisig")
      #expect(signature.trustedComment == "a/b@1.0.0" && signature.offeredKey == nil)
      #expect(signature.file == String(decoding: file, as: UTF8.self), "written as minisign writes it")
    }
  }

  @Test(
    "we read minisign's keys and verify its signatures, both kinds",
    .enabled(if: Judge.exists, "minisign is not installed"), arguments: [nil, "pass word"] as [String?])
  func theirKeys(_ password: String?) throws {
    _ = try folder.write(message, "m")
    let (secret, shown) = (folder.path("k.key"), folder.path("k.pub"))
    let input = password.map { "\($0)\n\($0)\n" } ?? ""
    let made = try Judge.run(["-G", "-p", shown, "-s", secret] + (password == nil ? ["-W"] : []), input: input)
    #expect(made.status == 0, "\(made.output)")
    let read = try SecretKey(parsing: Data(contentsOf: URL(filePath: secret)), password: password, source: secret)
    let publicKey = try PublicKey(parsing: Data(contentsOf: URL(filePath: shown)), source: shown)
    #expect(read.publicKey == publicKey)
    // Once is enough where every use of the password costs minisign 1 GiB and some seconds.
    if password != nil { return }
    for (options, algorithm) in [(["-l"], Signature.Algorithm.legacy), (["-H"], .prehashed)] {
      let signed = try Judge.run(["-S", "-s", secret, "-m", folder.path("m")] + options)
      #expect(signed.status == 0, "\(signed.output)")
      let file = try Data(contentsOf: URL(filePath: folder.path("m.minisig")))
      let signature = try Signature(parsing: file, source: "m")
      #expect(signature.algorithm == algorithm)
      try signature.verify(message, with: publicKey, source: "m")
      expectError(.badSignature) { try signature.verify(Data(), with: publicKey, source: "m") }
    }
  }

  // MARK: Helpers

  private func record(_ file: String) throws -> [UInt8] {
    [UInt8](try #require(Data(base64Encoded: String(file.split(separator: "\n")[1]))))
  }

  private func keyFile(_ record: [UInt8], _ edit: (inout [UInt8]) -> Void) -> Data {
    var record = record
    edit(&record)
    return Data("untrusted comment: x\n\(Data(record).base64EncodedString())\n".utf8)
  }
}

/// Debian's minisign.
enum Judge {
  private static let path = "/usr/bin/minisign"
  static let exists = FileManager.default.isExecutableFile(atPath: path)

  static func run(_ arguments: [String], input: String = "") throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(filePath: path)
    process.arguments = arguments
    let (stdin, stdout) = (Pipe(), Pipe())
    process.standardInput = stdin
    process.standardOutput = stdout
    process.standardError = stdout
    try process.run()
    // It may end without reading: that is no reason for the tests to die of SIGPIPE.
    signal(SIGPIPE, SIG_IGN)
    try? stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8))
    try? stdin.fileHandleForWriting.close()
    let output = try stdout.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
  }
}
