import ArgumentParser
import Bundles
import Registry

struct Yank: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Take back published versions: nobody who reads this registry installs them any more.",
    discussion: """
      The bundles stay; your signed word about them changes. Whoever has one installed keeps it.
      Example: codi yank acme/toy@1.0.0 --reason "Wrong colours." --registry registry --key acme
      """)

  @Argument(help: "NAME@VERSION in full, all of one publisher; none to renew the expiry only.")
  var bundle: [String] = []
  @Option(help: "The registry: a folder, oci://…, or a configured name.") var registry: String
  @OptionGroup var network: NetworkOptions
  @Option(help: "Your secret key: a name that codi keys list shows, or a .key file.") var key: String
  @Option(help: "Why, in one sentence, for whoever wants to install it.") var reason =
    "No reason was given."
  @Option(help: "The publisher, when no bundle is named.") var publisher: String?
  @Option(
    help: "Last day, like 2027-01-31, on which a registry elsewhere may show this word of yours.")
  var expires: String?
  @Flag(help: "Take the yank back.") var undo = false
  @Flag(help: "Say what would change, and change nothing.") var dryRun = false
  @OptionGroup var output: OutputOptions

  func run() throws {
    let shelf = try Locations.registry(named: registry, network.network(quiet: output.quiet))
    let publishers = Set(
      bundle.map { String($0.prefix { $0 != "/" }) } + [publisher].compactMap { $0 })
    guard let publisher = publishers.first, publishers.count == 1 else {
      throw Exit.Failure(
        exit: .usage,
        description:
          "Name bundles of one publisher, like codi/super-resolution@1.0.0, or --publisher.")
    }
    for bundle in bundle {
      guard try shelf.list(bundle).contains(where: { $0.identity == bundle }) else {
        throw Exit.Failure(
          exit: .notFound,
          description: "\(bundle) is not published in \(registry). codi list --registry shows what is.")
      }
    }
    let shown = try shelf.statements(of: publisher)?.statements
    var yanked = shown?.yanked.filter { !bundle.contains($0.bundle) } ?? []
    if !undo { yanked += bundle.map { Statements.Yank(bundle: $0, reason: reason) } }
    let next = try Statements(
      publisher: publisher, number: (shown?.number ?? 0) + 1, expires: expires ?? shown?.expires,
      yanked: yanked)
    if !dryRun { try shelf.publish(try Statements.Signed(next, by: try KeyFiles.secret(key))) }
    output.emit(
      [
        "event": dryRun ? "would-state" : "stated", "publisher": publisher, "number": next.number,
        "expires": next.expires, "yanked": next.yanked.map(\.bundle),
      ],
      text: "\(dryRun ? "would state" : "stated") for \(publisher), number \(next.number): yanked "
        + (next.yanked.isEmpty ? "nothing" : next.yanked.map(\.bundle).joined(separator: ", "))
        + (next.expires.map { ", good until \($0)" } ?? ""))
  }
}
