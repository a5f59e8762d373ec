internal import Bundles
internal import Foundation

/// What `mirror` did with one bundle or statement.
public struct Mirrored: Sendable, Hashable {
  public enum Outcome: String, Sendable {
    case copied
    /// The target had the same bytes.
    case present
    /// Statements of which the target shows newer ones.
    case older
  }

  /// `publisher/name@version`, or `publisher statements`.
  public let name: String
  public let digest: String
  public let outcome: Outcome
}

extension BundleRegistry {
  /// Copies every bundle and every publisher's statements to `target`, byte for byte, so that all digests stay.
  ///
  /// Nothing is taken away there. What cannot be copied ends the work; doing it again goes on after what is there.
  /// - Parameters:
  ///   - isDryRun: only says what would be copied.
  ///   - each: told of every one when it is done.
  /// - Throws: `conflict` when the target has a version with other contents.
  public func mirror(to target: BundleRegistry, isDryRun: Bool = false, _ each: (Mirrored) -> Void) throws {
    for tag in try storage.tags(of: nil) {
      guard let found = try artifact(tag), let document = try storage.document(tag) else { continue }
      let outcome = try copy(document, tag, OCI.bundleManifestType, to: target, isDryRun, replace: nil)
      each(Mirrored(name: found.identity, digest: found.digest, outcome: outcome))
    }
    for publisher in try storage.publishers() {
      guard let signed = try statements(of: publisher), let document = try storage.statements(of: publisher) else {
        continue
      }
      var outcome = Mirrored.Outcome.older
      let shown = try target.statements(of: publisher)
      if shown == nil || shown == signed || shown.map({ $0.statements.number < signed.statements.number }) == true {
        outcome = try copy(
          document, Tag(publisher, Tag.statements), OCI.statementsType, to: target, isDryRun, replace: { _ in })
      }
      each(Mirrored(name: "\(publisher) statements", digest: OCI.digest(of: document), outcome: outcome))
    }
  }

  private func copy(
    _ document: Data, _ tag: Tag, _ type: String, to target: BundleRegistry, _ isDryRun: Bool,
    replace: ((Data) throws -> Void)?
  ) throws -> Mirrored.Outcome {
    if isDryRun {
      return try target.storage.document(Tag(tag.repository, tag.name), type) == document ? .present : .copied
    }
    let image = try OCI.decode(OCI.Image.self, document, at: tag.reference)
    let blobs = ([image.config] + image.layers).map { part -> (blob: Artifact.Blob, source: Publication.Source) in
      (part.blob, .fetched { [self] file in try storage.fetch(part.blob, in: tag.repository, to: file) })
    }
    let publication = Publication(tag: Tag(tag.repository, tag.name), type: type, document: document, blobs: blobs)
    return try target.put(publication, replace: replace) ? .copied : .present
  }
}
