import Foundation
import Synchronization

/// One line on stderr that is redrawn on a terminal, or a plain line every few seconds elsewhere.
final class ProgressBar: Sendable {
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private let quiet: Bool
  private let last = Mutex(ContinuousClock.now - .seconds(3600))

  init(quiet: Bool = false) { self.quiet = quiet }

  /// - Parameter fraction: done, 0…1.
  func show(_ fraction: Double, _ text: @autoclosure () -> String) {
    guard !quiet else { return }
    let now = ContinuousClock.now
    let pause: Duration = isTerminal ? .milliseconds(100) : .seconds(10)
    let isDue = last.withLock { last in
      guard now - last > pause || fraction >= 1 else { return false }
      last = now
      return true
    }
    guard isDue else { return }
    if isTerminal {
      let width = 24
      let full = Int((fraction * Double(width)).rounded(.down))
      let bar = String(repeating: "█", count: full) + String(repeating: "░", count: width - full)
      write("\r\u{1B}[K\(bar) \(Int(fraction * 100)) % \(text())")
    } else {
      write("\(Int(fraction * 100)) % \(text())\n")
    }
  }

  /// Prints a line of its own above the bar, also when quiet.
  func interrupt(with line: String) {
    write((isTerminal && !quiet ? "\r\u{1B}[K" : "") + line + "\n")
  }

  /// Ends the line.
  func finish() {
    if isTerminal && !quiet { write("\n") }
  }

  private func write(_ text: String) { StandardStreams.say(text) }

  /// `1 h 05 min`, `3 min 20 s`, `12 s`.
  static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e9 else { return "unknown" }
    let s = Int(seconds.rounded())
    if s >= 3600 { return "\(s / 3600) h \(String(format: "%02d", s / 60 % 60)) min" }
    if s >= 60 { return "\(s / 60) min \(String(format: "%02d", s % 60)) s" }
    return "\(s) s"
  }
}
