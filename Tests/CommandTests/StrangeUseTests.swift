import Foundation
import TestSupport
import Testing

@Suite("Streams, names and places that nobody expects") struct StrangeUseTests {
  private let shop: Workshop

  init() throws { shop = try Workshop.shared.get() }

  @Test("paths of one character are paths: of pictures, journals, bundles, stores and registries")
  func shortPaths() throws {
    let picture = "\(try shop.pictures("short", count: 1))/p0.png"
    try shop.shell("cd short && cp \(picture) a && $CODI convert a $ARGS --out o --journal j").expect(0)
    #expect(shop.folder.names("short/o") == ["a.png"])
    try shop.shell("cd short && $CODI jobs show j && $CODI jobs merge j").expect(0)
    let list = try shop.shell(#"cd short && printf 'a\n-\nx\n' | $CODI convert - $ARGS --out l"#).expect(1)
    #expect(list.error.contains("converted 1 of 3"), "\(list.error)")
    try shop.shell("mkdir short/e && cd short/e && $CODI convert . $ARGS --out o").expect(3)

    let store = ["CODI_HOME": "h"]
    try shop.shell("cd short && $CODI trust add toy --unsigned warn && $CODI install ../core.codi", environment: store)
      .expect(0)
    #expect(shop.folder.names("short/h").contains("index.json"))
    try shop.shell(
      "cd short && cp ../core.codi c && $CODI keys new ./k.key --no-password && $CODI sign c --key ./k.key"
    )
    .expect(0)
    #expect(try shop.shell("cd short && $CODI publish c --registry R").code < 128)
    #expect(shop.folder.names("short").allSatisfy { !$0.contains("tmp") })
  }

  @Test("answers that cannot be written end with 5, what stderr does not take is dropped, and no file becomes a stream")
  func fullStreams() throws {
    _ = try shop.pictures("full-in", count: 1)
    for command in ["list", "info enlarge", "verify --no-proof", "convert full-in $ARGS --out full-out --json --quiet"]
    {
      let outcome = try shop.shell("$CODI \(command) >/dev/full").expect(5)
      #expect(outcome.error.contains("stdout: ") && outcome.error.contains("No space left"), "\(outcome.error)")
    }
    try shop.shell("$CODI list 2>&- <&- >&-").expect(5)
    try shop.shell("$CODI convert full-in $ARGS --out full-closed 2>/dev/full").expect(0)
    try shop.shell("$CODI convert full-in $ARGS --out full-shut <&- 2>&- >&-").expect(0)
    #expect(shop.results("full-closed") == ["p0.png"] && shop.results("full-shut") == ["p0.png"])
    try shop.shell("$CODI convert full-in $ARGS --out full-lost --json >&- 2>&-").expect(5)
    try shop.shell("$CODI convert full-in $ARGS --out full-lost --json").expect(0)
  }

  @Test("lists that cannot be read, or never end, end with 5")
  func endlessLists() throws {
    for stdin in ["<&-", "</"] {
      let outcome = try shop.shell("$CODI convert - $ARGS --out x \(stdin)").expect(5)
      #expect(outcome.error.contains("stdin cannot be read"), "\(outcome.error)")
    }
    for input in ["- </dev/zero", "--items /dev/zero"] {
      #expect(try shop.shell("$CODI convert \(input) $ARGS --out x").expect(5).error.contains("256 MiB"))
    }
    try shop.shell("$CODI convert --items / $ARGS --out x").expect(5)
    try shop.shell("$CODI convert --items none $ARGS --out x").expect(3)
    _ = try shop.pictures("piped", count: 1)
    try shop.shell(
      #"mkfifo pipe; echo '{"path": "piped/p0.png"}' >pipe & $CODI convert --items pipe $ARGS --out pipe-out"#
    )
    .expect(0)
    let long = try shop.shell(
      "{ head -c 5000 /dev/zero | tr '\\0' a; echo; echo piped/p0.png; } | $CODI convert - $ARGS --out long")
    #expect(long.expect(1).error.contains("5000 bytes") && shop.results("long") == ["p0.png"], "\(long.error)")
  }

  @Test("names that are not UTF-8 fail by name, in folders, patterns and lists; as arguments they are refused")
  func bytesAsNames() throws {
    let picture = "\(try shop.pictures("bytes", count: 1))/p0.png"
    try shop.shell(#"cp \#(picture) "$(printf 'bytes/x\377.png')"; mkdir "$(printf 'bytes/d\377')""#).expect(0)
    for (number, (input, failed)) in [("bytes", 2), ("'bytes/*.png'", 1), ("'bytes/**/*.png'", 2)].enumerated() {
      let outcome = try shop.shell("$CODI convert \(input) $ARGS --out bytes-\(number) --json").expect(1)
      #expect(try outcome.objects().last?["failed"] as? Int == failed, "\(input): \(outcome.out)")
      #expect(outcome.error.contains("not UTF-8") && shop.results("bytes-\(number)") == ["p0.png"])
    }
    try shop.shell(#"printf 'bytes/x\377.png\nbytes/p0.png\n' | $CODI convert - $ARGS --out bytes-list"#).expect(1)
    #expect(shop.results("bytes-list") == ["p0.png"])
    for argument in [#""$(printf 'bytes/x\377.png')" --out y"#, #"bytes/p0.png --out "$(printf 'y\377')""#] {
      #expect(try shop.shell("$CODI convert $ARGS \(argument)").expect(2).error.contains("not UTF-8"))
    }
    #expect(!shop.folder.names().contains { $0.hasPrefix("y") })
  }

  @Test("names of files cannot steer the terminal or forge a line")
  func controlCharacters() throws {
    let folder = try shop.folder.make("steer")
    try Data("no picture".utf8).write(to: URL(filePath: "\(folder)/a\u{1B}[2J\ncodi: all is well\u{202E}.png"))
    let failed = try shop.codi("convert", folder, "--adapter", "enlarge", "--out", "steer-out").expect(1)
    let shown = try shop.codi("jobs", "show", "steer-out").expect(0)
    let refused = try shop.codi(
      "convert", "\(folder)/\u{1B}[2J\ncodi: all is well", "--adapter", "enlarge", "--out", "o"
    )
    .expect(3)
    for text in [failed.error, shown.out, refused.error] {
      #expect(!text.contains("\u{1B}") && !text.contains("\u{202E}") && !text.contains("\ncodi: all"), "\(text)")
      #expect(text.contains("\\u{1B}[2J"), "\(text)")
    }
  }

  @Test("what may not be read is an error of its own: stores, folders inside, results that may not be written")
  func permissions() throws {
    try Data().write(to: URL(filePath: shop.folder("no-store")))
    try shop.shell("$CODI list", environment: ["CODI_HOME": shop.folder("no-store")]).expect(5)
    try shop.shell("mkdir -m 0 shut-store; $CODI list", powerless: true, environment: ["CODI_HOME": "shut-store"])
      .expect(5)

    _ = try shop.pictures("partly", count: 1)
    try shop.shell("mkdir -m 0 partly/secret").expect(0)
    for (number, input) in ["partly", "'partly/**/*.png'"].enumerated() {
      let outcome = try shop.shell("$CODI convert \(input) $ARGS --out partly-\(number)", powerless: true).expect(1)
      #expect(outcome.error.contains("secret") && shop.results("partly-\(number)") == ["p0.png"], "\(outcome.error)")
    }

    try shop.shell("chmod a-w partly-0 partly-0/.codi-job.sqlite").expect(0)
    defer { _ = try? shop.shell("chmod -R u+rwX partly partly-0 shut-store") }
    #expect(try shop.shell("$CODI jobs show partly-0", powerless: true).expect(0).out == "done p0.png\n")
    try shop.shell("$CODI convert partly $ARGS --out partly-0 --dry-run", powerless: true).expect(0)
  }
}
