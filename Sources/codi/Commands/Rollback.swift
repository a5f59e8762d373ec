import ArgumentParser
import Registry

struct Rollback: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Undo the last install, update or removal.",
    discussion: "Earlier states are kept until codi gc forgets them.")

  @Option(help: "Go to this generation instead of the one before.") var to: Int?
  @OptionGroup var output: OutputOptions

  func run() throws {
    let (installed, left) = try Locations.store.rollback(to: to)
    output.emit(
      ["event": "rolled-back", "left": left, "installed": installed.map { "\($0.name)@\($0.version)" }],
      text: "installed are now: "
        + (installed.isEmpty ? "none" : installed.map { "\($0.name)@\($0.version)" }.joined(separator: ", "))
        + "; codi rollback --to \(left) undoes this")
  }
}
