public import Bundles

/// What a user asks for: `codi/super-resolution@^1.2`, `super-resolution@1.0.0`, `super-resolution`.
public struct Reference: Sendable, Hashable, CustomStringConvertible {
  /// `nil` when only the short name was given.
  public let publisher: String?
  public let name: String
  /// Any release when nothing was given.
  public let requirement: VersionRequirement

  /// - Throws: `syntax` unless the text has one of the forms above.
  public init(_ text: String) throws(RegistryError) {
    let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
    let names = parts[0].split(separator: "/", omittingEmptySubsequences: false)
    let isName = names.allSatisfy { part in
      part.split(omittingEmptySubsequences: false) { "-._".contains($0) }.allSatisfy { word in
        !word.isEmpty && word.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) }
      }
    }
    guard names.count <= 2, isName, let requirement = parts.count == 2 ? VersionRequirement(String(parts[1])) : .any
    else {
      // A path, which commands that take bundles' files tell from a name by its suffix.
      guard !text.hasPrefix("."), !text.hasPrefix("/"), names.count <= 2 else {
        throw RegistryError(
          .syntax, at: "\"\(text)\"", "This is the name neither of a bundle nor of its file.",
          remedy: "The name of a bundle's file ends in .codi: rename it. Others are like codi/super-resolution@^1.2.")
      }
      throw RegistryError(
        .syntax, at: "\"\(text)\"", "This is not a name, or not a version requirement after the \"@\".",
        remedy: "Write it like super-resolution, codi/super-resolution, or codi/super-resolution@^1.2.")
    }
    publisher = names.count == 2 ? String(names[0]) : nil
    name = String(names[names.count - 1])
    self.requirement = requirement
  }

  /// Everything of one full name, any version that `requirement` admits.
  public init(_ fullName: String, _ requirement: VersionRequirement) throws(RegistryError) {
    try self.init("\(fullName)@\(requirement)")
  }

  public var description: String {
    requirement == .any ? fullName : "\(fullName)@\(requirement)"
  }

  /// The name as it was given, without a version.
  var fullName: String { publisher.map { "\($0)/\(name)" } ?? name }

  /// Whether a full name `publisher/name` is meant.
  func names(_ fullName: String) -> Bool {
    publisher.map { fullName == "\($0)/\(name)" } ?? fullName.hasSuffix("/\(name)")
  }

  /// The newest of `candidates` that is meant.
  ///
  /// - Throws: `ambiguous` when the short name is several publishers', `notFound` with what there is otherwise.
  func pick<Candidate>(
    from candidates: [Candidate], at location: String, remedy: String,
    _ identity: (Candidate) -> (name: String, version: SemanticVersion)
  ) throws(RegistryError) -> Candidate {
    let named = candidates.filter { names(identity($0).name) }
    let fullNames = Set(named.map { identity($0).name }).sorted()
    if fullNames.count > 1 {
      throw RegistryError(
        .ambiguous, at: location, "\"\(name)\" may mean \(fullNames.joined(separator: " or ")).",
        remedy: "Write the name with its publisher.")
    }
    let fitting = named.filter { requirement.admits(identity($0).version) }
    guard let best = fitting.max(by: { identity($0).version < identity($1).version }) else {
      let known = named.map { "\(identity($0).version)" }.sorted().joined(separator: ", ")
      let all = Set(candidates.map { identity($0).name }).sorted().joined(separator: ", ")
      let found = named.isEmpty ? (all.isEmpty ? "it is empty" : "there are \(all)") : "it has the versions \(known)"
      throw RegistryError(.notFound, at: location, "There is no \(self); \(found).", remedy: remedy)
    }
    return best
  }
}
