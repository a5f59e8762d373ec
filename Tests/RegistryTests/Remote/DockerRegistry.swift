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

  /// - Parameter users: lines of an htpasswd file with bcrypt hashes; nil lets everybody in.
  init(users: String? = nil) throws {
    folder = try TemporaryFolder()
    // A port that was free a moment ago.
    port = try TestServer { _ in .answer(200) }.port
    var configuration = """
      version: 0.1
      log: { level: error, accesslog: { disabled: true } }
      storage: { filesystem: { rootdirectory: \(folder.path)/data } }
      http: { addr: 127.0.0.1:\(port) }

      """
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
      if (try? run("/usr/bin/curl", "-s", "-o", "/dev/null", "http://\(host)/v2/")) == 0 { return }
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
