public import Bundles
public import Foundation

/// The installed bundles of this machine's user, unpacked: `$CODI_HOME`, else the XDG data folder `codi`.
///
/// - `index.json`: what is installed, replaced by renaming, read without a lock.
/// - `trust.json`: whom the user trusts, likewise.
/// - `generations/<number>.json`: the indices before it, for `rollback`; `collectGarbage` forgets them.
/// - `bundles/sha256-<digest of the zip>/`: the unpacked files.
/// - `staging/`: installs under way; what a crash leaves there goes with the next install.
/// - `downloads/`: beginnings of bundles whose download was interrupted; the next install goes on with them.
///
/// Changes hold a lock on the store's folder, so processes wait for each other.
public struct Store: Sendable {
  public let home: String
  /// The version of this program, which bundles may demand.
  public let program: SemanticVersion

  var indexFile: String { "\(home)/index.json" }
  var bundles: String { "\(home)/bundles" }
  var staging: String { "\(home)/staging" }
  var downloads: String { "\(home)/downloads" }

  /// - Parameter home: the store's folder; made when something is installed.
  public init(home: String = Store.defaultHome(), program: SemanticVersion) {
    self.home = home
    self.program = program
  }

  /// `$CODI_HOME`, else `$XDG_DATA_HOME/codi`, else `~/.local/share/codi`.
  public static func defaultHome(_ environment: [String: String] = ProcessInfo.processInfo.environment) -> String {
    if let home = environment["CODI_HOME"], !home.isEmpty { return home }
    // The XDG specification ignores relative paths.
    if let data = environment["XDG_DATA_HOME"], data.hasPrefix("/") { return "\(data)/codi" }
    return "\(environment["HOME"] ?? NSHomeDirectory())/.local/share/codi"
  }

  /// Everything installed, by name and version.
  public func list() throws(RegistryError) -> [Installed] { try StoreIndex.read(indexFile).bundles }

  /// The newest installed bundle that `reference` admits; a short name will do when only one publisher has it.
  public func resolve(_ reference: Reference) throws(RegistryError) -> Installed {
    try reference.pick(from: list(), at: home, remedy: "Install it with `codi install \(reference)`.") {
      ($0.name, $0.version)
    }
  }

  /// The unpacked files of an installed bundle.
  public func open(_ installed: Installed) throws(BundleError) -> InstalledBundle {
    try InstalledBundle(directory: URL(filePath: directory(installed)))
  }

  /// The installed core of an adapter; a core's own bundle for a core.
  public func core(of installed: Installed) throws(RegistryError) -> Installed {
    let cores = try list().filter { $0.kind == .core && $0.coreDigest == installed.coreDigest }
    guard let core = cores.max(by: { $0.version < $1.version }) else {
      throw RegistryError(
        .core, at: home, "The core \(installed.coreDigest) of \(installed.name)@\(installed.version) is not installed.",
        remedy: "Install the adapter again: `codi install \(installed.name)@\(installed.version)`.")
    }
    return core
  }

  /// Removes one bundle; its files stay for `rollback` until `collectGarbage`.
  /// - Throws: `notFound`, `ambiguous`, or `inUse` for a core that an installed adapter needs.
  @discardableResult
  public func remove(_ reference: Reference) throws -> Installed {
    // Without a store there is no folder to lock, and nothing to find.
    guard !Disk.isMissing(indexFile) else { return try resolve(reference) }
    return try Disk.withLock(on: home) {
      var index = try StoreIndex.read(indexFile)
      let removed = try resolve(reference)
      index.bundles.removeAll { $0 == removed }
      let provided = index.bundles.contains { $0.kind == .core && $0.coreDigest == removed.coreDigest }
      let users = index.bundles.filter { $0.kind == .adapter && $0.coreDigest == removed.coreDigest }
      if removed.kind == .core, !provided, let first = users.first {
        throw RegistryError(
          .inUse, at: "\(removed.name)@\(removed.version)",
          "Installed adapters need this core: \(users.map { "\($0.name)@\($0.version)" }.joined(separator: ", ")).",
          remedy: "Remove them first: `codi remove \(first.name)@\(first.version)`.")
      }
      try advance(from: StoreIndex.read(indexFile), to: index)
      return removed
    }
  }

  func directory(_ installed: Installed) -> String { "\(bundles)/\(installed.folder)" }
}
