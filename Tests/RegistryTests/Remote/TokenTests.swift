import Foundation
import Registry
import Synchronization
import Testing

@Suite("Tokens") struct TokenTests {
  private let folder: TemporaryFolder
  private let data = sampleBytes(100_000)
  private static let password = "Basic " + Data("demo:secret".utf8).base64EncodedString()

  init() throws { folder = try TemporaryFolder() }

  private func open(_ host: String, credentials: String? = nil) throws -> BundleRegistry {
    var network = Network.testing
    if let credentials { network.credentials = try Credentials(parsing: credentials, source: "test") }
    return try BundleRegistry.open("oci://\(host)", network)
  }

  /// Gives tokens to who knows the password, each good for `uses` requests.
  private func tokenServer() throws -> TestServer {
    let count = Mutex(0)
    return try TestServer { request in
      guard request.headers["authorization"] == Self.password else { return .text(401, "who?") }
      let number = count.withLock { count in
        count += 1
        return count
      }
      return .text(200, #"{"token":"t\#(number)","expires_in":60}"#)
    }
  }

  /// A registry without anything in it, for who has a token of `realm`; a token is good for three requests.
  private func registry(_ realm: String, blob: Data = Data(), redirect: String? = nil) throws -> TestServer {
    let used = Mutex<[String: Int]>([:])
    return try TestServer { request in
      let word = request.headers["authorization"] ?? ""
      let count = used.withLock { used in
        used[word, default: 0] += 1
        return used[word] ?? 0
      }
      guard word.hasPrefix("Bearer t"), count <= 3 else {
        let scope = "repository:demo/blob:pull"
        return .text(
          401, #"{"errors":[{"code":"UNAUTHORIZED"}]}"#,
          ["WWW-Authenticate": "Bearer realm=\"\(realm)\",service=\"here and now\",scope=\"\(scope)\""])
      }
      if request.path.contains("/blobs/") {
        if let redirect { return .text(307, "", ["Location": redirect]) }
        return TestServer.bytes(blob, request)
      }
      return .text(200, #"{"tags":[]}"#)
    }
  }

  @Test("a challenge is answered with a token of the server it names; a token is used until it is refused")
  func bearer() throws {
    let tokens = try tokenServer()
    let server = try registry(tokens.url + "/token?a=b")
    let registry = try open(server.host, credentials: "\(server.host) demo:secret")
    for _ in 0..<5 { #expect(try registry.list("demo/blob").isEmpty) }
    #expect(tokens.requests.count == 2)
    #expect(
      tokens.requests.first?.path == "/token?a=b&service=here%20and%20now&scope=repository:demo/blob:pull")
    let words = server.requests.map { $0.headers["authorization"] ?? "none" }
    #expect(words.prefix(4) == ["none", "Bearer t1", "Bearer t1", "Bearer t1"])
    #expect(words.contains("Bearer t2") && !words.contains(Self.password))
  }

  @Test("without credentials, or with wrong ones, it ends with one sentence")
  func refused() throws {
    let tokens = try tokenServer()
    let server = try registry(tokens.url)
    #expect(refusal { _ = try open(server.host).list("demo/blob") } == .unauthorized)
    #expect(
      refusal { _ = try open(server.host, credentials: "\(server.host) demo:wrong").list("demo/blob") }
        == .unauthorized)
    let never = try TestServer { _ in .text(401, "no", ["WWW-Authenticate": "Negotiate"]) }
    #expect(refusal { _ = try open(never.host).list("demo/blob") } == .unauthorized)
    #expect(never.requests.count == 1)
    let vain = try TestServer { _ in .text(403, "not you") }
    #expect(refusal { _ = try open(vain.host).list("demo/blob") } == .unauthorized)
    #expect(vain.requests.count == 1)
  }

  @Test("neither token nor password goes to another host after a redirect")
  func redirect() throws {
    let data = data
    let tokens = try tokenServer()
    let storage = try TestServer { TestServer.bytes(data, $0) }
    let server = try registry(tokens.url, redirect: storage.url + "/signed")
    let registry = try open(server.host, credentials: "\(server.host) demo:secret\n\(storage.host) other:word")
    try registry.fetch(.init(of: data), of: "demo/blob", to: folder.path + "/blob")
    #expect(server.requests.contains { $0.headers["authorization"] == "Bearer t1" })
    #expect(storage.requests.count == 1 && storage.requests.allSatisfy { $0.headers["authorization"] == nil })
  }

  @Test("a host that a redirect led to gets no answer to its challenge")
  func strangersChallenge() throws {
    let tokens = try tokenServer()
    let thief = try TestServer { _ in .text(401, "", ["WWW-Authenticate": "Basic realm=\"x\""]) }
    let server = try registry(tokens.url, redirect: thief.url)
    let registry = try open(server.host, credentials: "\(server.host) demo:secret\n\(thief.host) other:word")
    #expect(
      refusal { try registry.fetch(.init(of: data), of: "demo/blob", to: folder.path + "/blob") } == .unauthorized)
    #expect(!thief.requests.isEmpty && thief.requests.allSatisfy { $0.headers["authorization"] == nil })
  }

  @Test("a token server elsewhere without encryption is not asked, nor one whose answer is no token")
  func badRealm() throws {
    let server = try registry("http://192.0.2.1/token")
    #expect(
      refusal { _ = try open(server.host, credentials: "\(server.host) demo:secret").list("demo/blob") } == .syntax)
    for answer in ["{}", #"{"token":""}"#, #"{"token":"a\r\nX: y"}"#, "[]", "x"] {
      let tokens = try TestServer { _ in .text(200, answer) }
      let server = try registry(tokens.url)
      #expect(refusal { _ = try open(server.host).list("demo/blob") } != nil, "\(answer)")
    }
  }

  @Test(
    "a registry elsewhere can send nobody to a server on this machine, neither for a token nor by a redirect",
    .enabled(if: TestServer.elsewhere != nil, "this machine has no address but its own"))
  func ownMachine() throws {
    let inner = try TestServer { _ in .text(200, #"{"token":"t"}"#) }
    let place = inner.url + "/shutdown"
    for (status, header) in [
      (401, ["WWW-Authenticate": "Bearer realm=\"\(place)\",service=\"x\""]), (302, ["Location": place]),
      (307, ["Location": "http://localhost:\(inner.port)/shutdown"]),
    ] {
      let server = try TestServer(at: #require(TestServer.elsewhere)) { _ in .text(status, "", header) }
      var network = Network.testing
      network.allowsPlain = true
      #expect(refusal { _ = try BundleRegistry.open("oci://\(server.host)", network).list("demo/blob") } == .network)
      #expect(server.requests.count == 1 && inner.requests.isEmpty)
    }
  }
}
