import Bundles
import Foundation
import Registry
import Synchronization
import Testing

/// A blob of 3 MB from servers that do what servers do.
@Suite("Downloads") struct DownloadTests {
  private let folder: TemporaryFolder
  private let data = sampleBytes(3_000_001)
  private var blob: Artifact.Blob { .init(of: data) }
  private var target: String { folder.path + "/blob" }
  private var part: String { target + ".part" }

  init() throws { folder = try TemporaryFolder() }

  /// A server that answers by how often it was asked before.
  private func server(_ reply: @escaping @Sendable (_ count: Int, TestServer.Request) -> TestServer.Reply) throws
    -> TestServer
  {
    let count = Mutex(0)
    return try TestServer { request in
      let before = count.withLock { count in
        count += 1
        return count - 1
      }
      return reply(before, request)
    }
  }

  private func fetch(_ server: TestServer, _ network: Network = .testing) throws {
    try BundleRegistry.open(server.url + "/hub", network).fetch(blob, of: "demo/blob", to: target)
  }

  private func expectWhole() throws {
    #expect(try Data(contentsOf: URL(filePath: target)) == data)
    #expect(!FileManager.default.fileExists(atPath: part))
  }

  private static func head(_ status: Int, _ headers: String) -> Data {
    Data("HTTP/1.1 \(status) Test\r\n\(headers)\r\n".utf8)
  }

  @Test("an answer that breaks off is continued where it ended, as often as it moves on")
  func truncated() throws {
    let data = data
    let server = try server { count, request in
      let range = request.headers["range"]?.dropFirst(6).dropLast() ?? "0"
      let start = Int(range) ?? 0
      if start + 500_000 >= data.count { return TestServer.bytes(data, request) }
      let length = "Content-Length: \(data.count - start)\r\n"
      let head =
        start == 0
        ? Self.head(200, length)
        : Self.head(206, length + "Content-Range: bytes \(start)-\(data.count - 1)/\(data.count)\r\n")
      return .raw(head + data.dropFirst(start).prefix(500_000))
    }
    try fetch(server)
    try expectWhole()
    // More failures than attempts: each of them brought something.
    #expect(server.requests.count == 7)
    #expect(server.requests.last?.headers["range"] == "bytes=3000000-")
  }

  @Test(
    "what an earlier run left is continued; wrong bytes in it are found and fetched anew", arguments: [false, true])
  func resumed(isSpoilt: Bool) throws {
    let data = data
    let server = try TestServer { TestServer.bytes(data, $0) }
    var beginning = data.prefix(1_234_567)
    if isSpoilt { beginning[1000] ^= 1 }
    try beginning.write(to: URL(filePath: part))
    try fetch(server)
    try expectWhole()
    #expect(server.requests.map { $0.headers["range"] } == (isSpoilt ? ["bytes=1234567-", nil] : ["bytes=1234567-"]))
  }

  @Test("what is there already in full is not asked for again; what is longer is thrown away")
  func complete() throws {
    let data = data
    let server = try TestServer { TestServer.bytes(data, $0) }
    try data.write(to: URL(filePath: part))
    try fetch(server)
    try expectWhole()
    #expect(server.requests.isEmpty)
    try (data + Data([1])).write(to: URL(filePath: part))
    try fetch(server)
    try expectWhole()
    #expect(server.requests.count == 1)
  }

  @Test("a server without ranges sends everything again, and only what is missing is taken")
  func noRanges() throws {
    let data = data
    let server = try TestServer { _ in .answer(200, [:], data) }
    try data.prefix(2_000_000).write(to: URL(filePath: part))
    try fetch(server)
    try expectWhole()
  }

  @Test(
    "errors that may pass are tried again", arguments: [408, 429, 500, 502, 503, 504])
  func passing(status: Int) throws {
    let data = data
    let server = try server { count, request in
      count < 3 ? .text(status, "later", ["Retry-After": "0"]) : TestServer.bytes(data, request)
    }
    try fetch(server)
    try expectWhole()
    #expect(server.requests.count == 4)
  }

  @Test("after as many vain attempts as allowed it ends, and says what the server said")
  func persistent() throws {
    let server = try TestServer { _ in .text(503, "closed for ever") }
    let error = #expect(throws: RegistryError.self) { try fetch(server) }
    #expect(error?.code == .network && error?.reason.contains("status 503, closed for ever") == true)
    #expect(server.requests.count == 4)
  }

  @Test("Retry-After is waited for, in seconds and as a date, but not for longer than is sensible")
  func retryAfter() throws {
    let data = data
    let format = DateFormatter()
    format.locale = Locale(identifier: "en_US_POSIX")
    format.timeZone = TimeZone(identifier: "GMT")
    format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
    for (wanted, longest, least) in [("1", 5.0, 1.0), ("3600", 0.3, 0.3), (format.string(from: .now + 3600), 0.3, 0.3)]
    {
      let server = try server { count, request in
        count == 0 ? .text(429, "slow down", ["Retry-After": wanted]) : TestServer.bytes(data, request)
      }
      var network = Network.testing
      network.longestPause = longest
      let start = ContinuousClock.now
      try fetch(server, network)
      #expect(ContinuousClock.now - start >= .seconds(least), "\(wanted)")
      #expect(server.requests.count == 2)
      try FileManager.default.removeItem(atPath: target)
    }
  }

  @Test("a connection that goes silent is given up and continued on another one")
  func stalled() throws {
    let data = data
    let server = try server { count, request in
      if count > 0 { return TestServer.bytes(data, request) }
      return .stall(Self.head(200, "Content-Length: \(data.count)\r\n") + data.prefix(100_000), seconds: 20)
    }
    try fetch(server)
    try expectWhole()
    #expect(server.requests.count == 2 && server.requests[1].headers["range"] == "bytes=100000-")
  }

  @Test("other bytes of the same length are refused, and nothing of them stays")
  func wrongDigest() throws {
    let other = sampleBytes(3_000_001, seed: 2)
    let server = try TestServer { TestServer.bytes(other, $0) }
    let error = #expect(throws: RegistryError.self) { try fetch(server) }
    #expect(error?.code == .corrupt && error?.reason.contains("sha256:" + SHA256.hex(of: other)) == true)
    #expect(folder.files().isEmpty)
    #expect(server.requests.count == 1)
  }

  @Test("endless data: what goes on beyond the announced size is cut off")
  func endless() throws {
    let data = data
    let server = try TestServer { _ in .endless(Self.head(200, "Content-Type: x/y\r\nConnection: close\r\n") + data) }
    #expect(refusal { try fetch(server) } == .corrupt)
    let size = try FileManager.default.attributesOfItem(atPath: part)[.size] as? Int
    #expect(size ?? 0 <= data.count)
  }

  @Test("endless data: documents are cut off at their limit")
  func endlessDocuments() throws {
    let server = try TestServer { _ in .endless(Self.head(200, "Connection: close\r\n")) }
    #expect(refusal { _ = try BundleRegistry.open(server.url).list() } == .corrupt)
    let header = try TestServer { _ in .endless(Data("HTTP/1.1 200 Test\r\nX: ".utf8)) }
    #expect(refusal { _ = try BundleRegistry.open(header.url).list() } != nil)
    let lines = try TestServer { _ in
      .raw(Data(("HTTP/1.1 200 Test\r\n" + String(repeating: "X: y\r\n", count: 100_000)).utf8))
    }
    #expect(refusal { _ = try BundleRegistry.open(lines.url).list() } == .corrupt)
  }

  @Test(
    "a length other than the announced one is refused before the bytes come", arguments: [10, 2_999_999, 4_000_000])
  func wrongLength(length: Int) throws {
    let data = data
    let server = try TestServer { _ in .raw(Self.head(200, "Content-Length: \(length)\r\n") + data.prefix(length)) }
    #expect(refusal { try fetch(server) } == .corrupt)
    #expect(server.requests.count == 1)
  }

  @Test("an answer about other bytes than those asked for is refused")
  func wrongRange() throws {
    let data = data
    let server = try TestServer { _ in
      .answer(206, ["Content-Range": "bytes 0-\(data.count - 1)/\(data.count)"], data)
    }
    try data.prefix(5000).write(to: URL(filePath: part))
    #expect(refusal { try fetch(server) } == .corrupt)
  }

  @Test("an answer without a length that ends early is asked for the rest")
  func unknownLength() throws {
    let data = data
    let server = try server { count, request in
      count == 0
        ? .raw(Self.head(200, "Connection: close\r\n") + data.prefix(1_000_000)) : TestServer.bytes(data, request)
    }
    try fetch(server)
    try expectWhole()
    let empty = try TestServer { _ in .raw(Self.head(200, "Connection: close\r\n")) }
    #expect(refusal { try fetch(empty) } == .corrupt)
  }

  @Test("redirects are followed, a few times, and only to addresses that the first one may name")
  func redirects() throws {
    let data = data
    let other = try TestServer { TestServer.bytes(data, $0) }
    let place = other.url + "/elsewhere?signature=x"
    let server = try TestServer { _ in .text(307, "", ["Location": place]) }
    try fetch(server)
    try expectWhole()
    #expect(other.requests.map(\.path) == ["/elsewhere?signature=x"])
    for target in ["file:///etc/passwd", "gopher://127.0.0.1/", "http://192.0.2.1/blob", "//"] {
      let server = try TestServer { _ in .text(302, "", ["Location": target]) }
      #expect(refusal { try fetch(server) } != nil, "\(target)")
      #expect(server.requests.count == 1)
    }
    let loop = try TestServer { _ in .text(302, "", ["Location": "/again"]) }
    #expect(refusal { try fetch(loop) } == .network)
    #expect(loop.requests.count == 6)
  }

  @Test("a user's wish to stop ends a download; the next one goes on with what is there")
  func stopped() throws {
    let data = data
    let server = try server { count, request in
      if count > 0 { return TestServer.bytes(data, request) }
      return .stall(Self.head(200, "Content-Length: \(data.count)\r\n") + data.prefix(2_000_000), seconds: 20)
    }
    let arrived = Mutex(0)
    var network = Network.testing
    network.stallSeconds = 30
    network.progress = { _, bytes, _ in arrived.withLock { $0 = bytes } }
    network.isStopped = { arrived.withLock { $0 } == 2_000_000 }
    #expect(refusal { try fetch(server, network) } == .stopped)
    try fetch(server)
    try expectWhole()
    #expect(server.requests[1].headers["range"] == "bytes=2000000-")
  }

  @Test("no such blob, nobody there, and no answer at all are told apart")
  func absent() throws {
    let server = try TestServer { _ in .text(404, "no") }
    #expect(refusal { try fetch(server) } == .notFound)
    let silent = try TestServer { _ in .raw(Data()) }
    #expect(refusal { try fetch(silent) } == .network)
    #expect(silent.requests.count == 4)
    let port = silent.port
    let nobody = try BundleRegistry.open("http://127.0.0.1:\(port == 1 ? 2 : 1)")
    #expect(refusal { _ = try nobody.list() } == .network)
  }

  @Test("a full disk and a failing write end a download with an error that names the file")
  func disk() throws {
    let data = data
    let server = try TestServer { TestServer.bytes(data, $0) }
    let error = #expect(throws: RegistryError.self) {
      try FileSystem.$faults.withValue(FileFaults(.fullDisk, at: 3)) { try fetch(server) }
    }
    #expect(error?.code == .inputOutput && error?.location == part)
    try FileSystem.$faults.withValue(FileFaults(.shortWrite, at: 2)) { try fetch(server) }
    try expectWhole()
  }
}
