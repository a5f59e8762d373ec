public import Bundles
internal import Foundation

/// What a publisher says about versions published already, signed, and replaced by the next one as time goes on.
public struct Statements: Codable, Hashable, Sendable {
  public struct Yank: Codable, Hashable, Sendable {
    /// `publisher/name@version`.
    public let bundle: String
    public let reason: String

    public init(bundle: String, reason: String) {
      self.bundle = bundle
      self.reason = reason
    }
  }

  public private(set) var format = 1
  public let publisher: String
  /// Rises with every change: of two statements the one with the higher number holds.
  public let number: Int
  /// The last day, `2027-01-31`, on which a registry elsewhere may still show these; nil for no such day.
  public let expires: String?
  /// Versions that must not be installed any more.
  public let yanked: [Yank]

  /// - Throws: `syntax` for an expiry that is no day, or a bundle of another publisher.
  public init(publisher: String, number: Int, expires: String? = nil, yanked: [Yank] = [])
    throws(RegistryError)
  {
    self.publisher = publisher
    self.number = number
    self.expires = expires
    self.yanked = yanked.sorted { $0.bundle < $1.bundle }
    try check()
  }

  fileprivate func check() throws(RegistryError) {
    func refuse(_ reason: String) -> RegistryError {
      RegistryError(
        .syntax, at: "statements of \(publisher)", reason,
        remedy: "Make them with `codi yank`, and a newer codi for newer ones.")
    }
    guard format == 1, number > 0 else {
      throw refuse("They have the format \(format) and the number \(number).")
    }
    if let expires, expires.wholeMatch(of: /[0-9]{4}-[0-9]{2}-[0-9]{2}/) == nil {
      throw refuse("They expire on \(expires.debugDescription), which is no day like 2027-01-31.")
    }
    for yank in yanked where !yank.bundle.hasPrefix("\(publisher)/") {
      throw refuse("They speak of \(yank.bundle), which is not \(publisher)'s.")
    }
  }

  /// The trusted comment of their signature: never that of a bundle or of a change of keys.
  var comment: String { "\(publisher) statements \(number)" }

  /// Today, as `expires` is written.
  static var today: String { Date.now.formatted(.iso8601.year().month().day()) }

  /// Statements as a registry shows them: believed once their signature is judged.
  public struct Signed: Sendable, Hashable {
    let data: Data
    let signature: Signature
    public let statements: Statements

    /// Lets `key` make these statements.
    public init(_ statements: Statements, by key: SecretKey) throws {
      data = try OCI.encode(statements)
      signature = try key.sign(data, trustedComment: statements.comment)
      self.statements = statements
    }

    init(_ data: Data, signature: Data, at path: String) throws {
      self.data = data
      self.signature = try Signature(parsing: signature, source: path)
      statements = try OCI.decode(Statements.self, data, at: path)
      try statements.check()
    }
  }
}

extension Trust {
  /// Takes note of a publisher's statements unless newer ones are known; an older one changes nothing.
  /// - Throws: `untrusted` or `BundleError` when no known key of the publisher made them.
  mutating func learn(_ signed: Statements.Signed) throws {
    let publisher = signed.statements.publisher
    let place = "statements of \(publisher)"
    if revoked.contains(where: { $0.id == signed.signature.keyID }) {
      throw Trust.revoked(place, signed.signature.keyID)
    }
    guard
      let key = publishers[publisher]?.keys.first(where: { $0.key.id == signed.signature.keyID })
    else {
      throw RegistryError(
        .untrusted, at: place,
        "They are signed by the key \(signed.signature.keyID), which is not known to be \(publisher)'s.",
        remedy: "If a known key vouches for it: `codi trust rotate \(publisher) NEW.pub`.")
    }
    try signed.signature.verify(signed.data, with: key.key, source: place)
    guard signed.signature.trustedComment == signed.statements.comment else {
      throw RegistryError(
        .untrusted, at: place,
        "What was signed is \(signed.signature.trustedComment.debugDescription).",
        remedy: "Tell the registry's owner.")
    }
    guard signed.statements.number > statements[publisher]?.statements.number ?? 0 else { return }
    statements[publisher] = KnownStatements(statements: signed.statements, signer: key.key)
  }

  /// Refuses a version that its publisher took back, and a registry elsewhere that shows nothing fresh.
  func checkStatements(
    _ bundle: String, from source: BundleSource, today: String = Statements.today
  ) throws(RegistryError) {
    guard let known = statements[String(bundle.prefix { $0 != "/" })]?.statements else { return }
    if let yank = known.yanked.first(where: { $0.bundle == bundle }) {
      throw RegistryError(
        .yanked, at: bundle, "Its publisher took it back: \(yank.reason)",
        remedy: "Install another version.")
    }
    if source.isRemote, let expires = known.expires, expires < today {
      throw RegistryError(
        .expired, at: bundle,
        "What \(source.location) shows of \(known.publisher) was good until \(expires) only.",
        remedy: "The registry may be held back: try again later, or another one (`--registry`).")
    }
  }

  /// Whether the publisher took back `publisher/name@version`.
  func isYanked(_ bundle: String) -> Bool {
    statements[String(bundle.prefix { $0 != "/" })]?.statements.yanked.contains {
      $0.bundle == bundle
    } ?? false
  }
}

extension Store {
  /// Takes note of what the publishers meant by `reference` say in `registry`, as far as their keys are known.
  ///
  /// Written down at once, so that what was read once cannot be withheld later.
  /// - Returns: whom this store's user trusts, afterwards.
  func learn(_ reference: Reference, from registry: BundleRegistry) throws -> Trust {
    let known = try trust()
    // Names alone are asked for; without a publisher, those of everybody who has such a bundle.
    let publishers =
      try reference.publisher.map { [$0] }
      ?? registry.versions(of: reference).map { String($0.name.prefix { $0 != "/" }) }
    var shown: [Statements.Signed] = []
    for publisher in Set(publishers).sorted() where known.publishers[publisher]?.signs == true {
      if let signed = try registry.statements(of: publisher) { shown.append(signed) }
    }
    var learnt = known
    for signed in shown { try learnt.learn(signed) }
    guard learnt != known else { return known }
    return try changeTrust { trust in
      for signed in shown { try trust.learn(signed) }
      return trust
    }
  }
}

extension BundleRegistry {
  /// What a publisher says in this registry; nil when nothing.
  public func statements(of publisher: String) throws -> Statements.Signed? {
    guard let data = try storage.statements(of: publisher) else { return nil }
    let path = "\(path), statements of \(publisher)"
    let image = try OCI.decode(OCI.Image.self, data, at: path)
    guard image.config.mediaType == OCI.statementsType, image.layers.count == 1,
      image.layers[0].mediaType == OCI.signatureType
    else {
      throw RegistryError(
        .corrupt, at: path, "The statements of \(publisher) have not exactly one signature.",
        remedy: "Publish them anew with `codi yank`.")
    }
    let stated = try storage.read(image.config.blob, in: publisher)
    let signature = try storage.read(image.layers[0].blob, in: publisher)
    let signed = try Statements.Signed(stated, signature: signature, at: path)
    guard signed.statements.publisher == publisher else {
      throw RegistryError(
        .corrupt, at: path,
        "The statements of \(publisher) are those of \(signed.statements.publisher).",
        remedy: "Tell the registry's owner.")
    }
    return signed
  }

  /// Shows a publisher's statements in this registry, in place of the older ones.
  /// - Throws: `conflict` unless their number is higher than the one shown.
  public func publish(_ signed: Statements.Signed) throws {
    let publisher = signed.statements.publisher
    let signature = Data(signed.signature.file.utf8)
    let blobs = [signed.data, signature].map { Artifact.Blob(digest: OCI.digest(of: $0), size: $0.count) }
    let image = OCI.Image(
      artifactType: OCI.statementsType,
      config: .init(mediaType: OCI.statementsType, digest: blobs[0].digest, size: blobs[0].size),
      layers: [.init(mediaType: OCI.signatureType, digest: blobs[1].digest, size: blobs[1].size)],
      annotations: [OCI.Annotation.title: publisher])
    let publication = Publication(
      tag: Tag(publisher, Tag.statements), type: OCI.statementsType, document: try OCI.encode(image),
      blobs: [(blobs[0], .data(signed.data)), (blobs[1], .data(signature))])
    try put(publication) { _ in
      if let shown = try statements(of: publisher)?.statements, shown.number >= signed.statements.number {
        throw RegistryError(
          .conflict, at: path,
          "It shows the statements \(shown.number) of \(publisher); these are \(signed.statements.number).",
          remedy: "Start from those that are shown.")
      }
    }
  }
}
