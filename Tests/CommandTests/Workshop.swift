import Bundles
import Foundation
import Imaging
import Registry
import TestSupport
import Testing

/// The built program in a world of its own: a folder with a home, a store and a registry with toy bundles.
final class Workshop: Sendable {
  let folder: TemporaryFolder

  /// One with the toy adapter installed, for tests that leave the store alone.
  static let shared = Result { () throws in
    let shop = try Workshop()
    try shop.codi("install", "enlarge").expect(0)
    return shop
  }

  init(published: Bool = true) throws {
    folder = try TemporaryFolder()
    _ = try folder.make("home")
    if published { try Toy.publish(in: folder) }
    // The toys are not signed; their publishers are known here, as a user would say it.
    for publisher in ["toy", "demo"] { try codi("trust", "add", publisher, "--unsigned", "warn", "--quiet").expect(0) }
  }

  var store: String { folder("store") }

  /// What a run of the program left.
  struct Outcome {
    let command: String
    let code: Int32
    let out: String
    let error: String

    /// Fails the test with everything that was said unless the exit code is `code`.
    @discardableResult
    func expect(_ code: Int32, sourceLocation: SourceLocation = #_sourceLocation) -> Outcome {
      #expect(self.code == code, "\(command)\n\(out)\n\(error)", sourceLocation: sourceLocation)
      return self
    }

    /// The objects that `--json` printed; anything else on stdout fails the test.
    func objects(sourceLocation: SourceLocation = #_sourceLocation) throws -> [[String: Any]] {
      try out.split(separator: "\n").map { line in
        let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        return try #require(object, "no JSON: \(line)", sourceLocation: sourceLocation)
      }
    }
  }

  private func process(
    _ arguments: [String], _ more: [String: String], under tracer: [String], out: FileHandle, error: FileHandle
  ) -> Process {
    let process = Process()
    let program = Toy.products.appending(path: "codi")
    process.executableURL = tracer.first.map { URL(filePath: $0) } ?? program
    process.arguments = tracer.isEmpty ? arguments : tracer.dropFirst() + [program.path] + arguments
    process.currentDirectoryURL = URL(filePath: folder.path)
    var environment = ProcessInfo.processInfo.environment
    for name in [
      "XDG_DATA_HOME", "XDG_STATE_HOME", "CODI_OFFLINE", "CODI_CREDENTIALS", "OMP_WAIT_POLICY", "OMP_NUM_THREADS",
      "JOB_COMPLETION_INDEX",
    ] { environment[name] = nil }
    environment["HOME"] = folder("home")
    environment["CODI_HOME"] = store
    environment["CODI_RUNS"] = folder("runs")
    environment["CODI_REGISTRY"] = folder("registry")
    process.environment = environment.merging(more) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = out
    process.standardError = error
    return process
  }

  /// Runs the program to its end.
  @discardableResult
  func codi(_ arguments: String..., environment: [String: String] = [:]) throws -> Outcome {
    try run(arguments, environment) { _ in }
  }

  /// Runs the program; `meanwhile` may send it signals.
  /// - Parameters:
  ///   - tracer: runs the program as the last argument of this command.
  ///   - program: another one that starts `codi`, such as mpirun.
  ///   - input: what the program reads on stdin.
  func run(
    _ arguments: [String], _ environment: [String: String] = [:], under tracer: [String] = [], program: String? = nil,
    input: Data? = nil, meanwhile: (Process) throws -> Void = { _ in }
  ) throws -> Outcome {
    let name = "said-\(UInt64.random(in: 0 ... .max))"
    let paths = [folder("\(name).out"), folder("\(name).err")]
    for path in paths { try Data().write(to: URL(filePath: path)) }
    defer { for path in paths { try? FileManager.default.removeItem(atPath: path) } }
    let handles = try paths.map { try FileHandle(forWritingTo: URL(filePath: $0)) }
    let process = process(arguments, environment, under: tracer, out: handles[0], error: handles[1])
    if let program { process.executableURL = URL(filePath: program) }
    if let input {
      try input.write(to: URL(filePath: folder("\(name).in")))
      process.standardInput = try FileHandle(forReadingFrom: URL(filePath: folder("\(name).in")))
    }
    defer { try? FileManager.default.removeItem(atPath: folder("\(name).in")) }
    try process.run()
    try meanwhile(process)
    process.waitUntilExit()
    let said = try paths.map { String(decoding: try Data(contentsOf: URL(filePath: $0)), as: UTF8.self) }
    return Outcome(
      command: "codi " + arguments.joined(separator: " "), code: process.terminationStatus, out: said[0], error: said[1]
    )
  }

  /// Results in a folder; a hidden file that is no journal fails the test.
  func results(_ name: String, sourceLocation: SourceLocation = #_sourceLocation) -> [String] {
    let hidden = folder.names(name).filter { $0.hasPrefix(".") }
    #expect(
      hidden.allSatisfy { $0.hasPrefix(".codi-job.") }, "a temporary file was left: \(hidden)",
      sourceLocation: sourceLocation)
    return folder.names(name).filter { !$0.hasPrefix(".") }
  }

  func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(filePath: folder(name))) }

  /// Writes small pictures `p0.png`, `p1.png` … into a new folder.
  func pictures(_ name: String, count: Int, side: Int = 12) throws -> String {
    let path = try folder.make(name)
    for i in 0..<count { try Pictures.write("\(path)/p\(i).png", side + i, side, seed: UInt32(i + 1)) }
    return path
  }
}
