internal import Foundation

/// Rows of the table of attacks and faults (Documentation/Attacks.md), written by the tests that make them.
///
/// `make attacks` runs those tests and writes the table; in other runs nothing is written.
public enum AttackReport {
  public enum Group: String, Sendable {
    case faults, plugins, rules, registries, inputs
  }

  /// Adds a row to the file that `CODI_ATTACKS` names. Rows that differ in their count only are added up.
  /// - Parameters:
  ///   - what: the attack or fault, in words.
  ///   - count: how many of them were made.
  ///   - outcome: what came of every one of them; a test that saw another outcome has failed.
  public static func record(_ group: Group, _ what: String, count: Int = 1, outcome: String) {
    guard count > 0, let path = ProcessInfo.processInfo.environment["CODI_ATTACKS"], !path.isEmpty else { return }
    func plain(_ text: String) -> String {
      text.components(separatedBy: .newlines.union(["\t", "|"])).joined(separator: " ")
    }
    let line = "\(group.rawValue)\t\(plain(what))\t\(count)\t\(plain(outcome))\n"
    let file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard file >= 0 else { return }
    // Short lines go in one piece, whoever writes at the same time.
    _ = line.withCString { write(file, $0, strlen($0)) }
    close(file)
  }
}
