public import Foundation

/// Whose certificates are accepted: the system's authorities, those that the environment names, or those of a file for
/// one host.
///
/// - `certificates/HOST.pem` of the store, or `HOST:PORT.pem`: for that host these alone.
/// - `CURL_CA_BUNDLE`, `SSL_CERT_FILE`, `SSL_CERT_DIR`: instead of the system's, as curl understands them.
///
/// Nothing accepts a host without a certificate that one of them signed, or with that of another host.
public struct CertificateAuthorities: Sendable {
  public static let folderName = "certificates"

  /// `certificates` of the store; nil for none.
  let folder: String?
  let file: String?
  let directory: String?

  /// The system's only.
  public init() { (folder, file, directory) = (nil, nil, nil) }

  /// - Parameter home: the store.
  public init(home: String, environment: [String: String] = ProcessInfo.processInfo.environment) {
    func set(_ names: String...) -> String? { names.lazy.compactMap { environment[$0] }.first { !$0.isEmpty } }
    folder = "\(home)/\(CertificateAuthorities.folderName)"
    file = set("CURL_CA_BUNDLE", "SSL_CERT_FILE")
    directory = set("SSL_CERT_DIR")
  }

  /// Those for one host.
  func authorities(for origin: Origin) -> (file: String?, directory: String?) {
    let own = ["\(origin.host):\(origin.port)", origin.host].compactMap { name in folder.map { "\($0)/\(name).pem" } }
    if let own = own.first(where: Disk.exists) { return (own, nil) }
    return (file, directory)
  }

  /// What to do about a certificate that was not accepted.
  func remedy(_ origin: Origin, _ reason: String) -> String {
    let said = reason.lowercased()
    if said.contains("subject name") || said.contains("does not match") {
      return "It belongs to another host: write the name that the certificate has, or ask the registry's owner for a "
        + "certificate for \(origin.host)."
    }
    if said.contains("expired") || said.contains("not yet valid") {
      return "Check this machine's clock, and tell the registry's owner."
    }
    let place = folder.map { " or put it into \($0)/\(origin.host):\(origin.port).pem" } ?? ""
    return "If you know who runs this registry, get their certificate authority's certificate (PEM) and name it: "
      + "SSL_CERT_FILE=ca.pem (CURL_CA_BUNDLE, where it is set, counts first),\(place)."
  }
}
