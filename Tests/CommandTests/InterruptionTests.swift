import Foundation
import TestSupport
import Testing

@Suite("Commands that are told to stop") struct InterruptionTests {
  @Test("bench ends after the run under way, as whoever sent the signal expects", arguments: [SIGTERM, SIGINT])
  func bench(signal: Int32) throws {
    let shop = try Workshop.shared.get()
    let outcome = try shop.run(["bench", "--training-only", "--json"]) { process in
      while process.isRunning, !catches(signal, process.processIdentifier) { usleep(10_000) }
      kill(process.processIdentifier, signal)
    }
    outcome.expect(128 + signal)
    #expect(outcome.error.isEmpty, "\(outcome.error)")
    // There are four measurements.
    #expect(try outcome.objects().count < 4)
  }

  /// Whether a process handles the signal by now.
  private func catches(_ signal: Int32, _ process: Int32) -> Bool {
    let status = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
    let mask = status.firstMatch(of: /SigCgt:\s*([0-9a-f]+)/).flatMap { UInt64($0.1, radix: 16) } ?? 0
    return mask & 1 << UInt64(signal - 1) != 0
  }
}
