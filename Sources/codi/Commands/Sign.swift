import ArgumentParser
import Bundles

struct Sign: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Sign a bundle, replacing a signature that it has. Its other files stay as they are.",
    discussion: "Equal bundles and keys give equal files. Example: codi sign sr.codi --key acme")

  @Argument(help: "The .codi file.") var bundle: [String]
  @Option(help: "Your secret key: a name that codi keys list shows, or a .key file.") var key: String
  @OptionGroup var output: OutputOptions

  func run() throws {
    let key = try KeyFiles.secret(key)
    for path in bundle {
      let manifest = try BundleWriter.sign(path, with: key)
      output.emit(
        [
          "event": "signed", "name": manifest.name, "version": "\(manifest.version)", "id": "\(key.publicKey.id)",
          "path": path,
        ],
        text: "signed \(manifest.identity) with \(key.publicKey.id): \(path)")
    }
  }
}
