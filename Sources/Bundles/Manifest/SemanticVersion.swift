/// A version by semver 2.0.0, without build metadata: `1.2.0`, `1.2.0-beta.1`.
public struct SemanticVersion: Sendable, Hashable, Comparable, LosslessStringConvertible {
  public let major: Int
  public let minor: Int
  public let patch: Int
  /// The identifiers after the hyphen; empty for a release.
  public let prerelease: [String]

  public init(_ major: Int, _ minor: Int, _ patch: Int) {
    self.init(major, minor, patch, prerelease: [])
  }

  init(_ major: Int, _ minor: Int, _ patch: Int, prerelease: [String]) {
    self.major = major
    self.minor = minor
    self.patch = patch
    self.prerelease = prerelease
  }

  /// Nil unless `text` is a version as the standard writes it.
  public init?(_ text: String) {
    guard text.utf8.count <= 64, let hyphen = Optional(text.firstIndex(of: "-") ?? text.endIndex) else { return nil }
    let numbers = text[..<hyphen].split(separator: ".", omittingEmptySubsequences: false).map(Self.number)
    guard numbers.count == 3, let major = numbers[0], let minor = numbers[1], let patch = numbers[2] else {
      return nil
    }
    var prerelease: [String] = []
    if hyphen != text.endIndex {
      for part in text[text.index(after: hyphen)...].split(separator: ".", omittingEmptySubsequences: false) {
        let allowed = part.utf8.allSatisfy {
          (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || $0 == 0x2D
        }
        // An identifier of digits alone is a number, without leading zeros.
        let isNumeric = part.utf8.allSatisfy { (0x30...0x39).contains($0) }
        guard !part.isEmpty, allowed, !isNumeric || Self.number(part) != nil else { return nil }
        prerelease.append(String(part))
      }
    }
    self.init(major, minor, patch, prerelease: prerelease)
  }

  /// Digits without leading zeros that fit into `Int`.
  static func number(_ text: Substring) -> Int? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), text == "0" || text.first != "0" else {
      return nil
    }
    return Int(text)
  }

  public var description: String {
    "\(major).\(minor).\(patch)" + (prerelease.isEmpty ? "" : "-" + prerelease.joined(separator: "."))
  }

  /// Precedence by semver 2.0.0, section 11.
  public static func < (a: SemanticVersion, b: SemanticVersion) -> Bool {
    if a.triple != b.triple { return a.triple < b.triple }
    if a.prerelease.isEmpty || b.prerelease.isEmpty { return !a.prerelease.isEmpty && b.prerelease.isEmpty }
    for (x, y) in zip(a.prerelease, b.prerelease) where x != y {
      return switch (number(x[...]), number(y[...])) {
      case (let x?, let y?): x < y
      case (_?, nil): true
      case (nil, _?): false
      case (nil, nil): x.utf8.lexicographicallyPrecedes(y.utf8)
      }
    }
    return a.prerelease.count < b.prerelease.count
  }

  var triple: (Int, Int, Int) { (major, minor, patch) }
}

extension SemanticVersion: Codable {
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let version = SemanticVersion(text) else {
      throw DecodingError.dataCorrupted(
        .init(
          codingPath: decoder.codingPath,
          debugDescription: "\"\(text)\" is not a semantic version without \"+build\", such as 1.2.0 or 1.2.0-beta.1"))
    }
    self = version
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
