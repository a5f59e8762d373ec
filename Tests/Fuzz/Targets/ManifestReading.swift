internal import Bundles
internal import Foundation

/// Parses YAML of the strict profile, then as a manifest, and writes both again.
enum ManifestReading {
  static func run(_ input: Data) throws -> Int {
    let trees = try refusing {
      let node = try YAML.parse(input, source: "input")
      // Escapes make the text longer.
      let limits = YAML.Limits(bytes: 16 << 20, depth: 16, events: 20_000)
      let again = try YAML.parse(YAML.write(node), source: "again", limits: limits)
      try promise(meaning(of: node) == meaning(of: again), "the tree is written as another one:\n\(YAML.write(node))")
    }
    let manifests = try refusing {
      let manifest = try Manifest(parsing: input, source: "input")
      try promise(
        Manifest(parsing: Data(manifest.yaml().utf8), source: "again") == manifest, "it is written as another")
      try promise(manifest.coreDigest != nil, "the manifest names no core")
      try promise(!manifest.identity.contains { $0.isNewline }, "the identity has two lines")
      for parameter in manifest.parameters {
        let value = parameter.default.text.flatMap(parameter.value)
        try promise(value != nil, "\(parameter.name) refuses its own default")
        try promise(!parameter.range.isEmpty, "\(parameter.name) has no range")
      }
    }
    return trees + manifests
  }

  /// The digest of the canonical text.
  private static func meaning(of node: Node) -> String {
    Manifest.coreDigest(network: node, weightsSHA256: String(repeating: "0", count: 64))
  }
}
