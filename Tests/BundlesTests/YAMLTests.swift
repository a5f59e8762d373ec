import Bundles
import Foundation
import Testing

@Suite("YAML") struct YAMLTests {
  private func parse(_ text: String) throws -> Node { try YAML.parse(text, source: "a.yaml") }

  @Test("values keep their text, quoting, order, and place")
  func values() throws {
    let node = try parse("b: 1\na: \"1\"\nlist:\n  - x\n  - {k: [~]}\n")
    #expect(node.pairs?.map(\.key) == ["b", "a", "list"])
    #expect(node["b"]?.value == .scalar("1", quoted: false))
    #expect(node["a"]?.value == .scalar("1", quoted: true))
    #expect(node["a"]?.mark == Mark(line: 2, column: 4))
    #expect(node.pairs?[2].keyMark == Mark(line: 3, column: 1))
    #expect(node["list"]?.items?[1]["k"]?.items?[0].isNull == true)
    #expect(node["missing"] == nil)
  }

  @Test(
    "what the strict profile refuses is refused at its line",
    arguments: [
      ("a: &x 1\nb: 2\n", "a.yaml:1:4", "Anchors"), ("a: 1\nb: *x\n", "a.yaml:2:4", "Aliases"),
      ("a: !!int 1\n", "a.yaml:1:4", "Tags"), ("a: ! x\n", "a.yaml:1:4", "Tags"),
      ("a: !x [1]\n", "a.yaml:1:4", "Tags"), ("a: &x {b: 1}\n", "a.yaml:1:4", "Anchors"),
      ("a:\n  <<: {b: 1}\n", "a.yaml:2:3", "Merge"), ("%YAML 1.1\n---\na: 1\n", "a.yaml:1:1", "Directives"),
      ("%TAG ! x:\n---\na: 1\n", "a.yaml:1:1", "Directives"), ("\u{FEFF}a: 1\n", "a.yaml:1", "byte-order"),
      ("a: 1\n\u{FEFF}b: 1\n", "a.yaml:2", "byte-order"), ("a: 1\n---\nb: 2\n", "a.yaml:2:1", "second document"),
      ("a: 1\nb: 2\na: 3\n", "a.yaml:3:1", "twice, first on line 1"), ("", "a.yaml:1:1", "empty"),
      ("# only a comment\n", "a.yaml:", "empty"), ("[a]: 1\n", "a.yaml:1:1", "key"), ("\"\": 1\n", "a.yaml:1:1", "key"),
      ("é: 1\ne\u{301}: 2\n", "a.yaml:2:1", "twice"),
    ])
  func forbidden(text: String, place: String, reason: String) {
    expectError(.forbidden, place, reason) { _ = try parse(text) }
  }

  @Test("text that is not YAML is refused with the place of the mistake")
  func syntax() {
    expectError(.syntax, "a.yaml:2:") { _ = try parse("a: 1\nb: ]\n") }
    expectError(.syntax, "line 2") { _ = try parse("a: 1\nb: \"open\nc: 3\n") }
    expectError(.syntax, "a.yaml:2") { _ = try YAML.parse(Data([0x61, 0x3A, 0x0A, 0xFF]), source: "a.yaml") }
    expectError(.syntax, "a.yaml:3") { _ = try parse("a: 1\n\nb: \u{1}\n") }
    expectError(.syntax) { _ = try parse("%FOO bar\n---\na: 1\n") }
  }

  @Test("size, depth, and number of values are limited")
  func limits() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    _ = try parse(nested(16))
    expectError(.limit, "a.yaml:1:17") { _ = try parse(nested(17)) }
    expectError(.limit, "a.yaml:1:17") {
      let limits = YAML.Limits(bytes: 1 << 20)
      _ = try YAML.parse(String(repeating: "[", count: 200_000), source: "a.yaml", limits: limits)
    }
    expectError(.limit, "65536") { _ = try parse(String(repeating: "#", count: 65537)) }
    expectError(.limit, "values") { _ = try parse("[" + String(repeating: "1,", count: 20_000) + "]") }
  }

  @Test(
    "written text reads back to the same text",
    arguments: [
      "", " ", "a", "a b", "-", "- a", "-1", "1", "1e5", "0x10", "true", "no", "null", "~", "<<", "a: b", "a:", "#",
      "a #b",
      "a#b", "\"", "'", "\\", "\n", "two\nlines\n", "tab\t", "\u{0}", "\u{7F}\u{85}", "é", "漢字", "😀", "\u{FEFF}",
      "\u{2028}",
      "%x", "@x", "`x", "[x]", "{x}", "a,b", "---", "...", "? x", "!x", "&x", "*x", "|", ">", "sha256:ab", ">=1.0",
      "^1.2",
      String(repeating: "long ", count: 400), "x\r\ny", ".inf", "-.inf", "=", "\u{E000}",
    ])
  func roundTrip(text: String) throws {
    let nodes: [Node] = [
      .string(text), .sequence([.string(text), .string("b")]),
      .mapping([
        ("k", .sequence([.mapping([("v", .string(text)), ("w", .sequence([]))]), .sequence([.sequence([])])]))
      ]),
    ]
    for node in nodes { #expect(try parse(YAML.write(node)) == node) }
    // YAML knows no empty keys here, and none of more than 1,024 characters.
    if !text.isEmpty, text.count < 1000 {
      let keyed = Node.mapping([(text, .integer(1)), ("other", .mapping([]))])
      #expect(try parse(YAML.write(keyed)) == keyed)
    }
  }

  @Test("writing is plain block style, quoting only what would read as something else")
  func style() {
    let node = Node.mapping([
      ("name", .string("codi/x")), ("version", .string("1.0")), ("on", .boolean(true)),
      ("steps", .sequence([.integer(1), .integer(2)])),
      ("data", .sequence([.mapping([("a", .number(0.5)), ("b", .mapping([("c", .string("x: y"))]))])])),
    ])
    #expect(
      YAML.write(node) == """
        name: codi/x
        version: "1.0"
        on: true
        steps: [1, 2]
        data:
          - a: 0.5
            b:
              c: "x: y"

        """)
  }
}
