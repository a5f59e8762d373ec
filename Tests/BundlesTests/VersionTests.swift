import Bundles
import Testing

@Suite("Versions") struct VersionTests {
  @Test("precedence is that of semver 2.0.0, section 11")
  func order() throws {
    let rising = [
      "0.0.1", "0.9.10", "1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0--", "1.0.0-alpha", "1.0.0-alpha.1",
      "1.0.0-alpha.beta",
      "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "2.0.0", "2.1.0", "2.1.1",
    ]
    let versions = try rising.map { try #require(SemanticVersion($0)) }
    for (i, a) in versions.enumerated() {
      #expect(a.description == rising[i])
      for (j, b) in versions.enumerated() { #expect((a < b) == (i < j), "\(a) \(b)") }
    }
  }

  @Test(
    "what is no version is refused",
    arguments: [
      "", "1", "1.2", "1.2.3.4", "01.2.3", "1.02.3", "1.2.3-", "1.2.3-01", "1.2.3-a..b", "1.2.3+build", "v1.2.3",
      "1.2.-3",
      "1.2.x", " 1.2.3", "1.2.3-ä", "1.2.99999999999999999999", "+1.2.3", "1.2.3-a_b",
    ])
  func noVersion(text: String) { #expect(SemanticVersion(text) == nil) }

  @Test(
    "requirements admit and refuse",
    arguments: [
      ("*", "0.0.1 9.9.9", "1.0.0-a"), (">=0.1.0", "0.1.0 1.0.0", "0.0.9 0.1.0-a 1.0.0-a"),
      (">1.2", "1.3.0", "1.2.9 1.2.0"),
      (">1.2.3", "1.2.4", "1.2.3"), ("<=1.2", "1.2.9 0.1.0", "1.3.0"), ("<=1.2.3", "1.2.3", "1.2.4"),
      ("<1.2", "1.1.9", "1.2.0 1.2.0-a"), ("^1.2", "1.2.0 1.9.9", "1.1.9 2.0.0 2.0.0-a"),
      ("^1", "1.0.0 1.9.0", "2.0.0"),
      ("^0.2.3", "0.2.3 0.2.9", "0.3.0 0.2.2"), ("^0.0.3", "0.0.3", "0.0.4"), ("^0.2", "0.2.7", "0.3.0"),
      ("^0", "0.9.0", "1.0.0"),
      ("~1.2.3", "1.2.3 1.2.9", "1.3.0"), ("~1.2", "1.2.0", "1.3.0"), ("1.2.0", "1.2.0", "1.2.1 1.2.0-a"),
      ("=1.2", "1.2.5", "1.3.0"),
      ("1", "1.9.9", "2.0.0"), (">= 0.1.0 , <2", "0.1.0 1.9.9", "2.0.0"),
      ("^1.2.0-b", "1.2.0-b 1.2.0-c 1.2.0 1.5.0", "1.2.0-a 1.5.0-b"),
    ])
  func requirements(text: String, good: String, bad: String) throws {
    let requirement = try #require(VersionRequirement(text))
    #expect(requirement.description == text)
    for word in good.split(separator: " ") { #expect(requirement.admits(SemanticVersion(String(word))!), "\(word)") }
    for word in bad.split(separator: " ") { #expect(!requirement.admits(SemanticVersion(String(word))!), "\(word)") }
  }

  @Test(
    "what is no requirement is refused",
    arguments: [
      "", ",", ">=", "=>1", "^*", "1.2.3.4", "one", "1,", "<1.2-a", "^1.2.3+b", "> = 1", "1 2", "^9223372036854775807",
    ])
  func noRequirement(text: String) { #expect(VersionRequirement(text) == nil) }
}
