internal import Foundation
internal import Synchronization

/// Answers a registry's challenges (RFC 7235; distribution-spec, token authentication) and keeps the tokens.
final class Authorization: Sendable {
  private let origin: Origin
  private let credentials: Credentials
  /// Headers by scope; an empty scope stands for credentials that are good for everything.
  private let granted = Mutex<[String: String]>([:])

  init(_ origin: Origin, _ credentials: Credentials) {
    self.origin = origin
    self.credentials = credentials
  }

  /// The header for a request of that scope; nil until the registry asked for one.
  func header(for scope: String) -> String? { granted.withLock { $0[scope] ?? $0[""] } }

  /// Gets what a 401 answer asks for.
  /// - Parameter fetch: gets a token from the server that the answer names.
  /// - Returns: false when there is nothing to answer with.
  func answer(
    _ response: HTTPResponse, for request: HTTPRequest,
    fetch: (HTTPRequest) throws(RegistryError) -> HTTPResponse
  ) throws(RegistryError) -> Bool {
    // Only the registry itself may ask; where a redirect led to has no business with its tokens.
    guard Origin(response.url) == origin else { return false }
    let basic = credentials.basic(for: origin)
    for challenge in response.headers.filter({ $0.name == "www-authenticate" }).map(\.value) {
      let (scheme, parameters) = Authorization.parse(challenge)
      switch scheme {
      case "bearer":
        guard let realm = parameters["realm"], var parts = URLComponents(string: realm) else { continue }
        let asked = ["service", "scope"].compactMap { name in
          parameters[name].map { URLQueryItem(name: name, value: $0) }
        }
        parts.queryItems = (parts.queryItems ?? []) + asked
        guard let url = parts.string else { continue }
        var token = HTTPRequest(url: url, headers: [("User-Agent", "codi")])
        if let basic { token.headers.append(("Authorization", basic)) }
        let word = try Authorization.token(fetch(token), at: realm)
        granted.withLock { $0[request.scope] = "Bearer \(word)" }
        return true
      case "basic":
        guard let basic else { continue }
        granted.withLock { $0[""] = basic }
        return true
      default: continue
      }
    }
    return false
  }

  private static func token(_ response: HTTPResponse, at realm: String) throws(RegistryError) -> String {
    struct Answer: Decodable {
      var token: String?
      // swift-format-ignore: AlwaysUseLowerCamelCase
      var access_token: String?  // OAuth 2's name for the same
    }
    guard response.status == 200 else {
      throw RegistryError(
        .unauthorized, at: realm, "The token server refuses: \(HTTPClient.words(response)).",
        remedy: "Check the credentials in \(Credentials.fileName) or \(Credentials.variable).")
    }
    let answer = try OCI.decode(Answer.self, response.body, at: realm)
    guard let word = answer.token ?? answer.access_token, !word.isEmpty,
      word.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
    else {
      throw RegistryError(
        .unauthorized, at: realm, "The token server's answer holds no token.", remedy: "Tell the registry's owner.")
    }
    return word
  }

  /// `Bearer realm="…",service="…"`: the scheme in lower case, and its parameters.
  static func parse(_ challenge: String) -> (scheme: String, parameters: [String: String]) {
    let scheme = challenge.prefix { $0 != " " }
    var parameters: [String: String] = [:]
    for match in challenge.dropFirst(scheme.count).matches(of: /([A-Za-z]+)="([^"]*)"|([A-Za-z]+)=([^", ]+)/) {
      if let name = match.1 ?? match.3, let value = match.2 ?? match.4 { parameters[name.lowercased()] = String(value) }
    }
    return (scheme.lowercased(), parameters)
  }
}
