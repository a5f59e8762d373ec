import Foundation

/// What plugins are made from: the header, PluginKit, and the templates of `codi plugin new`.
struct PluginKitFiles {
  let header: URL
  let sources: URL
  let templates: URL

  /// The installed ones (`PREFIX/share/codi/plugin-kit`), else those of the checkout the program was built in.
  static func find() throws -> PluginKitFiles {
    let shared = Locations.executableFolder.deletingLastPathComponent().appending(path: "share/codi/plugin-kit")
    var candidates = [
      PluginKitFiles(
        header: shared.appending(path: "codi_plugin.h"), sources: shared.appending(path: "PluginKit"),
        templates: shared.appending(path: "Template"))
    ]
    var folder = Locations.executableFolder
    while folder.path != "/" {
      candidates.append(
        PluginKitFiles(
          header: folder.appending(path: "Sources/CPluginABI/include/codi_plugin.h"),
          sources: folder.appending(path: "Sources/PluginKit"), templates: folder.appending(path: "Plugins/Template")))
      folder = folder.deletingLastPathComponent()
    }
    let found = candidates.first { kit in
      [kit.header, kit.sources, kit.templates].allSatisfy { FileManager.default.fileExists(atPath: $0.path) }
    }
    guard let found else {
      throw Exit.Failure(
        exit: .notFound,
        description: "The plugin kit is missing (looked for \(shared.path)). Reinstall with make install.")
    }
    return found
  }
}
