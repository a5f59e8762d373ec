import ArgumentParser
import Bundles
import Foundation
import Registry

struct Keys: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make and show the keys that you sign bundles with (minisign's format).",
    subcommands: [New.self, List.self, Show.self, Rotate.self])

  struct New: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a key pair: NAME.key, which is secret, and NAME.pub, which you give to everybody.")

    @Argument(help: "A name, or the path of the .key file to write.") var name: String
    @Flag(help: "Do not encrypt the secret key: whoever reads the file can sign for you.") var noPassword = false
    @OptionGroup var output: OutputOptions

    func run() throws {
      var password: String?
      if !noPassword {
        let first = try KeyFiles.password("Password for the new key: ")
        guard try KeyFiles.password("The same again: ") == first, !first.isEmpty else {
          throw Exit.Failure(
            exit: .usage, description: "The passwords differ or are empty. Try again, or use --no-password.")
        }
        password = first
      }
      let key = try SecretKey.generate()
      try KeyFiles.write(key, name: name, password: password)
      output.emit(
        ["event": "key", "id": "\(key.publicKey.id)", "key": "\(key.publicKey)", "path": KeyFiles.path(name, "key")],
        text: "wrote \(KeyFiles.path(name, "key")); others need: codi trust add PUBLISHER \(key.publicKey)")
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List your own keys.")

    @OptionGroup var output: OutputOptions

    func run() throws {
      let keys = try KeyFiles.list()
      for (name, key) in keys {
        output.emit(["name": name, "id": "\(key.id)", "key": "\(key)"], text: "\(name)  \(key.id)  \(key)")
      }
      if keys.isEmpty && !output.json && !output.quiet { output.printLine("no keys; make one with codi keys new NAME") }
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print a public key as the .pub file has it.")

    @Argument(help: "A name, or the path of a .pub file.") var key: String
    @OptionGroup var output: OutputOptions

    func run() throws {
      let key = try KeyFiles.shown(key)
      output.emit(
        ["id": "\(key.id)", "key": "\(key)"], text: key.file.trimmingCharacters(in: .newlines))
    }
  }

  struct Rotate: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Let your old key vouch for your new one: writes OUT and OUT.minisig for codi trust rotate.")

    @Argument(help: "The publisher, the part before the \"/\" of your bundles' names.") var publisher: String
    @Option(help: "The old secret key: a name or a .key file.") var from: String
    @Option(help: "The new public key: a name or a .pub file.") var to: String
    @Option(help: "The .pub file to write.") var out: String
    @OptionGroup var output: OutputOptions

    func run() throws {
      let old = try KeyFiles.secret(from)
      let new = try KeyFiles.shown(to)
      guard new != old.publicKey else {
        throw Exit.Failure(
          exit: .usage,
          description:
            "--from and --to are the same key \(new.id). Make the next one with codi keys new, and name it in --to.")
      }
      let (file, signature) = try KeyRotation.sign(new, of: publisher, by: old)
      try file.write(to: URL(filePath: out), options: .atomic)
      try Data(signature.file.utf8).write(to: URL(filePath: out + ".minisig"), options: .atomic)
      output.emit(
        ["event": "rotation", "publisher": publisher, "from": "\(old.publicKey.id)", "to": "\(new.id)", "path": out],
        text: "wrote \(out) and \(out).minisig; others need: codi trust rotate \(publisher) \(out)")
    }
  }
}
