import Foundation
import Glibc
import Synchronization

/// A web server on a free port of this machine that answers as a test wants, also wrongly.
final class TestServer: Sendable {
  struct Request: Sendable {
    var method = ""
    /// With its query.
    var path = ""
    /// Names in lower case.
    var headers: [String: String] = [:]
    var body = Data()
  }

  enum Reply: Sendable {
    /// A sound answer; the length is added.
    case answer(Int, [String: String] = [:], Data = Data())
    /// These bytes instead of an answer, then the connection ends.
    case raw(Data)
    /// These bytes, then zeros for ever.
    case endless(Data)
    /// These bytes, then nothing for that many seconds.
    case stall(Data, seconds: Double)
    /// These bytes, ten of them every tenth of a second.
    case trickle(Data)

    static func text(_ status: Int, _ text: String, _ headers: [String: String] = [:]) -> Reply {
      .answer(status, headers, Data(text.utf8))
    }
  }

  let port: UInt16
  private let listener: Int32
  private let log = Mutex<[Request]>([])
  private let handler: @Sendable (Request) -> Reply

  /// What was asked for, in order.
  var requests: [Request] { log.withLock { $0 } }
  let host: String
  var url: String { "http://\(host)" }

  /// An address of this machine that is none of its own names for itself, as a registry elsewhere has; nil without one.
  static let elsewhere: String? = {
    var first: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&first) == 0 else { return nil }
    defer { freeifaddrs(first) }
    return sequence(first: first, next: { $0?.pointee.ifa_next }).prefix { $0 != nil }.lazy.compactMap { entry in
      guard let address = entry?.pointee.ifa_addr, address.pointee.sa_family == sa_family_t(AF_INET) else { return nil }
      var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
      let size = socklen_t(MemoryLayout<sockaddr_in>.size)
      guard getnameinfo(address, size, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 else { return nil }
      return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }.first { !$0.hasPrefix("127.") }
  }()

  /// - Parameter address: of this machine.
  init(at host: String = "127.0.0.1", _ handler: @escaping @Sendable (Request) -> Reply) throws {
    self.handler = handler
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr(host)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listener = listener
    let status = withUnsafeMutableBytes(of: &address) { bytes -> Int32 in
      guard let base = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return -1 }
      guard bind(listener, base, length) == 0, listen(listener, 64) == 0 else { return -1 }
      return getsockname(listener, base, &length)
    }
    guard status == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    port = UInt16(bigEndian: address.sin_port)
    self.host = "\(host):\(port)"
    // The threads know the server weakly, so that it can go while they wait.
    Thread { [weak self] in
      while true {
        let connection = accept(listener, nil, nil)
        guard connection >= 0 else { return }
        Thread { [weak self] in
          TestServer.serve(connection) { self?.reply(to: $0) }
          close(connection)
        }.start()
      }
    }.start()
  }

  deinit {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }

  private func reply(to request: Request) -> Reply {
    log.withLock { $0.append(request) }
    return handler(request)
  }

  /// Answers the requests of one connection until it ends.
  private static func serve(_ connection: Int32, _ reply: (Request) -> Reply?) {
    var buffer = Data()
    while let request = read(connection, &buffer), let reply = reply(request) {
      switch reply {
      case .answer(let status, let headers, let body):
        var head = "HTTP/1.1 \(status) Test\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        if !headers.keys.contains("Content-Length") { head += "Content-Length: \(body.count)\r\n" }
        guard send(connection, Data((head + "\r\n").utf8) + (request.method == "HEAD" ? Data() : body)) else { return }
      case .raw(let bytes):
        _ = send(connection, bytes)
        return
      case .endless(let bytes):
        guard send(connection, bytes) else { return }
        while send(connection, Data(count: 1 << 16)) {}
        return
      case .stall(let bytes, let seconds):
        _ = send(connection, bytes)
        Thread.sleep(forTimeInterval: seconds)
        return
      case .trickle(let bytes):
        var rest = bytes[...]
        while !rest.isEmpty, send(connection, Data(rest.prefix(10))) {
          rest = rest.dropFirst(10)
          Thread.sleep(forTimeInterval: 0.1)
        }
        return
      }
    }
  }

  /// Whole requests, one after the other; nil at the end.
  private static func read(_ connection: Int32, _ buffer: inout Data) -> Request? {
    let end = Data("\r\n\r\n".utf8)
    while buffer.range(of: end) == nil { guard receive(connection, &buffer) else { return nil } }
    guard let mark = buffer.range(of: end) else { return nil }
    let lines = String(decoding: buffer[..<mark.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
    buffer = Data(buffer[mark.upperBound...])
    let words = lines[0].split(separator: " ")
    guard words.count == 3 else { return nil }
    var request = Request(method: String(words[0]), path: String(words[1]))
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { continue }
      request.headers[line[..<colon].lowercased()] =
        line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
    }
    let length = request.headers["content-length"].flatMap { Int($0) } ?? 0
    while buffer.count < length { guard receive(connection, &buffer) else { return nil } }
    request.body = Data(buffer.prefix(length))
    buffer = Data(buffer.dropFirst(length))
    return request
  }

  private static func receive(_ connection: Int32, _ buffer: inout Data) -> Bool {
    var part = [UInt8](repeating: 0, count: 1 << 16)
    let count = recv(connection, &part, part.count, 0)
    guard count > 0 else { return false }
    buffer.append(contentsOf: part[..<count])
    return true
  }

  private static func send(_ connection: Int32, _ data: Data) -> Bool {
    var rest = data[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }
}

extension TestServer {
  /// What a static web server says about the files below `folder`, ranges included.
  static func file(_ request: Request, below folder: String) -> Reply {
    let path = request.path.prefix { $0 != "?" }
    guard !path.contains(".."), let data = FileManager.default.contents(atPath: folder + path) else {
      return .text(404, "no such file")
    }
    return bytes(data, request)
  }

  /// `data`, or the part of it that is asked for.
  static func bytes(_ data: Data, _ request: Request) -> Reply {
    guard let range = request.headers["range"], range.hasPrefix("bytes="), range.hasSuffix("-"),
      let start = Int(range.dropFirst(6).dropLast()), start < data.count
    else { return .answer(200, [:], data) }
    return .answer(
      206, ["Content-Range": "bytes \(start)-\(data.count - 1)/\(data.count)"], Data(data.dropFirst(start)))
  }
}
