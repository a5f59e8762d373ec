public import Bundles
internal import Foundation

extension Store {
  /// A newer version of something installed.
  public struct Update: Sendable, Hashable {
    public let installed: Installed
    public let offered: Artifact
  }

  /// What `registry` has newer: of every installed adapter, or of what `references` name, cores too.
  public func updates(_ references: [Reference] = [], from registry: BundleRegistry) throws -> [Update] {
    var installed: [String: Installed] = [:]
    for bundle in try list() where references.isEmpty ? bundle.kind == .adapter : true {
      if let known = installed[bundle.name], known.version > bundle.version { continue }
      installed[bundle.name] = bundle
    }
    // A name that is not installed is an error, not an empty answer.
    for reference in references { _ = try resolve(Reference(reference.fullName)) }
    var trust = try trust()
    for name in installed.keys.sorted() { trust = try learn(Reference(name), from: registry) }
    let yanked = trust
    var updates: [Update] = []
    for (name, present) in installed.sorted(by: { $0.key < $1.key }) {
      let wanted = references.filter { $0.names(name) }
      if !references.isEmpty, wanted.isEmpty { continue }
      let versions = try registry.versions(of: Reference(name)).filter { _, version, _ in
        version > present.version && !yanked.isYanked("\(name)@\(version)")
          && (wanted.isEmpty
            ? VersionRequirement.any.admits(version) : wanted.contains { $0.requirement.admits(version) })
      }
      guard let newest = versions.max(by: { $0.version < $1.version }), let offered = try registry.artifact(newest.tag)
      else { continue }
      updates.append(Update(installed: present, offered: offered))
    }
    return updates
  }

  /// Installs the newer version in place of the older one, in one step; `rollback` brings the older one back.
  @discardableResult
  public func update(
    _ update: Update, from registry: BundleRegistry, dialogue: TrustDialogue = .silent, proof: Proof = { _, _ in }
  ) throws -> Installed {
    try transaction(dialogue) { transaction in
      let added = try transaction.add(update.offered, from: registry, proof)
      transaction.drop(update.installed)
      return added
    }
  }

  /// Looks at an installed bundle again: every file's digest, the signature and its signer, then the proof.
  /// - Throws: `BundleError` for changed files, `revoked` or `untrusted` when the signer is not trusted any more, or
  ///   what `proof` throws.
  public func verify(_ installed: Installed, proof: Proof = { _, _ in }) throws {
    let bundle = try open(installed)
    try bundle.verify()
    if let signer = installed.signer {
      let trust = try trust()
      let identity = bundle.manifest.identity
      if trust.revoked.contains(signer) { throw Trust.revoked(identity, signer.id) }
      let publisher = String(installed.name.prefix { $0 != "/" })
      guard trust.publishers[publisher]?.keys.contains(where: { $0.key == signer }) == true else {
        throw RegistryError(
          .untrusted, at: identity, "Its signer, the key \(signer.id), is not one of \(publisher)'s.",
          remedy: "Remove it, or add the key: `codi trust add \(publisher) \(signer)`.")
      }
      try bundle.verifySignature(with: signer)
    }
    try proof(bundle, installed.kind == .adapter ? open(core(of: installed)) : nil)
  }
}
