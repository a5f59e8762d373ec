import Foundation
import Synchronization

/// SIGINT and SIGTERM ask for a clean stop; a second one ends the program at once.
enum Interruption {
  /// The number of the first signal; 0 before.
  private static let received = Atomic<Int32>(0)

  /// Whether a stop was asked for.
  static var isRequested: Bool { received.load(ordering: .relaxed) != 0 }

  /// What the program ends with after a clean stop.
  static var exit: Exit { received.load(ordering: .relaxed) == SIGTERM ? .terminated : .interrupted }

  /// Ends the command with the exit code that fits once a stop was asked for.
  static func check() throws { if isRequested { throw Exit.Code(exit) } }

  static func install() {
    // Made before a handler may need it: making it takes a lock.
    _ = isRequested
    for number in [SIGINT, SIGTERM] {
      signal(number) { number in
        if Interruption.received.exchange(number, ordering: .relaxed) != 0 { _exit(128 + number) }
      }
    }
  }
}
