internal import Bundles
internal import Foundation

extension JournalFiles {
  /// Leaves out what was come upon in a folder or by a pattern and is a result of this folder's earlier runs, so that
  /// results may lie beside their inputs. What the user named stays.
  ///
  /// - Parameter folder: the folder for results.
  /// - Throws: `ConversionError` when a journal cannot be read, and `noInput` when nothing else is there.
  public func withoutResults(_ inputs: [InputItem], in folder: String) throws(ConversionError) -> [InputItem] {
    guard ([main] + shares().map(\.path)).contains(where: { FileManager.default.fileExists(atPath: $0) }),
      let root = realPath(folder)
    else { return inputs }
    let results = Set(
      try snapshot().all().filter { $0.result != nil }
        .map { $0.output.utf8.first == UInt8(ascii: "/") ? $0.output : PathText.join(root, $0.output) })
    var folders: [String: String?] = [:]
    let others = inputs.filter { input in
      guard input.isFound else { return true }
      let folder = PathText.folder(of: input.path)
      let real = folders[folder] ?? realPath(folder)
      folders[folder] = real
      return real.map { !results.contains(PathText.join($0, PathText.name(of: input.path))) } ?? true
    }
    guard others.isEmpty, !inputs.isEmpty else { return others }
    throw ConversionError(
      .noInput, at: folder, "All pictures found are results of earlier runs.",
      remedy: "Name one to convert it again, or another folder for results.")
  }
}
