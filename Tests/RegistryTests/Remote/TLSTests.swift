import Bundles
import Foundation
import Registry
import Testing

/// A real docker-registry that speaks HTTPS with a certificate which openssl has just made.
@Suite(
  "Encrypted registries",
  .enabled(if: DockerRegistry.missing == nil, "docker-registry is not installed"),
  .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl"), "openssl is not installed"))
struct TLSTests {
  private let folder: TemporaryFolder
  private let certificate: DockerRegistry.Certificate
  private let docker: DockerRegistry
  private let core: String
  private let adapter: String
  /// Names below localhost are this machine (RFC 6761), and other than localhost itself they are spoken to encrypted.
  private var host: String { "registry.localhost:\(docker.port)" }
  private var address: String { "oci://\(host)/hub" }

  init() throws {
    folder = try TemporaryFolder()
    certificate = try Self.make("registry", for: "registry.localhost", in: folder)
    docker = try DockerRegistry(certificate: certificate)
    core = try TestBundles.core(folder)
    adapter = try TestBundles.adapter(folder, for: core)
  }

  /// A certificate for a host that vouches for itself.
  private static func make(_ name: String, for host: String, in folder: TemporaryFolder) throws
    -> DockerRegistry.Certificate
  {
    let (file, key) = ("\(folder.path)/\(name).pem", "\(folder.path)/\(name).key")
    let status = try run(
      "/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", file,
      "-subj", "/CN=\(host)", "-addext", "subjectAltName=DNS:\(host)")
    try #require(status == 0)
    return (file, key)
  }

  /// As the program makes it, with this environment.
  private func opened(_ environment: [String: String], at address: String? = nil, credentials: String? = nil) throws
    -> BundleRegistry
  {
    var network = Network.testing
    network.authorities = CertificateAuthorities(home: folder.path + "/store", environment: environment)
    if let credentials { network.credentials = try Credentials(parsing: credentials, source: "test") }
    return try BundleRegistry.open(address ?? self.address, network)
  }

  private func refused(_ body: () throws -> Void) -> RegistryError? {
    do { try body() } catch let error as RegistryError {
      recordAttack("refused, \(error.code)")
      return error
    } catch { return nil }
    return nil
  }

  @Test("bundles are published, listed and installed where the certificate's authority is named, as curl takes it")
  func named() throws {
    for variable in ["SSL_CERT_FILE", "CURL_CA_BUNDLE"] {
      let registry = try opened([variable: certificate.file])
      try registry.publish(core)
      let toy = try registry.publish(adapter)
      #expect(try registry.list("codi/toy") == [toy] && registry.path == address)
    }
    let store = try Store.testing(folder.path + "/store")
    try store.install(Reference("toy"), from: try opened(["SSL_CERT_FILE": certificate.file]))
    #expect(try store.list().count == 2)
  }

  @Test("a file in the store vouches for its host alone, and nobody else vouches for that host")
  func perHost() throws {
    let certificates = folder.path + "/store/\(CertificateAuthorities.folderName)"
    try FileManager.default.createDirectory(atPath: certificates, withIntermediateDirectories: true)
    for name in [host, "registry.localhost"] {
      let file = "\(certificates)/\(name).pem"
      try FileManager.default.copyItem(atPath: certificate.file, toPath: file)
      #expect(try opened([:]).list().isEmpty)
      try FileManager.default.removeItem(atPath: file)
    }
    let other = try Self.make("other", for: "registry.localhost", in: folder)
    try FileManager.default.copyItem(atPath: other.file, toPath: "\(certificates)/\(host).pem")
    #expect(refused { _ = try opened(["SSL_CERT_FILE": certificate.file]).list() }?.code == .certificate)
  }

  @Test("an unknown authority is refused at once, with what to do about it")
  func unknown() throws {
    let other = try Self.make("other", for: "registry.localhost", in: folder)
    for environment in [[:], ["SSL_CERT_FILE": other.file]] {
      let error = refused { _ = try opened(environment).list() }
      #expect(error?.code == .certificate && error?.reason.contains(host) == true, "\(String(describing: error))")
      #expect(error?.remedy.contains("SSL_CERT_FILE=ca.pem") == true)
      #expect(error?.remedy.contains("certificates/\(host).pem") == true)
    }
  }

  @Test("a certificate of another host is refused, although its authority is known")
  func wrongHost() throws {
    let error = refused {
      _ = try opened(["SSL_CERT_FILE": certificate.file], at: "oci://elsewhere.localhost:\(docker.port)/hub").list()
    }
    #expect(error?.code == .certificate, "\(String(describing: error))")
    #expect(error?.remedy.contains("belongs to another host") == true)
  }

  @Test("a file of authorities that is missing or empty lets nobody in", arguments: [false, true])
  func unreadable(isEmpty: Bool) throws {
    let file = folder.path + "/empty.pem"
    if isEmpty { try Data().write(to: URL(filePath: file)) }
    let error = refused { _ = try opened(["SSL_CERT_FILE": file]).list() }
    #expect(error?.code == .certificate, "\(String(describing: error))")
    #expect(error?.remedy.contains("SSL_CERT_FILE") == true)
  }

  @Test("passwords go over the encrypted connection to who asks for them")
  func password() throws {
    // The password is "secret".
    let users = "demo:$2y$05$QLJ.pos4VgQv5BEBVTJnY.ui50V5DlvRJ6eXmY0nat7abSfmOWg36\n"
    let docker = try DockerRegistry(users: users, certificate: certificate)
    let address = "oci://registry.localhost:\(docker.port)/hub"
    let environment = ["SSL_CERT_FILE": certificate.file]
    let registry = try opened(environment, at: address, credentials: "registry.localhost:\(docker.port) demo:secret")
    let toy = try registry.publish(adapter)
    #expect(try registry.list("codi/toy") == [toy])
    #expect(refusal { _ = try opened(environment, at: address).list("codi/toy") } == .unauthorized)
  }

  @Test(
    "docker-registry's own tokens: signed by a token server, each good for one repository and what it was asked for")
  func tokens() throws {
    let signer = try Self.make("tokens", for: "tokens", in: folder)
    let chain = try String(contentsOfFile: signer.file, encoding: .utf8).split(separator: "\n")
      .filter { !$0.hasPrefix("-----") }.joined()
    let (key, scratch) = (signer.key, folder.path)
    // Gives a token for the scope that is asked for to who knows the password.
    let server = try TestServer { request in
      guard request.headers["authorization"] == "Basic " + Data("demo:secret".utf8).base64EncodedString() else {
        return .text(401, "who?")
      }
      let scope = request.path.removingPercentEncoding?.firstMatch(of: /scope=([a-z]+):([^:&]+):([a-z,*]+)/)
      let access = scope.map { scope -> [String: Any] in
        ["type": String(scope.1), "name": String(scope.2), "actions": scope.3.split(separator: ",").map(String.init)]
      }
      guard let token = Self.token(access.map { [$0] } ?? [], key: key, chain: chain, scratch) else {
        return .text(500, "no token")
      }
      return .text(200, #"{"token":"\#(token)","expires_in":300}"#)
    }
    let docker = try DockerRegistry(tokens: (server.url + "/token", "tests", signer.file))
    let registry = try opened([:], at: "oci://\(docker.host)/hub", credentials: "\(docker.host) demo:secret")
    try registry.publish(core)
    let toy = try registry.publish(adapter)
    #expect(try registry.list("codi/toy") == [toy])
    let store = try Store.testing(folder.path + "/store")
    try store.install(Reference("codi/toy"), from: registry)
    #expect(try store.list().count == 2)
    #expect(
      server.requests.contains { $0.path.contains("push") } && server.requests.contains { $0.path.contains("pull") })
    #expect(refusal { _ = try opened([:], at: "oci://\(docker.host)/hub").list("codi/toy") } == .unauthorized)
  }

  /// A JSON web token (RFC 7519) as docker-registry reads it, signed by openssl.
  private static func token(_ access: [[String: Any]], key: String, chain: String, _ scratch: String) -> String? {
    func encode(_ data: Data) -> String {
      data.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
    let now = Int(Date.now.timeIntervalSince1970)
    let head: [String: Any] = ["typ": "JWT", "alg": "RS256", "x5c": [chain]]
    let claims: [String: Any] = [
      "iss": "tests", "sub": "demo", "aud": "registry", "exp": now + 300, "nbf": now - 10, "iat": now,
      "jti": UUID().uuidString, "access": access,
    ]
    guard let first = try? JSONSerialization.data(withJSONObject: head),
      let second = try? JSONSerialization.data(withJSONObject: claims)
    else { return nil }
    let text = encode(first) + "." + encode(second)
    let (plain, signed) = ("\(scratch)/\(UUID().uuidString)", "\(scratch)/\(UUID().uuidString)")
    guard (try? Data(text.utf8).write(to: URL(filePath: plain))) != nil,
      (try? run("/usr/bin/openssl", "dgst", "-sha256", "-sign", key, "-out", signed, plain)) == 0,
      let signature = FileManager.default.contents(atPath: signed)
    else { return nil }
    return text + "." + encode(signature)
  }
}
