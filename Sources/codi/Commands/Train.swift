import ArgumentParser

struct Train: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a core or an adapter from a recipe; resumes by itself.",
    subcommands: [TrainCore.self, TrainAdapter.self])
}
