public import ArgumentParser
public import Distillation

struct Train: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a core or an adapter from a recipe; resumes by itself.",
    subcommands: [TrainCore.self, TrainAdapter.self])
}

extension ThreadCount: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
  public var defaultValueDescription: String { "every core" }
}
