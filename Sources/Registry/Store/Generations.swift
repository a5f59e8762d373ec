internal import Bundles
internal import Foundation

/// The store's earlier states, and what only they need.
extension Store {
  private var generations: String { "\(home)/generations" }

  private func file(_ generation: Int) -> String { "\(generations)/\(generation).json" }

  /// The generations that are kept beside the present one, oldest first.
  private func kept() -> [Int] {
    Disk.contents(generations).filter { $0.hasSuffix(".json") }.compactMap { Int($0.dropLast(5)) }.sorted()
  }

  /// Keeps `old`, then makes `new` the present index under the next number.
  func advance(from old: StoreIndex, to new: StoreIndex) throws(RegistryError) {
    try keep(old)
    var new = new
    new.generation = max(old.number, kept().last ?? 0) + 1
    new.previous = old.number
    try new.write(indexFile)
  }

  private func keep(_ index: StoreIndex) throws(RegistryError) {
    try Disk.makeDirectory(generations)
    if !Disk.exists(file(index.number)) { try index.write(file(index.number)) }
  }

  /// Goes back to the state before the last change, or to a generation that is still kept.
  ///
  /// Going back is a change of the index alone, and can be undone by going to the generation left.
  /// - Returns: what is installed now, and the generation that was left.
  /// - Throws: `notFound` when nothing is kept, `revoked` when a bundle's signer was revoked since.
  @discardableResult
  public func rollback(to generation: Int? = nil) throws -> (installed: [Installed], left: Int) {
    guard !Disk.isMissing(indexFile) else { throw nothing(generation) }
    return try Disk.withLock(on: home) {
      let present = try StoreIndex.read(indexFile)
      guard let target = generation ?? present.previous, target != present.number, Disk.exists(file(target)) else {
        throw nothing(generation)
      }
      let index = try StoreIndex.read(file(target))
      let trust = try trust()
      for bundle in index.bundles {
        if let signer = bundle.signer, trust.revoked.contains(signer) {
          throw Trust.revoked("\(bundle.name)@\(bundle.version)", signer.id)
        }
        guard isThere(bundle) else {
          throw RegistryError(
            .notFound, at: "\(bundle.name)@\(bundle.version)", "Its files are gone from \(bundles).",
            remedy: "Install it again: `codi install \(bundle.name)@\(bundle.version)`.")
        }
      }
      try keep(present)
      try index.write(indexFile)
      return (index.bundles, present.number)
    }
  }

  private func nothing(_ generation: Int?) -> RegistryError {
    let known = kept().map(String.init).joined(separator: ", ")
    return RegistryError(
      .notFound, at: home,
      "There is no \(generation.map { "generation \($0)" } ?? "earlier generation") to go to; "
        + (known.isEmpty ? "none is kept." : "kept are \(known)."),
      remedy: "`codi list` shows what is installed.")
  }

  /// Removes what an interrupted install left: staged files, and bundles that neither index nor generations name.
  /// - Returns: `index` with what is really there.
  func sweep(_ index: StoreIndex) throws(RegistryError) -> StoreIndex {
    Disk.remove(staging)
    for folder in try unused(index, kept()) { Disk.remove("\(bundles)/\(folder)") }
    for name in Disk.contents(home) + Disk.contents(generations).map({ "generations/\($0)" }) {
      if name.hasSuffix(".tmp") { Disk.remove("\(home)/\(name)") }
    }
    var index = index
    index.bundles.removeAll { !isThere($0) }
    return index
  }

  /// The bundles' folders that no index needs.
  private func unused(_ index: StoreIndex, _ generations: [Int]) throws(RegistryError) -> [String] {
    var known = Set(index.bundles.map(\.folder))
    for number in generations { known.formUnion(try StoreIndex.read(file(number)).bundles.map(\.folder)) }
    return Disk.contents(bundles).filter { !known.contains($0) }
  }

  private func isThere(_ bundle: Installed) -> Bool { Disk.exists("\(directory(bundle))/\(BundleEntry.manifest)") }

  /// Forgets all generations but the present one and the `keeping` before it, and removes the files only they needed.
  /// - Returns: the generations and the bundles' folders that went, or would go in a dry run, and their size in bytes.
  @discardableResult
  public func collectGarbage(
    keeping: Int = 0, dryRun: Bool = false
  ) throws -> (generations: [Int], folders: [String], bytes: Int) {
    guard !Disk.isMissing(indexFile) else { return ([], [], 0) }
    return try Disk.withLock(on: home) {
      let index = try StoreIndex.read(indexFile)
      var wanted: [Int] = []
      var next = index.previous
      while let number = next, wanted.count < keeping, Disk.exists(file(number)), !wanted.contains(number) {
        wanted.append(number)
        next = try StoreIndex.read(file(number)).previous
      }
      let gone = kept().filter { !wanted.contains($0) }
      let folders = try unused(index, wanted)
      let bytes = folders.reduce(0) { $0 + size("\(bundles)/\($1)") }
      if !dryRun {
        for number in gone { Disk.remove(file(number)) }
        Disk.remove(downloads)
        _ = try sweep(index)
      }
      return (gone, folders, bytes)
    }
  }

  private func size(_ folder: String) -> Int {
    let files = (try? FileManager.default.subpathsOfDirectory(atPath: folder)) ?? []
    return files.reduce(0) { sum, name in
      let status = FileSystem.status("\(folder)/\(name)")
      return sum + (status?.kind == .file ? status?.size ?? 0 : 0)
    }
  }
}
