import Adapters
import ArgumentParser
import Bundles
import Foundation
import Registry
import Tensor

struct Verify: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check installed bundles, or .codi files: every file's digest, the signature, and the proof.",
    discussion:
      "A .codi file is checked without running anything of it. Without names, all that is installed is checked.")

  @Argument(help: "NAME[@VERSION], or the path of a .codi file.") var what: [String] = []
  @Flag(help: "Do not run the proof.") var noProof = false
  @Option(help: "The public key that a .codi file must be signed with: 56 characters, or a .pub file.") var key: String?
  @OptionGroup var output: OutputOptions

  func run() async throws {
    let store = Locations.store
    let files = what.filter { $0.hasSuffix(".codi") }
    for file in files { try verify(file: file) }
    let installed =
      what.isEmpty
      ? try store.list() : try what.filter { !$0.hasSuffix(".codi") }.map { try store.resolve(try Reference($0)) }
    var failed = false
    let noProof = noProof
    for bundle in installed {
      let name = "\(bundle.name)@\(bundle.version)"
      do {
        try await Compute.run { () throws in
          if noProof { try store.verify(bundle) } else { try store.verify(bundle, proof: Proof.check) }
        }
        output.emit(
          ["event": "verified", "name": name, "signer": bundle.signer.map { "\($0.id)" }],
          text: "\(name) is sound, " + (bundle.signer.map { "signed by \($0.id)" } ?? "not signed"))
      } catch {
        failed = true
        StandardStreams.say("codi: \("\(error)".printable(lines: true))\n")
        if output.json {
          output.printLine(OutputOptions.line(["event": "failed", "name": name, "reason": "\(error)"]))
        }
      }
    }
    if failed { throw Exit.Code(.someFailed) }
  }

  private func verify(file: String) throws {
    let reader = try BundleReader(path: file)
    try reader.verify()
    let publisher = String(reader.manifest.name.prefix { $0 != "/" })
    let known = try Locations.store.trust().publishers[publisher]?.keys.map(\.key) ?? []
    let signer = try key.map(KeyFiles.shown) ?? known.first { $0.id == reader.signature?.keyID }
    if let signer { try reader.verifySignature(with: signer) }
    let word =
      signer.map { "signed by \($0.id)" }
      ?? reader.signature.map { "signed by \($0.keyID), which is not known to be \(publisher)'s" } ?? "not signed"
    output.emit(
      ["event": "verified", "name": reader.manifest.identity, "signer": signer.map { "\($0.id)" }],
      text: "\(reader.manifest.identity) is sound, \(word)")
  }
}
