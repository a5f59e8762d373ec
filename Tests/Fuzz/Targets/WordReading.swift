internal import Bundles
internal import Foundation
internal import Registry

/// Reads every line as each of the words that people type, and the whole as a file of credentials.
enum WordReading {
  static func run(_ input: Data) throws -> Int {
    let text = String(decoding: input, as: UTF8.self)
    var read = try refusing { _ = try Credentials(parsing: text, source: "input") }
    for line in text.split(separator: "\n").prefix(64).map(String.init) {
      if let version = SemanticVersion(line) {
        read += 1
        try promise(SemanticVersion(version.description) == version, "\(line) is written as another version")
        try promise(!(version < version), "\(line) is older than itself")
      }
      if let requirement = VersionRequirement(line) {
        read += 1
        try promise(VersionRequirement(requirement.description) == requirement, "\(line) is written as another")
        for version in versions { _ = requirement.admits(version) }
      }
      read += try refusing {
        let reference = try Reference(line)
        try promise(Reference(reference.description) == reference, "\(line) is written as another reference")
      }
      for allowsPlain in [false, true] {
        read += try refusing {
          let address = try RegistryAddress(line, allowsPlain: allowsPlain)
          let again = try RegistryAddress(address.description, allowsPlain: allowsPlain)
          try promise(again == address, "\(line) is written as another address, \(address)")
        }
      }
      _ = PublicKey(line)
      _ = KeyID(line)
    }
    return read
  }

  private static let versions = ["0.0.0", "1.2.3", "1.2.3-beta.1", "9223372036854775807.0.0"]
    .compactMap(SemanticVersion.init)
}
