internal import Bundles
public import Foundation

/// Small sound inputs, made anew whenever they are wanted: where the fuzzer begins.
public enum Seeds {
  /// Seeds of one target by file name.
  public static func all(of target: FuzzTarget) throws -> [(name: String, data: Data)] {
    switch target {
    case .zip: try bundles()
    case .manifest: try [("core", Data(core().yaml().utf8)), ("adapter", Data(adapter().yaml().utf8))] + yaml
    case .safetensors: try tensors()
    case .oci: try registries()
    case .sums: try signatures()
    case .words: words.enumerated().map { ("words-\($0)", Data($1.utf8)) }
    }
  }

  /// What the seeds' signatures are for; none with the same key is for anything else.
  static let signed = ["demo/core@1.0.0", "demo/adapter@1.0.0"]
  static let comments = signed + ["demo statements 3", "timestamp:1700000000\tfile:demo\thashed"]
  static let message = Data("demo\n".utf8)

  // MARK: Manifests

  private static let digest = String(repeating: "5a", count: 32)

  private static func core() -> Manifest {
    let network: Node = .mapping([
      ("channels", .sequence([.integer(8), .integer(12)])), ("fold", .integer(2)), ("norm", .string("rms")),
      ("schedule", .mapping([("kind", .string("cosine")), ("shift", .number(0.5)), ("zero", .boolean(true))])),
    ])
    return Manifest(
      kind: .core, name: "demo/core", version: SemanticVersion(1, 0, 0), task: "generation", summary: "A tiny core.",
      license: "Apache-2.0", requires: .init(codi: .any), network: network,
      weights: .init(sha256: digest, parameters: 3), training: .init(method: "diffusion", samplesSeen: 1, data: []))
  }

  private static func adapter() -> Manifest {
    let library = BundleEntry.library("Demo", platform: InstalledBundle.platform)
    let strength = Manifest.Parameter(
      name: "strength", type: .number, default: .number(1.0), min: 0, max: 1, summary: "How much.")
    let mode = Manifest.Parameter(
      name: "mode", type: .choice, default: .string("soft"), choices: ["soft", "hard"], summary: "In which way.")
    return Manifest(
      kind: .adapter, name: "demo/adapter", version: SemanticVersion(1, 0, 0), task: "demo", summary: "A tiny adapter.",
      license: "CC0-1.0 OR MIT",
      requires: .init(codi: .any, core: "demo/core", coreDigest: "sha256:\(digest)"),
      condition: .init(inputs: [.init(name: "image", kind: .rgb)], channels: 3),
      geometry: .init(mode: .tile, scale: 4, halo: 16), parameters: [strength, mode],
      sampling: .init(steps: [1, 2, 4], defaultSteps: 4, predictor: "ddim", start: 0.6),
      weights: .init(sha256: digest, parameters: 3),
      plugin: .init(abi: 1, toolchain: "cc 12", libraries: [InstalledBundle.platform: library]),
      training: .init(
        method: "codi", samplesSeen: 640_000,
        data: [.init(name: "demo", license: "CC0-1.0", source: "https://example.org/demo", sha256: digest)]),
      metrics: [.init(suite: "demo", steps: 4, name: "psnr", value: 25.5, ci95: [25, 26], n: 24)])
  }

  /// What the manifests have not: styles, escapes, comments, numbers of all kinds, and what the profile forbids.
  private static let yaml: [(name: String, data: Data)] = [
    ("styles", "a: 'it''s'\nb: \"\\x41\\u00e9\\U0001F600\\n\"\nc: |\n  line\n  line\nd: >-\n  folded\n  text\n# no\n"),
    (
      "numbers",
      "a: [0, -1, +2, 007, 1.5, -.5, 1e9, 1E-9, .inf, -.inf, .nan, 9007199254740993]\nb: {c: ~, d: , e: no}\n"
    ),
    ("nested", "- - - - a\n- {b: [c, {d: e}]}\n- ? f\n  : g\n"),
    ("forbidden", "%YAML 1.1\n---\na: &x 1\nb: *x\nc: !!int 2\n<<: {d: 1}\na: 3\n---\n"),
  ].map { ($0, Data($1.utf8)) }

  // MARK: Tensors and bundles

  private static func tensors() throws -> [(name: String, data: Data)] {
    let folder = try ScratchFolder()
    let all: [(name: String, dtype: SafetensorsDType, shape: [Int], data: Data)] = SafetensorsDType.allCases.map {
      ("layer.\($0.rawValue)", $0, [2, 3], Data(repeating: 1, count: 6 * $0.size))
    }
    let odd: [(name: String, dtype: SafetensorsDType, shape: [Int], data: Data)] = [
      ("empty", .f32, [0, 4], Data()), ("scalar \"é\"\n", .u8, [], Data([7])),
    ]
    try SafetensorsWriter.write(all, metadata: ["format": "demo"], to: "\(folder.path)/all")
    try SafetensorsWriter.write(odd, to: "\(folder.path)/odd")
    return try ["all", "odd"].map { ($0, try Data(contentsOf: URL(filePath: "\(folder.path)/\($0)"))) }
  }

  /// Packed ones, and the same with every entry stored.
  private static func bundles() throws -> [(name: String, data: Data)] {
    let folder = try ScratchFolder()
    let weights = "\(folder.path)/weights"
    try SafetensorsWriter.write([("w", .f32, [3], Data(repeating: 0, count: 12))], to: weights)
    let files: [(name: String, source: ZipWriter.Source)] = [
      (BundleEntry.weights, .file(path: weights)), (BundleEntry.card, .data(Data("# Demo\n".utf8))),
    ]
    let library = BundleEntry.library("Demo", platform: InstalledBundle.platform)
    var seeds: [(name: String, data: Data)] = []
    for manifest in [core(), adapter()] {
      let more = manifest.kind == .core ? [] : [(library, ZipWriter.Source.data(Data("demo".utf8)))]
      let path = "\(folder.path)/\(manifest.kind)"
      try BundleWriter.pack(manifest, files: files + more, to: path, key: TestKey.key())
      seeds.append(("\(manifest.kind)", try Data(contentsOf: URL(filePath: path))))
      let archive = try ZipArchive(path: path)
      let entries = try archive.names.map { ($0, try archive.read($0)) }
      seeds.append(("\(manifest.kind)-stored", StoredZip.build(entries)))
    }
    return seeds
  }

  // MARK: Registries

  private static func registries() throws -> [(name: String, data: Data)] {
    let core = core()
    let document = """
      {"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",\
      "artifactType":"application/vnd.codi.manifest.v1+yaml",\
      "config":{"mediaType":"application/vnd.codi.manifest.v1+yaml","digest":"{digest 2}","size":{size 2}},\
      "layers":[{"mediaType":"application/vnd.codi.bundle.v1+zip","digest":"{digest 3}","size":{size 3}}],\
      "annotations":{"org.opencontainers.image.title":"demo/core","org.opencontainers.image.version":"1.0.0",\
      "org.opencontainers.image.licenses":"Apache-2.0","org.opencontainers.image.description":"A tiny core.",\
      "org.codi.kind":"core","org.codi.task":"generation","org.codi.core.digest":"\(core.coreDigest ?? "")"}}
      """
    let statements =
      #"{"format":1,"number":3,"publisher":"demo","yanked":[{"bundle":"demo/core@0.9.0","reason":"Old."}]}"#
    let signature = try TestKey.key().sign(Data(statements.utf8), trustedComment: "demo statements 3").file
    let said = """
      {"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",\
      "artifactType":"application/vnd.codi.statements.v1+json",\
      "config":{"mediaType":"application/vnd.codi.statements.v1+json","digest":"{digest 2}","size":{size 2}},\
      "layers":[{"mediaType":"application/vnd.codi.signature.v1+minisig","digest":"{digest 3}","size":{size 3}}],\
      "annotations":{}}
      """
    func index(_ type: String, _ reference: String) -> String {
      #"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"#
        + #""application/vnd.oci.image.manifest.v1+json","digest":"{digest 1}","size":{size 1},"artifactType":"#
        + #""\#(type)","annotations":{"org.opencontainers.image.ref.name":"\#(reference)"}}]}"#
    }
    let bundle = index("application/vnd.codi.manifest.v1+yaml", "demo/core:1.0.0")
    let signed = index("application/vnd.codi.statements.v1+json", "demo:statements")
    return try [
      ("bundle", [bundle, document, core.yaml(), "zip"]), ("statements", [signed, said, statements, signature]),
      ("other", [index("application/vnd.example+json", "other"), "{}"]),
      ("empty", [#"{"schemaVersion":2,"manifests":[]}"#]),
    ].map { ($0, Data($1.joined(separator: "\n%%\n").utf8)) }
  }

  // MARK: Small texts

  private static func signatures() throws -> [(name: String, data: Data)] {
    let key = try TestKey.key()
    let sums = "\(digest)  manifest.yaml\n\(digest)  weights.safetensors\n\(digest)  plugins/linux-x86_64/libDemo.so\n"
    var seeds = [
      ("sums", sums), ("public-key", key.publicKey.file), ("secret-key", TestKey.file),
      ("encrypted-key", try key.file(password: "demo", effort: .interactive)),
    ]
    for (number, comment) in comments.enumerated() where !comment.contains("\t") {
      seeds.append(("signature-\(number)", try key.sign(message, trustedComment: comment).file))
    }
    return seeds.map { ($0, Data($1.utf8)) }
  }

  private static let words = [
    "1.2.3\n1.0.0-beta.1\n>=0.1.0\n^1.2\n~1.2.3\n*\n>=1.0.0, <2\n=1.0.0-rc.1\n",
    "demo/adapter@^1.2\ndemo@1.0.0\ndemo/adapter\nadapter@>=1, <2\n",
    "https://example.org/registry/\nhttp://127.0.0.1:5000/a\noci://example.org:5000/team/bundles\noci://[::1]:80\nfolder/a\n",
    "# comment\nexample.org user:password\nlocalhost:5000 a:b c\n",
  ]
}
