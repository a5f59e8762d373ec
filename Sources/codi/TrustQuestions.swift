import Foundation
import Registry

extension TrustDialogue {
  /// Asks on the terminal; where there is none, only `acceptUnsigned` says yes.
  static func terminal(acceptUnsigned: Bool) -> TrustDialogue {
    TrustDialogue(
      acceptsUnsigned: { bundle, source in
        if acceptUnsigned { return true }
        guard isatty(STDIN_FILENO) == 1, isatty(STDERR_FILENO) == 1 else { return false }
        let place = source == .file ? "" : " (from \(source.location))"
        tell("\(bundle)\(place) is not signed: nobody answers for what its plugin does. Install it? [y/N] ", end: "")
        return ["y", "yes"].contains((readLine() ?? "").lowercased())
      }, note: { tell("codi: \($0)") })
  }

  private static func tell(_ text: String, end: String = "\n") {
    StandardStreams.say(text.printable() + end)
  }
}
