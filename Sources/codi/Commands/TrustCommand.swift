import ArgumentParser
import Bundles
import Foundation
import Registry

struct TrustCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trust",
    abstract: "Say whose bundles may be installed: publishers are known by their keys.",
    discussion: "There is no switch that turns this off; exceptions are made for one publisher or registry at a time.",
    subcommands: [List.self, Add.self, Revoke.self, Rotate.self, Forget.self])

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List publishers and their keys, exceptions, revoked keys.")

    @OptionGroup var output: OutputOptions

    func run() throws {
      let trust = try Locations.store.trust()
      for (name, publisher) in trust.publishers.sorted(by: { $0.key < $1.key }) {
        for key in publisher.keys {
          let marks = (key.isRetired ? "  retired" : "") + (key.inProcess ? "  in-process" : "")
          output.emit(
            [
              "publisher": name, "id": "\(key.key.id)", "key": "\(key.key)", "origin": key.origin.rawValue,
              "retired": key.isRetired, "in-process": key.inProcess,
            ], text: "\(name)  \(key.key.id)  known by \(TrustCommand.name(key.origin))\(marks)")
        }
        if let policy = publisher.unsigned {
          output.emit(["publisher": name, "unsigned": policy.rawValue], text: "\(name)  unsigned: \(policy.rawValue)")
        }
      }
      for (registry, policy) in trust.registries.sorted(by: { $0.key < $1.key }) {
        output.emit(
          ["registry": registry, "unsigned": policy.rawValue],
          text: "registry \(registry)  unsigned: \(policy.rawValue)")
      }
      for key in trust.revoked {
        output.emit(["revoked": "\(key)", "id": "\(key.id)"], text: "revoked  \(key.id)")
      }
    }
  }

  struct Add: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Trust a publisher's key, or say what happens to unsigned bundles.",
      discussion: """
        Examples: codi trust add acme RW…    codi trust add acme acme.pub --in-process
                  codi trust add acme acme.pub --no-in-process
                  codi trust add acme --unsigned prompt    codi trust add --registry ./bundles --unsigned warn
        """)

    @Argument(help: "The publisher, the part before the \"/\" of a bundle's name.") var publisher: String?
    @Argument(help: "Its public key: 56 characters, or a .pub file; for --no-in-process also its number.")
    var key: String?
    @Flag(
      inversion: .prefixedNo,
      help: "Let plugins signed by this key run inside the program's own process, or take that back.")
    var inProcess: Bool?
    @Option(help: "For bundles without a signature: error, prompt, warn, or default.") var unsigned: String?
    @Option(help: "Apply --unsigned to this registry instead of a publisher; \"file\" stands for .codi files.")
    var registry: String?
    @OptionGroup var output: OutputOptions

    func run() throws {
      let policy = try unsigned.map(TrustCommand.policy)
      let key = try key.map(TrustCommand.find)
      guard (publisher == nil) != (registry == nil), key != nil || policy != nil, key == nil || publisher != nil,
        inProcess == nil || key != nil
      else {
        throw Exit.Failure(
          exit: .usage,
          description: "Write codi trust add PUBLISHER KEY, or PUBLISHER --unsigned POLICY, or "
            + "--registry PLACE --unsigned POLICY.")
      }
      // A configured name stands for its address here too.
      let place = try registry.map { try Locations.address($0) } ?? ""
      try Locations.store.changeTrust { trust in
        if let publisher {
          if let key, inProcess == false {
            try trust.isolate(key, of: publisher)
          } else if let key {
            try trust.add(key, to: publisher, inProcess: inProcess ?? false)
          }
          if let policy { try trust.setUnsigned(policy, publisher: publisher) }
        } else if registry != nil, let policy {
          trust.setUnsigned(policy, registry: place)
        }
      }
      let who = publisher ?? "registry \(registry ?? "")"
      let mark = inProcess.map { $0 ? " in-process" : " isolated" } ?? ""
      let what = [key.map { "key \($0.id)\(mark)" }, unsigned.map { "unsigned: \($0)" }].compactMap { $0 }
      output.emit(
        [
          "event": "trusted", "publisher": publisher, "registry": registry, "key": key.map { "\($0)" },
          "unsigned": unsigned, "in-process": inProcess,
        ],
        text: "\(who): \(what.joined(separator: ", "))")
    }
  }

  /// A key that is shown in full, or that is known by its number.
  private static func find(_ text: String) throws -> PublicKey {
    guard let id = KeyID(text) else { return try KeyFiles.shown(text) }
    let known = try Locations.store.trust().publishers.values.flatMap(\.keys).map(\.key)
    return try known.first { $0.id == id } ?? KeyFiles.shown(text)
  }

  struct Revoke: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Never accept a key again, from no publisher. This cannot be undone.")

    @Argument(help: "The key: its number as codi trust list shows it, 56 characters, or a .pub file.") var key: String
    @OptionGroup var output: OutputOptions

    func run() throws {
      let store = Locations.store
      let key = try TrustCommand.find(self.key)
      let owners = try store.changeTrust { $0.revoke(key) }
      output.emit(
        ["event": "revoked", "id": "\(key.id)", "key": "\(key)", "publishers": owners],
        text: "revoked \(key.id)" + (owners.isEmpty ? "" : " of \(owners.joined(separator: ", "))"))
      for bundle in try store.list() where bundle.signer == key {
        output.emit(
          ["event": "affected", "name": bundle.name, "version": "\(bundle.version)"],
          text:
            "it signed \(bundle.name)@\(bundle.version), which is installed: codi remove \(bundle.name)@\(bundle.version)"
        )
      }
    }
  }

  struct Rotate: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take note of a publisher's next key, which a known one vouches for.")

    @Argument(help: "The publisher.") var publisher: String
    @Argument(help: "The new key's .pub file; its .minisig lies beside it.") var file: String
    @OptionGroup var output: OutputOptions

    func run() throws {
      guard let data = FileManager.default.contents(atPath: file),
        let signed = FileManager.default.contents(atPath: file + ".minisig")
      else {
        throw Exit.Failure(
          exit: .notFound, description: "\(file): The file or its .minisig is missing. Get both from the publisher.")
      }
      let signature = try Signature(parsing: signed, source: file + ".minisig")
      let key = try Locations.store.changeTrust { try $0.rotate(publisher, to: data, signature: signature) }
      output.emit(
        ["event": "rotated", "publisher": publisher, "id": "\(key.id)", "key": "\(key)"],
        text: "\(publisher) signs with \(key.id) from now on")
    }
  }

  struct Forget: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Forget the digest of one version that was installed once, because you pack it anew.")

    @Argument(help: "NAME@VERSION in full.") var bundle: [String]
    @OptionGroup var output: OutputOptions

    func run() throws {
      for name in bundle {
        guard try Locations.store.changeTrust({ $0.forget(name) }) else {
          throw Exit.Failure(
            exit: .notFound, description: "\(name) was never installed here. Write it like codi/super-resolution@1.0.0."
          )
        }
        output.emit(["event": "forgotten", "bundle": name], text: "forgot the digest of \(name)")
      }
    }
  }

  private static func policy(_ text: String) throws -> Trust.Unsigned? {
    if text == "default" { return nil }
    guard let policy = Trust.Unsigned(rawValue: text) else {
      throw Exit.Failure(
        exit: .usage, description: "--unsigned \(text) is unknown; use error, prompt, warn, or default.")
    }
    return policy
  }

  private static func name(_ origin: Trust.Key.Origin) -> String {
    switch origin {
    case .program: "the program"
    case .user: "you"
    case .firstUse: "its first bundle"
    case .rotation: "its older key"
    }
  }
}
