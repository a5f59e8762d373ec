import Foundation
import Synchronization

/// Stands between a client and a docker-registry, records what passes, and does one kind of harm.
final class Relay: Sendable {
  enum Trouble: Sendable {
    /// The third part of the upload never reaches the registry, and the client is told of an error.
    case lost
    /// Half of it reaches the registry.
    case half
    /// All of it reaches the registry, but the client hears nothing of it.
    case unconfirmed
    /// From the first manifest on, nothing gets through.
    case gone
  }

  let server: TestServer
  var host: String { server.host }
  private let struck: Flag
  var hasStruck: Bool { struck.value }

  final class Flag: Sendable {
    private let state = Mutex((count: 0, isSet: false))
    var value: Bool { state.withLock { $0.isSet } }
    /// Whether this is the third call.
    func strike() -> Bool {
      state.withLock { state in
        state.count += 1
        if state.count == 3 { state.isSet = true }
        return state.count == 3
      }
    }
  }

  init(to docker: DockerRegistry, trouble: Trouble? = nil) throws {
    let target = docker.host
    let flag = Flag()
    struck = flag
    server = try TestServer { request in
      if trouble == .gone, request.method == "PUT", request.path.contains("/manifests/") { return .raw(Data()) }
      if request.method == "PATCH", let trouble, trouble != .gone, flag.strike() {
        switch trouble {
        case .lost: return .text(500, "lost")
        case .half:
          var half = request
          half.body = request.body.prefix(request.body.count / 2)
          half.headers["content-range"] = nil
          _ = Relay.forward(half, target)
          return .text(502, "half")
        case .unconfirmed:
          _ = Relay.forward(request, target)
          return .raw(Data())
        case .gone: break
        }
      }
      return Relay.forward(request, target)
    }
  }

  /// Sends the request on, by curl, and returns the answer.
  private static func forward(_ request: TestServer.Request, _ target: String) -> TestServer.Reply {
    let folder = FileManager.default.temporaryDirectory.appending(path: "relay-\(UInt64.random(in: 0 ... .max))")
    try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let (sent, head, body) = ["sent", "head", "body"].map { folder.appending(path: $0).path }.tuple
    try? request.body.write(to: URL(filePath: sent))
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/curl")
    var arguments = ["-s", "-D", head, "-o", body, "http://\(target)\(request.path)"]
    if request.method == "HEAD" { arguments.append("-I") } else { arguments += ["-X", request.method] }
    if ["POST", "PUT", "PATCH"].contains(request.method) { arguments += ["--data-binary", "@\(sent)"] }
    for name in ["accept", "content-type", "content-range", "range", "authorization"] {
      if let value = request.headers[name] { arguments += ["-H", "\(name): \(value)"] }
    }
    process.arguments = arguments
    process.standardOutput = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return .text(500, "no curl") }
    process.waitUntilExit()
    let lines = ((try? String(contentsOfFile: head, encoding: .utf8)) ?? "").components(separatedBy: "\r\n")
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { continue }
      let name = String(line[..<colon])
      guard !["Transfer-Encoding", "Connection"].contains(name) else { continue }
      if name == "Content-Length", request.method != "HEAD" { continue }
      headers[name] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        // The registry names itself; the client must come back to us.
        .replacing("http://\(target)/", with: "/")
    }
    let status = lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 500
    return .answer(status, headers, FileManager.default.contents(atPath: body) ?? Data())
  }
}

extension [String] {
  fileprivate var tuple: (String, String, String) { (self[0], self[1], self[2]) }
}
