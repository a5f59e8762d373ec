internal import Foundation

/// Where a registry is: a folder, a static web server that shows a folder's files, or an OCI registry.
public enum RegistryAddress: Sendable, Hashable, CustomStringConvertible {
  case folder(String)
  /// `https://host/path`: an image layout, read only.
  case web(Web)
  /// `oci://host[:port]/prefix`: repositories are `prefix/publisher/name`. `base` is `https://host[:port]`.
  case oci(base: Web, prefix: String)

  /// An http or https address without query, user, or a slash at its end.
  public struct Web: Sendable, Hashable, CustomStringConvertible {
    public let description: String
    let origin: Origin

    init(_ text: String) throws(RegistryError) {
      guard let parts = URLComponents(string: text), let origin = Origin(parts), parts.user == nil,
        parts.password == nil, parts.query == nil, parts.fragment == nil
      else {
        throw RegistryError(
          .syntax, at: "\"\(text)\"", "This is not the address of a registry.",
          remedy: "Write https://host/path or oci://host/prefix, without user, query or fragment; "
            + "credentials belong into a file.")
      }
      var end = Substring(parts.percentEncodedPath)
      while end.hasSuffix("/") { end = end.dropLast() }
      description = "\(origin)\(end)"
      self.origin = origin
    }
  }

  /// Reads an address; what has no `://` is a folder.
  /// - Throws: `syntax`, also for an unencrypted address of another machine unless `allowsPlain`.
  public init(_ text: String, allowsPlain: Bool = false) throws(RegistryError) {
    guard let mark = text.range(of: "://") else {
      self = .folder(text)
      return
    }
    switch text[..<mark.lowerBound] {
    case "http", "https":
      let web = try Web(text)
      try RegistryAddress.checkEncryption(web.origin, text, allowsPlain)
      self = .web(web)
    case "oci":
      let rest = text[mark.upperBound...]
      let host = String(rest.prefix { $0 != "/" })
      let prefix = rest.dropFirst(host.count).split(separator: "/", omittingEmptySubsequences: true)
      let secure = try Web("https://\(host)")
      // A registry on this machine, or one that the user says so of, is spoken to without encryption.
      let base = secure.origin.isLoopback || allowsPlain ? try Web("http://\(host)") : secure
      guard prefix.allSatisfy({ RegistryAddress.isComponent($0) }) else {
        throw RegistryError(
          .syntax, at: "\"\(text)\"", "The path of an OCI registry has lower-case letters, digits and - . _ only.",
          remedy: "Write it like oci://host/team/bundles.")
      }
      self = .oci(base: base, prefix: prefix.joined(separator: "/"))
    default:
      throw RegistryError(
        .syntax, at: "\"\(text)\"", "Registries are named by a folder, or begin with https:// or oci://.",
        remedy: "Check the address.")
    }
  }

  static func checkEncryption(_ origin: Origin, _ text: String, _ allowsPlain: Bool) throws(RegistryError) {
    guard origin.scheme == "https" || origin.isLoopback || allowsPlain else {
      throw RegistryError(
        .syntax, at: text, "This address is not encrypted.",
        remedy: "Use https://; if you trust the way there: --plain-http.")
    }
  }

  /// Whether a repository's name may hold `text` between its slashes (distribution-spec 1.1).
  static func isComponent(_ text: Substring) -> Bool {
    text.wholeMatch(of: /[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*/) != nil
  }

  public var isRemote: Bool { if case .folder = self { false } else { true } }

  /// The address as it is written down; equal for equal places.
  public var description: String {
    switch self {
    case .folder(let path): path
    case .web(let web): web.description
    case .oci(let base, let prefix): "oci://\(base.origin.authority)" + (prefix.isEmpty ? "" : "/\(prefix)")
    }
  }
}

/// Scheme, host and port: what credentials are bound to.
struct Origin: Sendable, Hashable, CustomStringConvertible {
  let scheme: String
  let host: String
  let port: Int

  init?(_ parts: URLComponents) {
    guard let scheme = parts.scheme?.lowercased(), ["http", "https"].contains(scheme),
      let host = parts.percentEncodedHost?.lowercased(), !host.isEmpty
    else { return nil }
    self.scheme = scheme
    self.host = host
    port = parts.port ?? (scheme == "https" ? 443 : 80)
  }

  init?(_ url: String) {
    guard let parts = URLComponents(string: url) else { return nil }
    self.init(parts)
  }

  /// `host`, or `host:port` where the port is not the scheme's own.
  var authority: String { port == (scheme == "https" ? 443 : 80) ? host : "\(host):\(port)" }

  var description: String { "\(scheme)://\(authority)" }

  /// Whether it is this machine under any name, which no proxy knows: names below `localhost` are too (RFC 6761).
  var isThisMachine: Bool { isLoopback || host.hasSuffix(".localhost") }

  /// Whether it is this machine, by its number or the name that is reserved for it.
  var isLoopback: Bool {
    host == "localhost" || host == "[::1]" || host.wholeMatch(of: /127\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}/) != nil
  }
}
