import Foundation
import Testing

@Suite("Help") struct HelpTests {
  private let shop: Workshop

  init() throws { shop = try Workshop.shared.get() }

  /// Names under SUBCOMMANDS in a help text.
  private func subcommands(_ help: String) -> [String] {
    let lines = help.split(separator: "\n", omittingEmptySubsequences: false)
    return lines.drop { $0 != "SUBCOMMANDS:" }.dropFirst().prefix { !$0.isEmpty }
      .filter { !$0.hasPrefix("   ") }.compactMap { $0.split(separator: " ").first.map(String.init) }
  }

  private func check(_ path: [String]) throws -> Int {
    let outcome = try shop.run(path + ["--help"]) { _ in }.expect(0)
    #expect(outcome.out.hasPrefix("OVERVIEW: ") && outcome.out.contains("USAGE: codi"), "\(path)")
    #expect(outcome.error.isEmpty, "\(path)")
    var count = 1
    for name in subcommands(outcome.out) where name != "help" { count += try check(path + [name]) }
    return count
  }

  @Test("every command explains itself on stdout")
  func everywhere() throws {
    #expect(try check([]) >= 11)
  }

  @Test("the version is one line, and no command at all shows the help")
  func version() throws {
    let version = try shop.codi("--version").expect(0).out
    #expect(version.split(separator: ".").count == 3 && version.split(separator: "\n").count == 1)
    #expect(try shop.codi().expect(0).out.contains("SUBCOMMANDS"))
  }
}
