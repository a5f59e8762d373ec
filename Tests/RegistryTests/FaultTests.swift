import AttackReport
import Bundles
import Foundation
import Glibc
import Registry
import Testing

/// Every change to the store, with a fault at every one of its file operations: the state is then the old or the new
/// one, whole, and the same change succeeds afterwards.
@Suite("Faults") struct FaultTests {
  enum Change: String, CaseIterable {
    case firstInstall, update, remove, rollback
  }

  private let folder: TemporaryFolder
  private let registry: BundleRegistry
  private let adapter: String

  init() throws {
    folder = try TemporaryFolder()
    registry = try BundleRegistry(path: folder.path + "/registry", create: true)
    let core = try TestBundles.core(folder)
    adapter = try TestBundles.adapter(folder, for: core, version: SemanticVersion(1, 1, 0))
    try registry.publish(core)
    try registry.publish(TestBundles.adapter(folder, for: core))
    try registry.publish(adapter)
  }

  /// A store at `name` as it is before `change`.
  private func store(_ name: String, before change: Change) throws -> Store {
    let store = try Store.testing("\(folder.path)/\(name)")
    if change == .firstInstall { return store }
    try store.install(Reference("toy@1.0.0"), from: registry)
    if change == .rollback { try store.install(Reference("toy@1.1.0"), from: registry) }
    return store
  }

  private func perform(_ change: Change, on store: Store) throws {
    switch change {
    case .firstInstall: try store.install(Reference("toy"), from: registry)
    case .update:
      if let update = try store.updates(from: registry).first { try store.update(update, from: registry) }
    case .remove: try store.remove(Reference("toy"))
    case .rollback: try store.rollback()
    }
  }

  private struct Trial {
    let store: Store
    let old: [Installed]
    let new: [Installed]
    /// Of the undisturbed change.
    let log: [FileFaults.Operation]
  }

  /// The store before, what is installed before and after, and the operations between, seen in a copy.
  private func trial(_ change: Change) throws -> Trial {
    let before = try store("before", before: change)
    let copy = try copied(before, "undisturbed")
    let faults = FileFaults(.none)
    try FileSystem.$faults.withValue(faults) { try perform(change, on: copy) }
    let trial = Trial(store: before, old: try before.list(), new: try copy.list(), log: faults.log)
    #expect(trial.old != trial.new && faults.count == faults.log.count && faults.count > 3)
    return trial
  }

  private func copied(_ store: Store, _ name: String) throws -> Store {
    let home = "\(folder.path)/\(name)"
    try? FileManager.default.removeItem(atPath: home)
    try FileManager.default.copyItem(atPath: store.home, toPath: home)
    return Store(home: home, program: store.program)
  }

  /// Whether the store is in its new state; anything but old or new, and whole, is an issue.
  @discardableResult
  private func isNew(_ store: Store, _ trial: Trial, _ comment: Comment) throws -> Bool {
    let list = try store.list()
    #expect(list == trial.old || list == trial.new, comment)
    for bundle in list { #expect(throws: Never.self, comment) { try store.verify(bundle) } }
    return list == trial.new
  }

  @Test("killed, failing, or out of space at any operation: old or new, never half", arguments: Change.allCases)
  func faults(_ change: Change) throws {
    let trial = try trial(change)
    var injected = 0
    for kind in [FileFaults.Kind.death, .error(EIO), .error(ENOSPC), .fullDisk] {
      for place in trial.log.indices {
        let comment: Comment = "\(change), \(kind) at \(place): \(trial.log[place])"
        let store = try copied(trial.store, "disturbed")
        let faults = FileFaults(kind, at: place)
        let result = Result { try FileSystem.$faults.withValue(faults) { try perform(change, on: store) } }
        injected += faults.struck ? 1 : 0
        let isNew = try isNew(store, trial, comment)
        if case .success = result { #expect(isNew, comment) }
        // The next one cleans up and succeeds.
        try FileSystem.$faults.withValue(FileFaults(.none)) {
          if !isNew { try perform(change, on: store) }
          #expect(try self.isNew(store, trial, comment), comment)
          try store.install(file: adapter, coresFrom: registry)
          try store.collectGarbage()
        }
        #expect(
          Set(Disk.names(store.home)).isSubset(of: ["bundles", "generations", "index.json", "trust.json"]), comment)
        #expect(Disk.names(store.home + "/bundles").count == (try store.list().count), comment)
      }
    }
    print("\(change): \(injected) faults at \(trial.log.count) operations")
    AttackReport.record(
      .faults, "\(change): killed, EIO, ENOSPC, full disk at each of \(trial.log.count) operations", count: injected,
      outcome: "old or new state, verified; the next install succeeds")
    #expect(injected > 3 * trial.log.count)
  }

  @Test("writes that take only a part of the bytes are continued", arguments: Change.allCases)
  func shortWrites(_ change: Change) throws {
    let trial = try trial(change)
    var struck = 0
    for place in trial.log.indices {
      let store = try copied(trial.store, "short")
      let faults = FileFaults(.shortWrite, at: place)
      try FileSystem.$faults.withValue(faults) { try perform(change, on: store) }
      struck += faults.struck ? 1 : 0
      #expect(try isNew(store, trial, "\(change) at \(place)"))
    }
    AttackReport.record(.faults, "\(change): short write", count: struck, outcome: "continued: new state, verified")
    #expect(struck > 0)
  }

  @Test(
    "power lost after any operation: old or new, whatever was not synced; new once it was reported",
    arguments: Change.allCases)
  func powerLoss(_ change: Change) throws {
    let trial = try trial(change)
    let home = "\(folder.path)/undisturbed"
    var states = 0
    for survivors in PowerLoss.Survivors.allCases {
      for count in 0...trial.log.count {
        let store = try copied(trial.store, "replayed")
        try PowerLoss.replay(trial.log.prefix(count), of: home, in: store.home, survivors)
        let comment: Comment =
          "\(change), \(survivors) of \(count): \(trial.log.prefix(count).last.map { "\($0)" } ?? "")"
        let isNew = try isNew(store, trial, comment)
        if count == trial.log.count { #expect(isNew, comment) }
        if !isNew { try FileSystem.$faults.withValue(FileFaults(.none)) { try perform(change, on: store) } }
        #expect(try self.isNew(store, trial, comment))
        states += 1
      }
    }
    print("\(change): \(states) disks after a power cut")
    AttackReport.record(
      .faults, "\(change): power lost, unsynced operations dropped or reordered", count: states,
      outcome: "old or new state, verified; new once it was reported")
  }

  @Test("the replay finds half states where the syncs are left out")
  func replayFinds() throws {
    let trial = try trial(.firstInstall)
    let unsynced = trial.log.filter { if case .sync = $0 { false } else { true } }
    var half = 0
    for count in 0...unsynced.count {
      let store = try copied(trial.store, "replayed")
      try PowerLoss.replay(unsynced.prefix(count), of: "\(folder.path)/undisturbed", in: store.home, .names)
      let isWhole = (try? store.list().allSatisfy { (try? store.verify($0)) != nil }) ?? false
      half += isWhole ? 0 : 1
    }
    #expect(half > 0)
  }

  @Test("what gets its name by renaming was synced before, and its folder is synced after", arguments: Change.allCases)
  func order(_ change: Change) throws {
    let log = try trial(change).log
    for (place, operation) in log.enumerated() {
      guard case .rename(let source, let target) = operation, !target.contains("/staging/") else { continue }
      let parent = (target as NSString).deletingLastPathComponent
      #expect(log[place...].contains(.sync(parent)), "\(operation)")
      // Everything that was written below the source.
      for (index, write) in log[..<place].enumerated() {
        guard case .write(let path, _) = write, path == source || path.hasPrefix(source + "/") else { continue }
        #expect(log[index..<place].contains(.sync(path)), "\(path)")
      }
    }
  }
}

/// The disk after a power cut, from the operations that were made before.
enum PowerLoss {
  enum Survivors: String, CaseIterable {
    /// Only what was synced.
    case durable
    /// What was synced, and the last change of a name, out of order.
    case durableAndLast
    /// All names, but of the contents only what was synced.
    case names
    /// Everything, as when only the process dies.
    case all
  }

  /// Repeats in `target` the part of `log`, made in `home`, that survives.
  static func replay(
    _ log: some RandomAccessCollection<FileFaults.Operation>, of home: String, in target: String, _ survivors: Survivors
  ) throws {
    let log = Array(log)
    func place(_ path: String) -> String {
      path.hasPrefix(home) ? target + path.dropFirst(home.count) : path
    }
    func parent(_ path: String) -> String { (path as NSString).deletingLastPathComponent }
    func isSynced(_ path: String, after index: Int) -> Bool { log[index...].contains(.sync(path)) }
    let lastName = log.lastIndex {
      switch $0 {
      case .create, .rename, .makeDirectory, .remove: true
      case .write, .sync: false
      }
    }
    func survives(_ index: Int, name path: String) -> Bool {
      switch survivors {
      case .names, .all: true
      case .durable: isSynced(parent(path), after: index)
      case .durableAndLast: isSynced(parent(path), after: index) || index == lastName
      }
    }
    for (index, operation) in log.enumerated() {
      switch operation {
      case .sync: break
      case .create(let path):
        guard survives(index, name: path) else { continue }
        let file = open(place(path), O_WRONLY | O_CREAT | O_EXCL, 0o644)
        if file >= 0 { close(file) }
      case .makeDirectory(let path):
        if survives(index, name: path) { mkdir(place(path), 0o755) }
      case .write(let path, let data):
        guard survivors == .all || isSynced(path, after: index), access(place(path), F_OK) == 0 else { continue }
        let file = try FileHandle(forWritingTo: URL(filePath: place(path)))
        try file.seekToEnd()
        try file.write(contentsOf: data)
        try file.close()
      case .remove(let path):
        if survives(index, name: path) { Glibc.remove(place(path)) }
      case .rename(let source, let path):
        guard survives(index, name: path) else { continue }
        if access(place(source), F_OK) == 0 {
          Glibc.rename(place(source), place(path))
        } else if log[..<index].contains(.create(source)) {
          // The old name was lost and the new one was not: what was synced of the file is there under the new one.
          let bytes = log[..<index].enumerated().reduce(into: Data()) { bytes, element in
            guard case .write(source, let data) = element.element, isSynced(source, after: element.offset) else {
              return
            }
            bytes += data
          }
          if access(place(parent(path)), F_OK) == 0 { try bytes.write(to: URL(filePath: place(path))) }
        }
      }
    }
  }
}

/// Names in a folder.
private enum Disk {
  static func names(_ path: String) -> [String] { (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] }
}
