internal import Foundation

extension Manifest {
  /// The digest that adapters name: of a core's weights file and the canonical text of its network, nothing else.
  ///
  /// SHA-256 over `codi-core-1`, the weights' SHA-256 in hexadecimal digits, and `canonical(network)`, each followed
  /// by a line feed.
  /// - Returns: `sha256:` and 64 digits.
  public static func coreDigest(network: Node, weightsSHA256: String) -> String {
    "sha256:" + SHA256.hex(of: Data("codi-core-1\n\(weightsSHA256)\n\(canonical(network))\n".utf8))
  }

  /// The digest of the core this bundle is, or of the one it was made for.
  public var coreDigest: String? {
    network.map { Manifest.coreDigest(network: $0, weightsSHA256: weights.sha256) } ?? requires.coreDigest
  }

  /// One text for all ways to write the same tree; Documentation/BundleFormat.md defines it.
  static func canonical(_ node: Node) -> String {
    switch node.value {
    case .mapping(let pairs):
      let sorted = pairs.filter { !$0.value.isNull }.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      return "{" + sorted.map { quote($0.key) + ":" + canonical($0.value) }.joined(separator: ",") + "}"
    case .sequence(let items): return "[" + items.map(canonical).joined(separator: ",") + "]"
    case .scalar(let text, quoted: true): return quote(text)
    case .scalar(let text, quoted: false):
      switch YAML.plainKind(text) {
      case .null: return "null"
      case .integer: return integer(text)
      case .number: return number(text)
      case .boolean: return text == "true" || text == "false" ? text : quote(text)
      case .string: return quote(text)
      }
    }
  }

  private static func integer(_ text: String) -> String {
    let digits = text.drop { $0 == "+" || $0 == "-" }.drop { $0 == "0" }
    return digits.isEmpty ? "0" : (text.hasPrefix("-") ? "-" : "") + digits
  }

  /// A whole number below 2^53 as an integer, any other as the bits of its IEEE double.
  private static func number(_ text: String) -> String {
    let word = text.hasSuffix(".inf") ? (text.hasPrefix("-") ? "-inf" : "inf") : text == ".nan" ? "nan" : text
    guard let value = Double(word) else { return quote(text) }
    if value.rounded() == value, value.magnitude < 0x1p53 { return String(Int(value)) }
    let bits = String(value.isNaN ? Double.nan.bitPattern : value.bitPattern, radix: 16)
    return "0x" + String(repeating: "0", count: 16 - bits.count) + bits
  }

  /// In double quotes, with a backslash before quotes and backslashes and nothing else escaped.
  private static func quote(_ text: String) -> String {
    // By scalars: a combining mark after a backslash would hide it among characters.
    var out = "\""
    for scalar in text.unicodeScalars {
      if scalar == "\"" || scalar == "\\" { out += "\\" }
      out.unicodeScalars.append(scalar)
    }
    return out + "\""
  }
}
