internal import Foundation
internal import Synchronization

/// Requests to one registry: redirects, tokens, and further attempts after what may pass.
final class HTTPClient: Sendable {
  let network: Network
  let origin: Origin
  private let idle = Mutex<[HTTPSession]>([])
  private let authorization: Authorization

  /// - Throws: `offline` when the network is forbidden: before anything that could make a socket.
  init(_ origin: Origin, _ network: Network) throws(RegistryError) {
    guard !network.isOffline else {
      throw RegistryError(
        .offline, at: "\(origin)", "This registry is elsewhere, and --offline or CODI_OFFLINE forbids the network.",
        remedy: "Name a registry in a folder, or allow the network.")
    }
    self.network = network
    self.origin = origin
    authorization = Authorization(origin, network.credentials)
  }

  /// Sends a request until there is an answer that trying again would not change.
  /// - Parameters:
  ///   - limit: bytes of a body without sink.
  ///   - attempts: instead of the network's own number.
  ///   - request: made anew for each attempt, so that a download asks for what is missing only.
  ///   - progress: bytes that arrived so far; enough of them between two failures, and attempts count anew.
  /// - Returns: an answer of any status but 401, 403, 408, 429 and 5xx.
  /// - Throws: `network`, `unauthorized`, `corrupt`, `stopped`, or what `sink` throws.
  func send(
    limit: Int = 64 << 10, attempts: Int? = nil, sink: HTTPSession.Sink? = nil, progress: () -> Int = { 0 },
    _ request: () -> HTTPRequest
  ) throws(RegistryError) -> HTTPResponse {
    var failures = 0
    var seen = progress()
    var isAuthorized = false
    while true {
      let asked = request()
      let trouble: String
      var wanted: Double?
      switch try follow(asked, limit: limit, sink: sink) {
      case .response(let response):
        switch response.status {
        case 401 where !isAuthorized:
          isAuthorized = true
          let granted = try authorization.answer(response, for: asked) { (token: HTTPRequest) throws(RegistryError) in
            try self.fetchToken(token)
          }
          if granted { continue }
          throw refused(response)
        case 401, 403: throw refused(response)
        case 408, 429, 500, 502, 503, 504:
          trouble = HTTPClient.words(response)
          wanted = response["retry-after"].flatMap(HTTPClient.seconds)
        case 500...: throw error(asked.url, HTTPClient.words(response))
        default: return response
        }
      case .failure(let failure):
        trouble = failure.message
        guard [.timeout, .unreachable, .broken].contains(failure.kind) else { throw error(asked.url, failure) }
      }
      if progress() - seen >= 64 << 10 { failures = 0 }
      seen = progress()
      failures += 1
      guard failures < attempts ?? network.attempts else {
        throw error(asked.url, "\(trouble); tried \(failures) times.")
      }
      try pause(after: failures, wanted: wanted, trouble, asked.url)
    }
  }

  /// A token is asked for like anything else, but without the registry's tokens.
  private func fetchToken(_ request: HTTPRequest) throws(RegistryError) -> HTTPResponse {
    guard let realm = Origin(request.url) else {
      throw error(request.url, "The registry names a token server that has no address.")
    }
    guard origin.isThisMachine || !realm.isThisMachine else {
      throw error(request.url, "The registry names a token server on this machine, which it has no business with.")
    }
    try RegistryAddress.checkEncryption(realm, request.url, network.allowsPlain)
    let session = try session()
    defer { idle.withLock { $0.append(session) } }
    switch try session.perform(request, limit: 1 << 20, network, isDirect: realm.isThisMachine, sink: nil) {
    case .response(let response): return response
    case .failure(let failure): throw error(request.url, failure)
    }
  }

  /// One request, and where its answer points to. Tokens stay with the registry's own origin.
  private func follow(
    _ request: HTTPRequest, limit: Int, sink: HTTPSession.Sink?
  ) throws(RegistryError) -> HTTPSession.Outcome {
    var request = request
    let plain = request.headers
    for _ in 0...5 {
      guard let target = Origin(request.url) else { throw error(request.url, "This is no address.") }
      request.headers = plain + [("User-Agent", "codi"), ("Expect", "")]
      if target == origin, let word = authorization.header(for: request.scope) {
        request.headers.append(("Authorization", word))
      }
      let session = try session()
      let outcome = try session.perform(request, limit: limit, network, isDirect: target.isThisMachine, sink: sink)
      idle.withLock { $0.append(session) }
      guard case .response(let response) = outcome, [301, 302, 303, 307, 308].contains(response.status),
        ["GET", "HEAD"].contains(request.method), let location = response["location"]
      else { return outcome }
      request.url = try next(location, from: request.url, target)
    }
    throw error(request.url, "It redirects again and again.")
  }

  /// Where a redirect leads: never from an encrypted address to one that is not, nor from elsewhere to this machine.
  private func next(_ location: String, from url: String, _ source: Origin) throws(RegistryError) -> String {
    let resolved = URL(string: location, relativeTo: URL(string: url))?.absoluteString
    guard let resolved, let target = Origin(resolved) else {
      throw error(url, "It redirects to \(location.debugDescription), which is no address.")
    }
    guard source.scheme == "http" || target.scheme == "https", source.isThisMachine || !target.isThisMachine else {
      throw error(url, "It redirects to \(target), which a registry at \(source) has no business with.")
    }
    try RegistryAddress.checkEncryption(target, resolved, network.allowsPlain)
    return resolved
  }

  private func session() throws(RegistryError) -> HTTPSession {
    guard let session = idle.withLock({ $0.popLast() }) ?? HTTPSession() else {
      throw error("\(origin)", "There is no memory for a connection.")
    }
    return session
  }

  // MARK: Attempts

  /// Waits `firstPause · 2^(failures − 1)` seconds, at least half of it and the rest at random, or as long as asked.
  func pause(
    after failures: Int, wanted: Double? = nil, _ trouble: String, _ url: String
  ) throws(RegistryError) {
    let doubled = network.firstPause * Double(1 << min(failures - 1, 16))
    let seconds = min(max(wanted ?? 0, doubled * Double.random(in: 0.5...1)), network.longestPause)
    network.note("\(url): \(trouble); trying again in \(String(format: "%.1f", seconds)) s.")
    let end = Date.now + seconds
    while end > .now {
      guard !network.isStopped() else {
        throw RegistryError(.stopped, at: url, "It was stopped.", remedy: "The same command goes on where it was.")
      }
      Thread.sleep(forTimeInterval: min(0.1, max(0, end.timeIntervalSinceNow)))
    }
  }

  /// `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
  static func seconds(_ text: String) -> Double? {
    if let seconds = Double(text), seconds >= 0 { return seconds }
    let format = DateFormatter()
    format.locale = Locale(identifier: "en_US_POSIX")
    format.timeZone = TimeZone(identifier: "GMT")
    format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
    return format.date(from: text).map { max(0, $0.timeIntervalSinceNow) }
  }

  // MARK: Errors

  func error(_ url: String, _ reason: String) -> RegistryError {
    RegistryError(.network, at: url, reason, remedy: "Check the address and the network, or try again later.")
  }

  /// A failure that trying again would not change.
  private func error(_ url: String, _ failure: HTTPFailure) -> RegistryError {
    guard let origin = Origin(url) else { return error(url, failure.message) }
    switch failure.kind {
    case .untrusted:
      return RegistryError(
        .certificate, at: url, "The certificate that \(origin.authority) shows is not accepted: \(failure.message).",
        remedy: network.authorities.remedy(origin, failure.message))
    case .noAuthority:
      return RegistryError(
        .certificate, at: url,
        "The certificates that may vouch for \(origin.authority) cannot be read: "
          + "\(failure.message).",
        remedy: "Check the file that CURL_CA_BUNDLE or SSL_CERT_FILE names, or the one in the store's folder "
          + "\(CertificateAuthorities.folderName).")
    case .timeout, .unreachable, .broken, .failed: return error(url, failure.message)
    }
  }

  private func refused(_ response: HTTPResponse) -> RegistryError {
    RegistryError(
      .unauthorized, at: response.url, "The registry wants to know who asks: \(HTTPClient.words(response)).",
      remedy: "Put `\(origin.authority) USER:PASSWORD` into the file \(Credentials.fileName) of the store (mode 600), "
        + "or into \(Credentials.variable).")
  }

  /// Status and the beginning of what the server says, printable.
  static func words(_ response: HTTPResponse) -> String {
    let said = String(decoding: response.body.prefix(200), as: UTF8.self)
      .unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : String($0) }.joined()
      .trimmingCharacters(in: .whitespaces)
    return "status \(response.status)" + (said.isEmpty ? "" : ", \(said)")
  }
}
