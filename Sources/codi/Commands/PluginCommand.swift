import ArgumentParser
import Bundles
import Distillation
import Foundation
import Registry

struct PluginCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plugin", abstract: "Make a task plugin, or test one against every rule of the interface.",
    subcommands: [New.self, Validate.self])

  struct New: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write a folder with a plugin that builds and passes.",
      discussion: "Example: codi plugin new night-photos --language c && make -C night-photos check")

    @Argument(help: "The task's name in lower case, such as night-photos; also the folder's.") var name: String
    @Option(help: "swift or c.") var language = "swift"
    @OptionGroup var output: OutputOptions

    func run() throws {
      guard name.wholeMatch(of: /[a-z][a-z0-9]*(-[a-z0-9]+)*/) != nil, name.utf8.count <= 60 else {
        throw Exit.Failure(
          exit: .usage, description: "\(name): write a name of lower-case words and digits, such as night-photos.")
      }
      guard ["swift", "c"].contains(language) else {
        throw Exit.Failure(exit: .usage, description: "--language \(language) is unknown; use swift or c.")
      }
      let files = FileManager.default
      let folder = URL(filePath: name)
      guard !files.fileExists(atPath: folder.path) else {
        throw Exit.Failure(exit: .usage, description: "\(name): There is something of this name. Choose another one.")
      }
      let kit = try PluginKitFiles.find()
      try files.createDirectory(at: folder.appending(path: "kit"), withIntermediateDirectories: true)
      let library = name.split(separator: "-").map(\.capitalized).joined()
      for template in ["common", language] {
        let from = kit.templates.appending(path: template)
        for file in try files.contentsOfDirectory(atPath: from.path).sorted() {
          let text = try String(contentsOf: from.appending(path: file), encoding: .utf8)
            .replacingOccurrences(of: "@NAME@", with: name).replacingOccurrences(of: "@LIBRARY@", with: library)
          let target = folder.appending(path: file)
          try Data(text.utf8).write(to: target)
          if files.isExecutableFile(atPath: from.appending(path: file).path) {
            try files.setAttributes([.posixPermissions: 0o755], ofItemAtPath: target.path)
          }
        }
      }
      try files.copyItem(at: kit.header, to: folder.appending(path: "kit/codi_plugin.h"))
      if language == "swift" { try files.copyItem(at: kit.sources, to: folder.appending(path: "kit/PluginKit")) }
      output.report(
        ["event": "created", "folder": folder.path, "language": language],
        text: "wrote \(name)/; now: make -C \(name) check")
    }
  }

  struct Validate: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Run every rule of the plugin interface on a library, in isolated processes.",
      discussion: """
        A folder must hold manifest.yaml and one lib*.so; a bundle brings both. A library alone is taken for a task of
        one RGB input without parameters. --seed repeats the calls that were made by chance.
        """)

    @Argument(help: "A library, a plugin's folder, or a .codi file.") var what: String
    @Option(help: "Seed of the calls made by chance; printed when left out.") var seed: UInt64?
    @Option(help: "How many such calls.") var calls = 200
    @OptionGroup var output: OutputOptions

    func run() throws {
      let seed = self.seed ?? UInt64.random(in: 0...999_999)
      let subject = try PluginSubject(what)
      output.say("\(subject.file.path), --seed \(seed)")
      let findings = Conformance(subject.file, subject.profile, seed: seed, calls: calls).run { finding in
        output.emit(
          [
            "rule": finding.id, "outcome": finding.outcome.rawValue, "sentence": finding.sentence,
            "detail": finding.detail, "seed": seed,
          ],
          text: "\(finding.id) \(finding.outcome.rawValue)  \(finding.sentence)"
            + (finding.detail.isEmpty ? "" : "\n     \(finding.detail)"))
      }
      let failed = findings.filter { $0.outcome == .failed }.count
      output.say(failed == 0 ? "all rules hold" : "\(failed) of \(findings.count) rules are broken")
      if failed > 0 { throw Exit.Code(.someFailed) }
    }
  }
}

/// What is validated: a library and what its manifest says.
struct PluginSubject {
  let file: PluginFile
  let profile: Conformance.Profile

  init(_ what: String) throws {
    let files = FileManager.default
    var isFolder = ObjCBool(false)
    guard files.fileExists(atPath: what, isDirectory: &isFolder) else {
      throw Exit.Failure(exit: .notFound, description: "\(what): There is no such file. Name a library or a folder.")
    }
    if isFolder.boolValue {
      let manifest = try TaskManifest(at: URL(filePath: what).appending(path: BundleEntry.manifest))
      let libraries = try files.contentsOfDirectory(atPath: what).filter { $0.hasSuffix(".so") }
      guard libraries.count == 1 else {
        throw Exit.Failure(
          exit: .notFound,
          description: "\(what): It holds \(libraries.count) libraries instead of one. Build it first: make -C \(what)")
      }
      file = try PluginFile(path: URL(filePath: what).appending(path: libraries[0]).path)
      profile = Conformance.Profile(
        task: manifest.task, condition: manifest.condition, geometry: manifest.geometry,
        parameters: manifest.parameters ?? [])
    } else if what.hasSuffix(".codi") {
      let reader = try BundleReader(path: what)
      let folder = files.temporaryDirectory.appending(path: "codi-\(UUID().uuidString)")
      defer { try? files.removeItem(at: folder) }
      let bundle = try reader.extract(to: folder)
      guard let condition = bundle.manifest.condition, let geometry = bundle.manifest.geometry else {
        throw Exit.Failure(exit: .badInput, description: "\(what): A core has no plugin. Name an adapter.")
      }
      file = try PluginFile(path: try bundle.library().path)
      profile = Conformance.Profile(
        task: bundle.manifest.task, condition: condition, geometry: geometry, parameters: bundle.manifest.parameters)
    } else {
      file = try PluginFile(path: URL(filePath: what).path)
      profile = Conformance.Profile()
    }
  }
}
