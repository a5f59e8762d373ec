/// Which versions will do: `>=0.1.0`, `^1.2`, `~1.2.3`, `1.2.0`, `1.2` (any 1.2.x), `*`; a comma means "and".
///
/// A pre-release satisfies only a requirement that names a pre-release of the same three numbers.
public struct VersionRequirement: Sendable, Hashable, LosslessStringConvertible {
  private enum Bound: Sendable, Hashable {
    case atLeast(SemanticVersion)
    case above(SemanticVersion)
    case atMost(SemanticVersion)
    case below(SemanticVersion)

    func admits(_ version: SemanticVersion) -> Bool {
      switch self {
      case .atLeast(let bound): version >= bound
      case .above(let bound): version > bound
      case .atMost(let bound): version <= bound
      case .below(let bound): version < bound
      }
    }
  }

  /// The requirement as written.
  public let description: String
  private let bounds: [Bound]
  /// Pre-releases written out.
  private let prereleases: [SemanticVersion]

  /// Any release.
  public static let any = VersionRequirement(description: "*", bounds: [], prereleases: [])

  private init(description: String, bounds: [Bound], prereleases: [SemanticVersion]) {
    self.description = description
    self.bounds = bounds
    self.prereleases = prereleases
  }

  /// Nil unless `text` is a requirement.
  public init?(_ text: String) {
    guard text.utf8.count <= 200 else { return nil }
    var bounds: [Bound] = []
    var prereleases: [SemanticVersion] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let part = part.drop { $0 == " " }
      let sign = part.prefix { "<>=^~".contains($0) }
      var written = part.dropFirst(sign.count).drop { $0 == " " }
      while written.last == " " { written.removeLast() }
      if written == "*" && sign.isEmpty { continue }
      guard let range = Range(written) else { return nil }
      if !range.first.prerelease.isEmpty { prereleases.append(range.first) }
      switch sign {
      case "", "=": bounds += range.only
      case ">=": bounds.append(.atLeast(range.first))
      case "<": bounds.append(.below(range.first))
      case ">": bounds.append(range.next.map { .atLeast($0) } ?? .above(range.first))
      case "<=": bounds.append(range.next.map { .below($0) } ?? .atMost(range.first))
      case "^": bounds += [.atLeast(range.first), .below(range.caret)]
      case "~": bounds += [.atLeast(range.first), .below(range.tilde)]
      default: return nil
      }
    }
    self.init(description: text, bounds: bounds, prereleases: prereleases)
  }

  /// A version of one to three numbers, and what it stands for.
  private struct Range {
    /// Missing numbers are zero.
    let first: SemanticVersion
    /// The first version of the next minor or major, when the version is partial.
    let next: SemanticVersion?
    let caret: SemanticVersion
    let tilde: SemanticVersion

    var only: [Bound] { [.atLeast(first), next.map { .below($0) } ?? .atMost(first)] }

    init?(_ text: Substring) {
      let parts = text.split(separator: ".", omittingEmptySubsequences: false)
      // One more than the largest number must not overflow.
      let limit = 1 << 60
      if parts.count < 3 {
        let numbers = parts.compactMap(SemanticVersion.number)
        guard numbers.count == parts.count, let major = numbers.first, numbers.allSatisfy({ $0 < limit }) else {
          return nil
        }
        let minor = numbers.count == 2 ? numbers[1] : nil
        let nextMajor = SemanticVersion(major + 1, 0, 0)
        let after = minor.map { SemanticVersion(major, $0 + 1, 0) } ?? nextMajor
        first = SemanticVersion(major, minor ?? 0, 0)
        next = after
        caret = major > 0 ? nextMajor : after
        tilde = after
      } else {
        guard let version = SemanticVersion(String(text)),
          version.major < limit, version.minor < limit, version.patch < limit
        else { return nil }
        first = version
        next = nil
        tilde = SemanticVersion(version.major, version.minor + 1, 0)
        caret =
          version.major > 0
          ? SemanticVersion(version.major + 1, 0, 0)
          : version.minor > 0 ? tilde : SemanticVersion(0, 0, version.patch + 1)
      }
    }
  }

  public func admits(_ version: SemanticVersion) -> Bool {
    guard bounds.allSatisfy({ $0.admits(version) }) else { return false }
    return version.prerelease.isEmpty || prereleases.contains { $0.triple == version.triple }
  }
}

extension VersionRequirement: Codable {
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let requirement = VersionRequirement(text) else {
      throw DecodingError.dataCorrupted(
        .init(
          codingPath: decoder.codingPath,
          debugDescription: "\"\(text)\" is not a requirement such as \">=0.1.0\", \"^1.2\", \"1.2.0\", or \"*\""))
    }
    self = requirement
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
