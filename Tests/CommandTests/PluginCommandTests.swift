import Foundation
import TestSupport
import Testing

@Suite("Plugin authors' commands") struct PluginCommandTests {
  @Test(
    "plugin new writes a folder that builds outside this repository and passes validate", arguments: ["c", "swift"])
  func new(language: String) throws {
    let shop = try Workshop(published: false)
    try shop.codi("plugin", "new", "night-photos", "--language", language).expect(0)
    let names = shop.folder.names("night-photos")
    for file in ["Makefile", "card.md", "kit", "manifest.yaml", "recipe.yaml"] { #expect(names.contains(file)) }
    try shop.codi("plugin", "validate", "night-photos").expect(3)
    let make = Process()
    make.executableURL = URL(filePath: "/usr/bin/make")
    make.arguments = ["-s", "-C", shop.folder("night-photos")]
    try make.run()
    make.waitUntilExit()
    try #require(make.terminationStatus == 0)
    let findings = try shop.codi("plugin", "validate", "night-photos", "--seed", "7", "--json").expect(0).objects()
    #expect(findings.count >= 15)
    #expect(findings.allSatisfy { $0["outcome"] as? String == "passed" }, "\(findings)")
    try shop.codi("plugin", "new", "night-photos").expect(2)
    try shop.codi("plugin", "new", "../night").expect(2)
  }

  @Test("doctor names the walls around plugins, and finds a damaged store")
  func doctor() throws {
    let shop = try Workshop()
    try shop.codi("install", "enlarge").expect(0)
    let lines = try shop.codi("doctor", "--json").objects()
    let isolation = try #require(lines.first { $0["subject"] as? String == "isolation of plugins" })
    #expect(isolation["seccomp"] as? Bool == true)
    #expect(isolation["landlock"] as? Int == isolation["landlock-offered"] as? Int)
    #expect(lines.first { $0["subject"] as? String == "store" }?["ok"] as? Bool == true)
    let bundles = shop.folder("store/bundles")
    for name in try FileManager.default.contentsOfDirectory(atPath: bundles) {
      try Data("broken: [".utf8).write(to: URL(filePath: "\(bundles)/\(name)/manifest.yaml"))
    }
    let after = try shop.codi("doctor", "--json").expect(1).objects()
    #expect(after.first { $0["subject"] as? String == "store" }?["ok"] as? Bool == false)
  }
}
