import Bundles
import Foundation
import Registry
import Testing

@Suite("Addresses and credentials") struct AddressTests {
  @Test("a registry is a folder, a web address, or an OCI registry")
  func kinds() throws {
    #expect(try RegistryAddress("some/folder") == .folder("some/folder"))
    #expect(try "\(RegistryAddress("https://Example.org/hub//"))" == "https://example.org/hub")
    #expect(try "\(RegistryAddress("https://example.org:443"))" == "https://example.org")
    #expect(
      try "\(RegistryAddress("oci://registry.example.org/team/bundles/"))" == "oci://registry.example.org/team/bundles")
    #expect(try "\(RegistryAddress("oci://localhost:5000"))" == "oci://localhost:5000")
    #expect(try !RegistryAddress("folder").isRemote && RegistryAddress("oci://h").isRemote)
  }

  @Test(
    "what is no address, or hides credentials in one, is refused",
    arguments: [
      "ftp://example.org", "https://", "oci://", "https://user:word@example.org/", "https://example.org/?a=b",
      "https://example.org/#x", "oci://example.org/Team", "oci://example.org/../x", "oci://user@example.org/x", "://",
    ])
  func malformed(_ text: String) {
    #expect(refusal { _ = try RegistryAddress(text) } == .syntax)
  }

  @Test("without encryption only this machine is spoken to, unless the user says otherwise")
  func plain() throws {
    for text in ["http://127.0.0.1:8000/x", "http://localhost/x", "http://[::1]:80/x"] { _ = try RegistryAddress(text) }
    for text in ["http://example.org", "http://127.0.0.1.example.org", "http://10.0.0.1"] {
      #expect(refusal { _ = try RegistryAddress(text) } == .syntax, "\(text)")
      _ = try RegistryAddress(text, allowsPlain: true)
    }
  }

  @Test("credentials come from the variable and from a file that only its owner can read")
  func credentials() throws {
    let folder = try TemporaryFolder()
    #expect(try Credentials(home: folder.path, environment: [:]) == Credentials())
    let file = folder.path + "/credentials"
    try Data("# mine\nexample.org me:first\n\nother.example.org:5000 you:with space\n".utf8).write(
      to: URL(filePath: file))
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: file)
    let error = #expect(throws: RegistryError.self) { try Credentials(home: folder.path, environment: [:]) }
    #expect(error?.code == .untrusted && error?.remedy.contains("chmod 600") == true)
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
    let read = try Credentials(home: folder.path, environment: [:])
    #expect(read != Credentials())
    #expect(try Credentials(home: folder.path, environment: [Credentials.variable: "example.org me:first"]) == read)
    #expect(try Credentials(home: folder.path, environment: [Credentials.variable: "example.org me:second"]) != read)
  }

  @Test(
    "a line that is no credential is refused without being repeated",
    arguments: ["secret", "host secret", "a b:c\u{7}"])
  func badCredentials(_ line: String) {
    let error = #expect(throws: RegistryError.self) { try Credentials(parsing: line, source: "file") }
    #expect(error?.code == .syntax && error.map { "\($0)".contains(line) } == false)
  }

  @Test("offline, a registry elsewhere is refused when it is named")
  func offline() throws {
    var network = Network.testing
    network.isOffline = true
    for text in ["https://example.org/hub", "oci://127.0.0.1:1/x"] {
      #expect(refusal { _ = try BundleRegistry.open(text, network) } == .offline)
    }
    let folder = try TemporaryFolder()
    _ = try BundleRegistry(RegistryAddress(folder.path + "/r"), network, create: true)
  }

  @Test("registries get names; default is taken, and what is unknown is said to be")
  func names() throws {
    let store = Store(home: try TemporaryFolder().path, program: .init(0, 1, 0))
    try store.changeRegistries {
      try $0.add("team", RegistryAddress("oci://example.org/x"))
      try $0.add("stick", RegistryAddress("/media/stick"))
    }
    #expect(try store.registries().registries == ["team": "oci://example.org/x", "stick": "/media/stick"])
    for name in ["default", "a/b", "", "A b"] {
      #expect(refusal { try store.changeRegistries { try $0.add(name, .folder("/x")) } } == .syntax)
    }
    #expect(refusal { try store.changeRegistries { try $0.remove("other") } } == .notFound)
    try store.changeRegistries { try $0.remove("stick") }
    #expect(try store.registries().registries.keys.sorted() == ["team"])
  }
}
