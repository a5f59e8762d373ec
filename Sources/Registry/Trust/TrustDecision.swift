internal import Bundles
internal import Foundation

/// Where a bundle came from, for the policy on unsigned ones.
public struct BundleSource: Sendable, Hashable {
  /// An absolute folder, an address, or `file`.
  public let location: String
  /// Whether it came with the program; then everything in it must be signed by a key that is known already.
  public let isEmbedded: Bool

  /// Whether it is elsewhere, so that somebody may hold back what is new.
  public var isRemote: Bool { location.contains("://") }

  public init(_ location: String, isEmbedded: Bool = false) {
    let isAddress = location.contains("://") || location == "file"
    self.location = isAddress ? location : URL(filePath: location).standardizedFileURL.path
    self.isEmbedded = isEmbedded
  }

  /// A `.codi` file that the user named.
  public static let file = BundleSource("file")
}

/// How an install talks with the user about trust.
public struct TrustDialogue {
  /// Whether to install a bundle without a signature, `publisher/name@version`; asked where the policy says `prompt`.
  public var acceptsUnsigned: (_ bundle: String, _ source: BundleSource) -> Bool
  /// Told in one sentence: a key met for the first time, an unsigned bundle that the policy lets through.
  public var note: (String) -> Void

  public init(
    acceptsUnsigned: @escaping (_ bundle: String, _ source: BundleSource) -> Bool = { _, _ in false },
    note: @escaping (String) -> Void = { _ in }
  ) {
    self.acceptsUnsigned = acceptsUnsigned
    self.note = note
  }

  /// Nobody is there: nothing unsigned is accepted.
  public static var silent: TrustDialogue { TrustDialogue() }
}

extension Trust {
  /// Who signed the bundle, once that is somebody to be trusted; nil for an unsigned one that is let through.
  ///
  /// Verifies the signature over the sums; takes note of a publisher's key when it is the first.
  /// - Throws: `unsigned`, `untrusted`, `revoked`, or `BundleError` for a signature that does not fit the bundle.
  mutating func judge(
    _ bundle: BundleReader, from source: BundleSource, _ dialogue: TrustDialogue
  ) throws -> PublicKey? {
    let identity = bundle.manifest.identity
    let publisher = String(bundle.manifest.name.prefix { $0 != "/" })
    guard let signature = bundle.signature else {
      try judgeUnsigned(identity, publisher, from: source, dialogue)
      return nil
    }
    if revoked.contains(where: { $0.id == signature.keyID }) { throw Trust.revoked(identity, signature.keyID) }
    let known = publishers[publisher]?.keys ?? []
    if let key = known.first(where: { $0.key.id == signature.keyID })?.key {
      try bundle.verifySignature(with: key)
      return key
    }
    let key = try firstKey(of: publisher, signature, identity, from: source)
    try bundle.verifySignature(with: key)
    try add(key, to: publisher, .firstUse)
    dialogue.note(
      "\(identity): the publisher \(publisher) is known by the key \(key.id) from now on, because this is its first bundle."
    )
    return key
  }

  /// The key that came with a signature, if it may be the first of this publisher.
  private func firstKey(
    of publisher: String, _ signature: Signature, _ identity: String, from source: BundleSource
  ) throws(RegistryError) -> PublicKey {
    let offered = signature.offeredKey
    let told =
      "If the publisher told you this key, add it: `codi trust add \(publisher) \(offered.map { "\($0)" } ?? "KEY")`"
    if let record = publishers[publisher], record.signs {
      let keys = record.keys.map { "\($0.key.id)" }.joined(separator: ", ")
      throw RegistryError(
        .untrusted, at: identity,
        "It is signed by the key \(signature.keyID), but \(publisher) is known by "
          + (keys.isEmpty ? "keys that were revoked." : "\(keys)."),
        remedy: "If a known key vouches for the new one: `codi trust rotate \(publisher) NEW.pub`. \(told).")
    }
    guard let offered, !source.isEmbedded else {
      throw RegistryError(
        .untrusted, at: identity, "It is signed by the key \(signature.keyID), which nobody here knows.",
        remedy: "\(told).")
    }
    return offered
  }

  private func judgeUnsigned(
    _ identity: String, _ publisher: String, from source: BundleSource, _ dialogue: TrustDialogue
  ) throws(RegistryError) {
    let signs = publishers[publisher]?.signs ?? false
    switch unsignedPolicy(publisher, signs, source) {
    case .warn: dialogue.note("\(identity) is not signed: nobody answers for it.")
    case .prompt:
      guard dialogue.acceptsUnsigned(identity, source) else {
        throw RegistryError(
          .unsigned, at: identity, "It is not signed, and nobody said that it may be installed all the same.",
          remedy: "If you know where it came from: `codi install … --accept-unsigned`.")
      }
    case .error:
      throw RegistryError(
        .unsigned, at: identity,
        "It is not signed, but "
          + (signs ? "\(publisher) signs its bundles." : "everything from \(source.location) must be."),
        remedy:
          "Get the signed bundle. If it is your own: `codi sign`, or `codi trust add \(publisher) --unsigned prompt`.")
    }
  }

  /// The user's word on the publisher, then on the registry; who signs must sign, and so must what came with the program.
  private func unsignedPolicy(_ publisher: String, _ signs: Bool, _ source: BundleSource) -> Unsigned {
    if let policy = publishers[publisher]?.unsigned { return policy }
    if signs || source.isEmbedded { return .error }
    return registries[source.location] ?? .prompt
  }
}
