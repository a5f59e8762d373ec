public import Bundles
public import Foundation

/// Whom this user trusts: `trust.json` in the store.
///
/// - A publisher is known by its keys. The first key met is taken note of; any other one is refused until the user
///   adds it, or a key already known says that it is the next one.
/// - `name@version` is known by its digest for ever, also after the bundle was removed.
/// - A revoked key is refused for everybody and for ever.
///
/// There is no switch that turns all of this off.
public struct Trust: Codable, Hashable, Sendable {
  /// What happens to a bundle without a signature.
  public enum Unsigned: String, Codable, Hashable, Sendable, CaseIterable {
    /// It is refused.
    case error
    /// The user is asked; refused where nobody can be.
    case prompt
    /// It is installed, and said so.
    case warn
  }

  public struct Key: Codable, Hashable, Sendable {
    /// How the key became known.
    public enum Origin: String, Codable, Hashable, Sendable, CaseIterable { case program, user, firstUse, rotation }

    public let key: PublicKey
    public let origin: Origin
    /// Whether plugins of bundles signed by it may run inside the program's own process.
    public internal(set) var inProcess = false
    /// It has named its successor: what it signed stays good, but it can name no other.
    public internal(set) var isRetired = false
  }

  public struct Publisher: Codable, Hashable, Sendable {
    /// Oldest first.
    public internal(set) var keys: [Key] = []
    /// Whether it ever had a key: from then on it must sign, and no other key is taken on first use.
    public internal(set) var signs = false
    /// The user's word on unsigned bundles of this publisher.
    public internal(set) var unsigned: Unsigned?
  }

  public struct KnownStatements: Codable, Hashable, Sendable {
    public let statements: Statements
    public let signer: PublicKey
  }

  private var version = 1
  public private(set) var publishers: [String: Publisher] = [:]
  public private(set) var revoked: [PublicKey] = []
  /// The digest of every `name@version` ever installed.
  public private(set) var digests: [String: String] = [:]
  /// The newest statements of every publisher who made some.
  public internal(set) var statements: [String: KnownStatements] = [:]
  /// The user's word on unsigned bundles from a registry, by its location.
  public private(set) var registries: [String: Unsigned] = [:]

  /// What holds before anything was installed: the project's own key.
  public init() { addProjectKeys() }

  // MARK: Changes

  /// Takes note of a key because the user says so.
  /// - Throws: `revoked` for a key that was revoked.
  public mutating func add(_ key: PublicKey, to publisher: String, inProcess: Bool = false) throws(RegistryError) {
    try add(key, to: publisher, .user)
    if inProcess { update(key, of: publisher) { $0.inProcess = true } }
  }

  /// Takes the mark back that lets a key's plugins run inside the program's own process; the key stays known.
  /// - Throws: `notFound` when it is no key of the publisher.
  public mutating func isolate(_ key: PublicKey, of publisher: String) throws(RegistryError) {
    guard publishers[publisher]?.keys.contains(where: { $0.key == key }) == true else {
      throw RegistryError(
        .notFound, at: publisher, "The key \(key.id) is not one of its keys.",
        remedy: "`codi trust list` shows whose keys are known.")
    }
    update(key, of: publisher) { $0.inProcess = false }
  }

  mutating func add(_ key: PublicKey, to publisher: String, _ origin: Key.Origin) throws(RegistryError) {
    guard Trust.isPublisher(publisher) else {
      throw RegistryError(
        .syntax, at: publisher.debugDescription, "This is not the name of a publisher.",
        remedy: "Write the part before the \"/\" of a bundle's name, like codi.")
    }
    guard !revoked.contains(key) else { throw Trust.revoked(publisher, key.id) }
    guard !(publishers[publisher]?.keys.contains { $0.key == key } ?? false) else { return }
    publishers[publisher, default: Publisher()].keys.append(Key(key: key, origin: origin))
    publishers[publisher]?.signs = true
  }

  /// Never accepts the key again, from no publisher and by no rotation; what it stated does not hold any more.
  /// - Returns: the publishers who had it.
  @discardableResult
  public mutating func revoke(_ key: PublicKey) -> [String] {
    if !revoked.contains(key) { revoked.append(key) }
    statements = statements.filter { $0.value.signer != key }
    let owners = publishers.filter { $0.value.keys.contains { $0.key == key } }.keys.sorted()
    for owner in owners { publishers[owner]?.keys.removeAll { $0.key == key } }
    return owners
  }

  /// Takes note of a publisher's next key, which a present one vouches for.
  /// - Parameters:
  ///   - file: the `.pub` file of the new key.
  ///   - signature: of that file, made by `KeyRotation.sign`.
  /// - Throws: `untrusted` when the signer is not a present key of the publisher, `revoked`, or `BundleError` for a
  ///   file or signature that is not right.
  @discardableResult
  public mutating func rotate(_ publisher: String, to file: Data, signature: Signature) throws -> PublicKey {
    let source = "\(publisher)'s next key"
    let next = try PublicKey(parsing: file, source: source)
    let known = publishers[publisher]?.keys ?? []
    guard let old = known.first(where: { $0.key.id == signature.keyID && !$0.isRetired }) else {
      let keys = known.filter { !$0.isRetired }.map { "\($0.key.id)" }.joined(separator: ", ")
      throw RegistryError(
        .untrusted, at: source,
        "The key \(signature.keyID) vouches for it, "
          + (keys.isEmpty ? "but no key of \(publisher) is trusted." : "but \(publisher) is known by \(keys)."),
        remedy: "If the publisher told you the new key, add it: `codi trust add \(publisher) \(next)`.")
    }
    try signature.verify(file, with: old.key, source: source)
    guard signature.trustedComment == KeyRotation.comment(publisher, next) else {
      throw RegistryError(
        .untrusted, at: source,
        "What was signed is \(signature.trustedComment.debugDescription), not that \(publisher) changes to \(next.id).",
        remedy: "Ask the publisher for the file that `codi keys rotate` makes.")
    }
    // Retiring the last key for itself, or for a retired one, would leave the publisher without any.
    guard next != old.key, known.first(where: { $0.key == next })?.isRetired != true else {
      throw RegistryError(
        .untrusted, at: source,
        next == old.key ? "The key \(next.id) vouches for itself." : "The key \(next.id) was retired before.",
        remedy: "Ask the publisher for a rotation to a new key; nothing was changed.")
    }
    try add(next, to: publisher, .rotation)
    update(old.key, of: publisher) { $0.isRetired = true }
    return next
  }

  /// Sets what happens to unsigned bundles of one publisher; nil goes back to the default.
  public mutating func setUnsigned(_ policy: Unsigned?, publisher: String) throws(RegistryError) {
    guard Trust.isPublisher(publisher) else {
      throw RegistryError(
        .syntax, at: publisher.debugDescription, "This is not the name of a publisher.",
        remedy: "Write the part before the \"/\" of a bundle's name, like codi.")
    }
    publishers[publisher, default: Publisher()].unsigned = policy
  }

  /// Sets what happens to unsigned bundles of one registry, by its folder or address; nil goes back to the default.
  public mutating func setUnsigned(_ policy: Unsigned?, registry: String) {
    registries[BundleSource(registry).location] = policy
  }

  /// Forgets the digest of one `name@version`, for somebody who packs it anew before publishing it.
  /// - Returns: whether it was known.
  @discardableResult
  public mutating func forget(_ bundle: String) -> Bool { digests.removeValue(forKey: bundle) != nil }

  mutating func remember(_ bundle: String, digest: String) { digests[bundle] = digest }

  private mutating func update(_ key: PublicKey, of publisher: String, _ change: (inout Key) -> Void) {
    guard var keys = publishers[publisher]?.keys, let index = keys.firstIndex(where: { $0.key == key }) else { return }
    change(&keys[index])
    publishers[publisher]?.keys = keys
  }

  // MARK: Questions

  /// Whether plugins of a bundle that `signer` signed for `publisher` may run inside the program's own process.
  public func allowsInProcess(_ signer: PublicKey?, publisher: String) -> Bool {
    guard let signer, let keys = publishers[publisher]?.keys else { return false }
    return keys.contains { $0.key == signer && $0.inProcess }
  }

  /// Refuses a `name@version` that was met with another digest.
  func check(_ bundle: String, digest: String) throws(RegistryError) {
    guard let known = digests[bundle], known != digest else { return }
    throw RegistryError(
      .conflict, at: bundle, "It was installed here with digest \(known); this one has \(digest).",
      remedy: "A version never changes: ask the publisher. If it is your own, unpublished one: "
        + "`codi trust forget \(bundle)`.")
  }

  static func isPublisher(_ text: String) -> Bool {
    guard let reference = try? Reference(text) else { return false }
    return reference.publisher == nil && reference.requirement == .any && reference.name == text
  }

  static func revoked(_ place: String, _ id: KeyID) -> RegistryError {
    RegistryError(
      .revoked, at: place, "The key \(id) was revoked.",
      remedy: "Get another version, signed by the publisher's new key: `codi trust add PUBLISHER KEY`.")
  }
}

// MARK: The file

extension Trust {
  /// Reads the file; a missing one is the beginning.
  static func read(_ path: String) throws(RegistryError) -> Trust {
    guard !Disk.isMissing(path) else { return Trust() }
    var trust = try OCI.decode(Trust.self, Disk.read(path, atMost: 64 << 20), at: path)
    guard trust.version == 1 else {
      throw RegistryError(
        .unsupported, at: path, "The file has version \(trust.version), this program reads 1.", remedy: "Update codi.")
    }
    trust.addProjectKeys()
    return trust
  }

  func write(_ path: String) throws(RegistryError) { try Disk.write(OCI.encode(self, pretty: true), to: path) }

  /// An updated program may bring a new key; one that the user revoked stays revoked.
  private mutating func addProjectKeys() {
    for key in ProjectKey.keys where !revoked.contains(key) { try? add(key, to: ProjectKey.publisher, .program) }
  }
}

extension Store {
  private var trustFile: String { "\(home)/trust.json" }

  /// Whom this store's user trusts.
  public func trust() throws(RegistryError) -> Trust { try Trust.read(trustFile) }

  /// Changes whom this store's user trusts, and writes it down unless `body` throws.
  @discardableResult
  public func changeTrust<Result>(_ body: (inout Trust) throws -> Result) throws -> Result {
    try Disk.makeDirectory(home)
    return try Disk.withLock(on: home) {
      let before = try trust()
      var trust = before
      let result = try body(&trust)
      if trust != before { try write(trust) }
      return result
    }
  }

  /// Writes the file; for the holder of the lock.
  func write(_ trust: Trust) throws(RegistryError) { try trust.write(trustFile) }
}
