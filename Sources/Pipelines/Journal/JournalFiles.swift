internal import Bundles
internal import Foundation

/// The journals of one job: one file, and one beside it for each share while several processes work.
public struct JournalFiles: Sendable, Hashable {
  /// The job's own journal.
  public let main: String

  public init(main: String) { self.main = main }

  /// The journal of a folder for results.
  public init(folder: String) { main = PathText.join(folder, Journal.fileName) }

  /// `job.sqlite` for the whole, `job.2-of-4.sqlite` for a share.
  public func path(of share: Share) -> String {
    guard share.count > 1 else { return main }
    let (name, suffix) = (PathText.stem(of: main), PathText.suffix(of: main))
    let file = "\(name).\(share.index + 1)-of-\(share.count)" + (suffix.isEmpty ? "" : ".\(suffix)")
    return PathText.join(PathText.folder(of: main), file)
  }

  /// The shares' journals that exist.
  public func shares() -> [(share: Share, path: String)] {
    let folder = PathText.folder(of: main)
    let stem = PathText.stem(of: main) + "."
    let suffix = PathText.suffix(of: main).isEmpty ? "" : ".\(PathText.suffix(of: main))"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.isEmpty ? "." : folder)) ?? []
    return names.sorted().compactMap { name in
      guard name.hasPrefix(stem), name.hasSuffix(suffix), name.count > stem.count + suffix.count else { return nil }
      let parts = name.dropFirst(stem.count).dropLast(suffix.count).components(separatedBy: "-of-").compactMap {
        Int($0)
      }
      guard parts.count == 2, parts[0] >= 1, parts[0] <= parts[1] else { return nil }
      return (Share(index: parts[0] - 1, count: parts[1]), PathText.join(folder, name))
    }
  }

  /// Opens the journal for a share with everything known so far.
  ///
  /// The whole job takes the shares' journals in, and removes them; a share reads the whole's, and those of shares of
  /// another number, which stay.
  /// - Throws: `ConversionError`, `busy` while another process has one of them open.
  public func open(_ share: Share, for plan: JobPlan) throws(ConversionError) -> Journal {
    if share.count == 1 {
      let journal = try Journal(path: main)
      _ = try merge(into: journal)
      return journal
    }
    let journal = try Journal(path: path(of: share))
    var others = shares().filter { $0.share.count != share.count }.map(\.path)
    if FileManager.default.fileExists(atPath: main) { others.insert(main, at: 0) }
    // The other shares of this job begin at the same moment and read the same files.
    let outputs = plan.items.enumerated().filter { share.contains($0.offset) }.map { plan.key(of: $0.element) }
    for path in others {
      let other = try Journal(path: path, waiting: 120)
      defer { other.close() }
      try journal.absorb(other, outputs: outputs)
    }
    return journal
  }

  /// Takes all shares' journals into the main one, and removes them.
  /// - Returns: how many there were.
  public func merge(into journal: Journal) throws(ConversionError) -> Int {
    let files = shares()
    for (_, path) in files {
      let other = try Journal(path: path)
      try journal.absorb(other)
      other.close()
      for name in [path, "\(path)-wal"] { try? FileManager.default.removeItem(atPath: name) }
    }
    return files.count
  }

  /// What is known, in memory: for looking without making a file.
  public func snapshot() throws(ConversionError) -> Journal {
    let journal = try Journal()
    for path in [main] + shares().map(\.path) where FileManager.default.fileExists(atPath: path) {
      try Journal.look(at: path) { other throws(ConversionError) in try journal.absorb(other) }
    }
    return journal
  }
}
