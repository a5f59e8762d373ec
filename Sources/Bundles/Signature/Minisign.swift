internal import Clibsodium
internal import Foundation

/// What minisign's files have in common: lines that start with a comment, and base64 of records of a fixed length.
enum Minisign {
  /// Ed25519 over the bytes themselves, and the mark of every key.
  static let legacy = Array("Ed".utf8)
  /// Ed25519 over the BLAKE2b-512 of the bytes.
  static let prehashed = Array("ED".utf8)
  static let untrusted = "untrusted comment: "
  static let trusted = "trusted comment: "

  /// libsodium needs one call before anything else that makes random bytes or locked memory.
  static let isReady = sodium_init() >= 0

  /// The lines of a file, without their ends: `count` of them, each ended by a line feed.
  static func lines(_ data: Data, count: Int, _ what: String, _ source: String) throws(BundleError) -> [String] {
    guard data.count <= 16 << 10, let text = String(validating: data, as: UTF8.self) else {
      throw malformed(source, "This is no \(what): it is longer than 16 KiB, or not UTF-8.")
    }
    // By bytes: among characters a carriage return would swallow the line feed.
    let lines = text.utf8.split(separator: 10, omittingEmptySubsequences: false).map { String(Substring($0)) }
    guard lines.count == count + 1, lines.last == "" else {
      throw malformed(source, "This is no \(what): it has not \(count) lines, each with a line feed at its end.")
    }
    return Array(lines.dropLast())
  }

  /// What follows `prefix` in a line: one line of visible text.
  static func comment(_ line: String, after prefix: String, _ source: String) throws(BundleError) -> String {
    guard line.hasPrefix(prefix) else { throw malformed(source, "A line does not start with \"\(prefix)\".") }
    let text = String(line.dropFirst(prefix.count))
    try check(comment: text, source)
    return text
  }

  /// Refuses comments that are long or hold control characters other than tabs, or a line break of any script.
  static func check(comment: String, _ source: String) throws(BundleError) {
    let breaks: Set<Unicode.Scalar> = ["\u{85}", "\u{2028}", "\u{2029}"]
    let visible = comment.unicodeScalars.allSatisfy {
      ($0.value >= 0x20 || $0 == "\t") && !(0x7F...0x9F).contains($0.value) && !breaks.contains($0)
    }
    guard visible, comment.utf8.count <= 1000 else {
      throw BundleError(
        .forbidden, at: source, "A comment is longer than 1000 bytes, or holds a line break or a control character.",
        remedy: "Sign it again with a comment of one plain line.")
    }
  }

  /// Exactly `count` bytes from base64 as minisign writes it: padded, no white space, no stray bits.
  static func decode(_ text: String, count: Int, _ what: String, _ source: String) throws(BundleError) -> [UInt8] {
    guard let data = Data(base64Encoded: text), data.base64EncodedString() == text else {
      throw malformed(source, "The \(what) is not base64.")
    }
    guard data.count == count else {
      throw malformed(source, "The \(what) has \(data.count) bytes instead of \(count).")
    }
    return [UInt8](data)
  }

  static func encode(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }

  static func malformed(_ source: String, _ reason: String) -> BundleError {
    BundleError(.syntax, at: source, reason, remedy: "Get the file again from where it was made.")
  }

  /// BLAKE2b of `bytes`, `count` bytes long.
  static func hash(_ bytes: [UInt8], count: Int = 64) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: count)
    crypto_generichash(&digest, count, bytes, UInt64(bytes.count), nil, 0)
    return digest
  }
}

/// The number that tells keys apart; minisign prints it as these hexadecimal digits.
public struct KeyID: Sendable, Hashable, LosslessStringConvertible {
  /// In the order of the files: least significant first.
  let bytes: [UInt8]

  init(_ bytes: ArraySlice<UInt8>) { self.bytes = Array(bytes) }

  /// Up to 16 hexadecimal digits; minisign drops leading zeros.
  public init?(_ text: String) {
    guard (1...16).contains(text.utf8.count), let number = UInt64(text, radix: 16), text.first != "+" else {
      return nil
    }
    bytes = withUnsafeBytes(of: number.littleEndian) { Array($0) }
  }

  public var description: String {
    bytes.reversed().map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined()
  }
}
