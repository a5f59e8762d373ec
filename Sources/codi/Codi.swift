import ArgumentParser
import Foundation

@main struct Codi: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "codi",
    abstract: "Few-step image converters for the CPU: install adapters, run them over pictures, train new ones.",
    version: Version.current,
    subcommands: [
      Install.self, Remove.self, List.self, Info.self, Convert.self, Reproduce.self, Jobs.self, Train.self,
      Evaluate.self, Pack.self, BundleCommand.self, Sign.self, Publish.self, Yank.self, Search.self,
      RegistryCommand.self, Keys.self, TrustCommand.self, Update.self,
      Rollback.self, CollectGarbage.self,
      Verify.self,
      PluginCommand.self, Bench.self, Doctor.self,
    ])

  static func main() async {
    StandardStreams.occupy()
    Startup.useOneQuietThreadPool()
    Interruption.install()
    do {
      try Startup.checkArguments()
      var command = try parseAsRoot()
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
      if StandardStreams.answersAreLost { throw Exit.Code(.badInput) }
    } catch {
      Exit.report(error)
    }
  }
}

enum Version {
  /// Version of the program; bundles name the oldest one they work with.
  static let current = "0.1.0"
}
