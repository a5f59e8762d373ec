import Foundation
import Testing

/// Debian's docker-registry on a free port of this machine, with an empty storage of its own.
final class DockerRegistry: Sendable {
  static let program = "/usr/bin/docker-registry"
  /// Why tests with it are skipped, if they are.
  static let missing: String? = {
    if FileManager.default.isExecutableFile(atPath: program) { return nil }
    let reason = "docker-registry is not installed (Debian package docker-registry)"
    print("skipped: \(reason)")
    return reason
  }()

  let folder: TemporaryFolder
  let port: UInt16
  private let process: Process
  var host: String { "127.0.0.1:\(port)" }
  var address: String { "oci://\(host)/hub" }

  /// A certificate and its key, in PEM files: with it the registry speaks HTTPS only.
  typealias Certificate = (file: String, key: String)

  /// - Parameters:
  ///   - users: lines of an htpasswd file with bcrypt hashes; nil lets everybody in.
  ///   - tokens: where tokens are to be had and the certificate of who signs them; the service is `registry`.
  init(
    users: String? = nil, certificate: Certificate? = nil, tokens: (realm: String, issuer: String, file: String)? = nil
  ) throws {
    folder = try TemporaryFolder()
    // A port that was free a moment ago.
    port = try TestServer { _ in .answer(200) }.port
    var configuration = """
      version: 0.1
      log: { level: error, accesslog: { disabled: true } }
      storage: { filesystem: { rootdirectory: \(folder.path)/data } }
      http:
        addr: 127.0.0.1:\(port)

      """
    if let certificate {
      configuration += "  tls: { certificate: \(certificate.file), key: \(certificate.key) }\n"
    }
    if let tokens {
      configuration +=
        "auth: { token: { realm: \"\(tokens.realm)\", service: registry, issuer: \(tokens.issuer), "
        + "rootcertbundle: \(tokens.file) } }\n"
    }
    if let users {
      try Data(users.utf8).write(to: URL(filePath: folder.path + "/htpasswd"))
      configuration += "auth: { htpasswd: { realm: test, path: \(folder.path)/htpasswd } }\n"
    }
    try Data(configuration.utf8).write(to: URL(filePath: folder.path + "/config.yml"))
    process = Process()
    process.executableURL = URL(filePath: DockerRegistry.program)
    process.arguments = ["serve", folder.path + "/config.yml"]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    for _ in 0..<200 where process.isRunning {
      // Only whether anybody answers is asked, so who that is does not matter.
      let scheme = certificate == nil ? "http" : "https"
      if (try? run("/usr/bin/curl", "-sk", "-o", "/dev/null", "\(scheme)://\(host)/v2/")) == 0 { return }
      Thread.sleep(forTimeInterval: 0.05)
    }
    throw POSIXError(.ETIMEDOUT)
  }

  deinit {
    process.terminate()
    process.waitUntilExit()
  }
}

/// Runs a program to its end, saying nothing.
/// - Returns: its exit code.
@discardableResult
func run(_ program: String, _ arguments: String...) throws -> Int32 {
  let process = Process()
  process.executableURL = URL(filePath: program)
  process.arguments = arguments
  process.standardOutput = FileHandle.nullDevice
  process.standardError = FileHandle.nullDevice
  try process.run()
  process.waitUntilExit()
  return process.terminationStatus
}
