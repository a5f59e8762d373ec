import ArgumentParser
import Bundles
import Distillation
import Foundation
import Imaging
import Metrics
import Pipelines
import Registry
import Tensor

/// Exit codes, the same for every command.
enum Exit: Int32 {
  case ok = 0
  case someFailed = 1
  case usage = 2
  case notFound = 3
  case refused = 4
  case badInput = 5
  case `internal` = 70
  /// Stopped by SIGINT or SIGTERM after tidying up: 128 and the signal's number, as shells count.
  case interrupted = 130
  case terminated = 143

  /// An error that carries its own exit code.
  struct Failure: Error, CustomStringConvertible {
    let exit: Exit
    let description: String
  }

  /// Ends the program with a code when everything has been said already.
  struct Code: Error {
    let exit: Exit
    init(_ exit: Exit) { self.exit = exit }
  }

  /// Prints `error` on stderr and ends the program with the code that fits it.
  static func report(_ error: any Error) -> Never {
    switch error {
    case let failure as Failure: stop(failure.exit, failure.description)
    case let code as Code: exit(code.exit.rawValue)
    case let error as RegistryError where error.code == .stopped: stop(Interruption.exit, "\(error)")
    case let error as RegistryError: stop(code(of: error), "\(error)")
    case let error as ConversionError: stop(code(of: error), "\(error)")
    case let error as PluginError: stop(error.code == .parameter ? .usage : .refused, "\(error)")
    case let error as BundleError: stop(code(of: error), "\(error)")
    case is MetricsError, is TrainingError, is DataError, is ImagingError: stop(.badInput, "\(error)")
    // Work that was asked to stop, by INT or TERM; nothing else cancels.
    case is CancellationError where Interruption.isRequested: stop(Interruption.exit, "Stopped.")
    case is TensorError: stop(.internal, "\(error)")
    default:
      // Help and version are "errors" with code 0; usage errors get 2 instead of 64.
      switch Codi.exitCode(for: error) {
      case .success: Codi.exit(withError: error)
      case .validationFailure:
        StandardStreams.say(Codi.fullMessage(for: error) + "\n")
        exit(Exit.usage.rawValue)
      default: stop(.internal, "\(error)")
      }
    }
  }

  private static func code(of error: RegistryError) -> Exit {
    switch error.code {
    case .notFound: .notFound
    case .syntax, .ambiguous: .usage
    case .unsupported, .core, .conflict, .inUse, .unsigned, .untrusted, .revoked, .yanked, .expired,
      .unauthorized, .offline, .locked, .certificate:
      .refused
    case .corrupt, .inputOutput, .network, .stopped: .badInput
    }
  }

  private static func code(of error: ConversionError) -> Exit {
    switch error.code {
    case .options, .collision: .usage
    case .changed: .badInput
    case .noInput: .notFound
    case .unsupported, .existing, .busy, .memory: .refused
    case .outputFolder, .journal, .itemsFile, .provenance: .badInput
    }
  }

  /// A bundle that is whole but not for this program or machine is refused; a broken one is bad input.
  private static func code(of error: BundleError) -> Exit {
    switch error.code {
    case .unsupportedFormat, .unsupportedPlugin, .badSignature, .wrongKey, .wrongPassword: .refused
    default: .badInput
    }
  }

  private static func stop(_ code: Exit, _ message: String) -> Never {
    StandardStreams.say("codi: \(message.printable(lines: true))\n")
    exit(code.rawValue)
  }
}
