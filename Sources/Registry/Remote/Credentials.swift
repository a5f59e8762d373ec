public import Foundation
internal import Glibc

/// Names and passwords by host, from an environment variable and a file that only its owner reads.
///
/// One host a line: `host[:port] user:password`. They are sent to that host when it asks, or to the token server that
/// it names, and never to where a redirect leads.
public struct Credentials: Sendable, Hashable {
  public static let variable = "CODI_CREDENTIALS"
  public static let fileName = "credentials"

  /// `user:password` by `host[:port]`.
  private var words: [String: String] = [:]

  public init() {}

  /// The lines of `text`; `source` is named in errors, the lines are not.
  /// - Throws: `syntax` for a line of another form.
  public init(parsing text: String, source: String) throws(RegistryError) {
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let line = line.trimmingCharacters(in: .whitespaces)
      if line.isEmpty || line.hasPrefix("#") { continue }
      let parts = line.split(separator: " ", maxSplits: 1)
      guard parts.count == 2, parts[1].contains(":"), let origin = Origin("https://\(parts[0])"),
        parts[1].unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F })
      else {
        throw RegistryError(
          .syntax, at: "\(source), line \(number + 1)", "This is not a host with its credentials.",
          remedy: "Write it like: registry.example.org user:password")
      }
      words[origin.authority] = parts[1].trimmingCharacters(in: .whitespaces)
    }
  }

  /// The file `credentials` in `home`, and over it the environment variable.
  /// - Throws: `untrusted` for a file that others may read, `syntax` for lines of another form.
  public init(
    home: String, environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(RegistryError) {
    self.init()
    let path = "\(home)/\(Credentials.fileName)"
    var status = stat()
    if stat(path, &status) == 0 {
      guard status.st_mode & 0o077 == 0, status.st_uid == geteuid() else {
        throw RegistryError(
          .untrusted, at: path, "Others than you may read these credentials.", remedy: "Run: chmod 600 \(path)")
      }
      self = try Credentials(parsing: String(decoding: Disk.read(path, atMost: 1 << 20), as: UTF8.self), source: path)
    }
    if let text = environment[Credentials.variable] {
      words.merge(try Credentials(parsing: text, source: Credentials.variable).words) { $1 }
    }
  }

  /// The value of a header `Authorization` for `origin`.
  func basic(for origin: Origin) -> String? {
    // Lines name the port only where it is not 443, so that of a plain address is tried with its port as well.
    let word = words[origin.authority] ?? words["\(origin.host):\(origin.port)"]
    return word.map { "Basic " + Data($0.utf8).base64EncodedString() }
  }
}
