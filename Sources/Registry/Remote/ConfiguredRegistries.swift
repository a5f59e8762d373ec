internal import Foundation

/// Registries that the user has given names, in `registries.json` of the store.
///
/// The one that came with the program is always there under the name `default`, and in no file.
public struct ConfiguredRegistries: Codable, Sendable, Hashable {
  public static let embedded = "default"

  private var version = 1
  /// Addresses by name.
  public private(set) var registries: [String: String] = [:]

  public init() {}

  /// Gives a registry a name, in place of the one that had it.
  /// - Throws: `syntax` for a name that is none, or is `default`.
  public mutating func add(_ name: String, _ address: RegistryAddress) throws(RegistryError) {
    guard Trust.isPublisher(name), name != ConfiguredRegistries.embedded else {
      throw RegistryError(
        .syntax, at: name.debugDescription, "This cannot be the name of a registry.",
        remedy: "Take lower-case letters, digits and - . _; \"\(ConfiguredRegistries.embedded)\" is taken.")
    }
    registries[name] =
      if case .folder(let path) = address { BundleSource(path).location } else { address.description }
  }

  /// - Throws: `notFound`.
  public mutating func remove(_ name: String) throws(RegistryError) {
    guard registries.removeValue(forKey: name) != nil else {
      throw RegistryError(
        .notFound, at: name.debugDescription, "No registry has this name.", remedy: "`codi registry list` shows them.")
    }
  }
}

extension Store {
  private var registriesFile: String { "\(home)/registries.json" }

  /// The registries that the user has given names.
  public func registries() throws(RegistryError) -> ConfiguredRegistries {
    guard !Disk.isMissing(registriesFile) else { return ConfiguredRegistries() }
    return try OCI.decode(
      ConfiguredRegistries.self, Disk.read(registriesFile, atMost: 1 << 20), at: registriesFile)
  }

  /// Changes them and writes it down unless `body` throws.
  public func changeRegistries(_ body: (inout ConfiguredRegistries) throws -> Void) throws {
    try Disk.makeDirectory(home)
    try Disk.withLock(on: home) {
      var registries = try registries()
      try body(&registries)
      try Disk.write(OCI.encode(registries, pretty: true), to: registriesFile)
    }
  }
}
