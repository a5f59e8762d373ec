internal import Bundles
internal import Foundation

/// Parses the input as each of the small signed and signing files.
enum SignatureReading {
  static func run(_ input: Data) throws -> Int {
    var read = 0
    read += try refusing {
      let sums = try SumsFile(parsing: input, source: "input")
      try promise(SumsFile(parsing: Data(sums.text.utf8), source: "again") == sums, "the sums are written as others")
      try refusing { try sums.check(names: [BundleEntry.manifest, BundleEntry.weights], source: "input") }
      for line in sums.lines {
        try promise(line.digest.utf8.count == 64 && !line.name.contains { $0.isNewline }, "a line is let through")
      }
    }
    read += try refusing {
      let signature = try Signature(parsing: input, source: "input")
      let again = try Signature(parsing: Data(signature.file.utf8), source: "again")
      try promise(again == signature, "the signature is written as another")
      if let offered = signature.offeredKey {
        try promise(offered.id == signature.keyID, "it offers a key that did not sign")
      }
      try signature.verify(Seeds.message, with: TestKey.key().publicKey, source: "input")
      try promise(Seeds.comments.contains(signature.trustedComment), "a comment was forged")
    }
    read += try refusing {
      let key = try PublicKey(parsing: input, source: "input")
      try promise(PublicKey(parsing: Data(key.file.utf8), source: "again") == key, "the key is written as another")
    }
    read += try refusing {
      // With a password every input would cost up to a gigabyte and some seconds.
      guard try !SecretKey.isEncrypted(input, source: "input") else { return }
      let key = try SecretKey(parsing: input, source: "input")
      let signature = try key.sign(Seeds.message, trustedComment: "demo")
      try signature.verify(Seeds.message, with: key.publicKey, source: "again")
    }
    return read
  }
}

/// The key that signs the seeds: that of RFC 8032, section 7.1, test 1, which everybody knows.
enum TestKey {
  static func key() throws -> SecretKey {
    try SecretKey(parsing: Data(file.utf8), source: "key")
  }

  /// Unencrypted, as minisign writes it with -W.
  static var file: String {
    let seed: [UInt8] = [
      0x9D, 0x61, 0xB1, 0x9D, 0xEF, 0xFD, 0x5A, 0x60, 0xBA, 0x84, 0x4A, 0xF4, 0x92, 0xEC, 0x2C, 0xC4,
      0x44, 0x49, 0xC5, 0x69, 0x7B, 0x32, 0x69, 0x19, 0x70, 0x3B, 0xAC, 0x03, 0x1C, 0xAE, 0x7F, 0x60,
    ]
    let publicKey: [UInt8] = [
      0xD7, 0x5A, 0x98, 0x01, 0x82, 0xB1, 0x0A, 0xB7, 0xD5, 0x4B, 0xFE, 0xD3, 0xC9, 0x64, 0x07, 0x3A,
      0x0E, 0xE1, 0x72, 0xF3, 0xDA, 0xA6, 0x23, 0x25, 0xAF, 0x02, 0x1A, 0x68, 0xF7, 0x07, 0x51, 0x1A,
    ]
    // Mark, no derivation, kind of checksum, salt and limits that are not used; number, key, no checksum.
    let head = Array("Ed".utf8) + [0, 0] + Array("B2".utf8) + [UInt8](repeating: 0, count: 48)
    let record = head + Array("fuzzkey1".utf8) + seed + publicKey + [UInt8](repeating: 0, count: 32)
    return "untrusted comment: known to everybody\n\(Data(record).base64EncodedString())\n"
  }
}
