import Bundles
import Foundation
import Testing

enum Example {
  static let digest = String(repeating: "0123456789abcdef", count: 4)

  static let adapter = """
    format: 1
    kind: adapter
    name: codi/super-resolution
    version: 1.0.0
    task: super-resolution
    summary: Sharpens and enlarges photographs four times.
    license: Apache-2.0
    requires: { codi: ">=0.1.0", core: codi/photo, core-digest: "sha256:\(digest)" }
    condition: { inputs: [ { name: image, kind: rgb } ], channels: 3 }
    geometry: { mode: tile, scale: 4, halo: 16 }
    parameters: [ { name: strength, type: number, default: 1.0, min: 0.0, max: 1.0, summary: How much. } ]
    sampling: { steps: [1, 2, 3, 4], default-steps: 4, predictor: ddim, start: 0.6 }
    weights: { file: weights.safetensors, sha256: \(digest), parameters: 2310000 }
    plugin: { abi: 1, toolchain: Swift 6.3.1, libraries: { linux-x86_64: plugins/linux-x86_64/libSuperResolution.so } }
    training: { method: codi, samples-seen: 1000, data: [ { name: Kodak, license: CC0-1.0 } ] }
    metrics: [ { suite: sr4-kodak24, steps: 4, name: psnr, value: 26.5, ci95: [ 26.0, 27.0 ], n: 24 } ]

    """

  static let core = """
    format: 1
    kind: core
    name: codi/photo
    version: 0.1.0-beta.1
    task: image-generation
    summary: Photographs.
    license: Apache-2.0
    requires: { codi: "*" }
    network: { channels: [48, 96, 160], fold: 2, schedule: { kind: cosine, shift: 0.5 } }
    weights: { file: weights.safetensors, sha256: \(digest), parameters: 5900000 }
    training: { method: diffusion, samples-seen: 3, data: [] }

    """

  static func manifest(_ text: String) throws -> Manifest {
    try Manifest(parsing: Data(text.utf8), source: "manifest.yaml")
  }
}

@Suite("Manifest") struct ManifestTests {
  @Test("the design's example reads field by field")
  func example() throws {
    let manifest = try Example.manifest(Example.adapter)
    #expect(manifest.kind == .adapter && manifest.name == "codi/super-resolution")
    #expect(manifest.version == SemanticVersion(1, 0, 0))
    #expect(manifest.requires.codi.admits(SemanticVersion(0, 1, 0)))
    #expect(manifest.requires.core == "codi/photo" && manifest.coreDigest == "sha256:\(Example.digest)")
    #expect(manifest.condition == .init(inputs: [.init(name: "image", kind: .rgb)], channels: 3))
    #expect(manifest.geometry == .init(mode: .tile, scale: 4, halo: 16))
    #expect(manifest.sampling == .init(steps: [1, 2, 3, 4], defaultSteps: 4, predictor: "ddim", start: 0.6))
    #expect(manifest.weights == .init(sha256: Example.digest, parameters: 2_310_000))
    #expect(
      manifest.plugin?.libraries["linux-x86_64"] == BundleEntry.library("SuperResolution", platform: "linux-x86_64"))
    #expect(manifest.training.data == [.init(name: "Kodak", license: "CC0-1.0")])
    #expect(
      manifest.metrics == [.init(suite: "sr4-kodak24", steps: 4, name: "psnr", value: 26.5, ci95: [26, 27], n: 24)])
    #expect(manifest.network == nil)
    let strength = try #require(manifest.parameters.first)
    #expect(strength.value(of: "0.5") == .number(0.5) && strength.value(of: "1") == .number(1))
    #expect(strength.value(of: "1.5") == nil && strength.value(of: "x") == nil && strength.value(of: "nan") == nil)
  }

  @Test("what is written reads back to an equal manifest", arguments: [Example.adapter, Example.core])
  func roundTrip(text: String) throws {
    let manifest = try Example.manifest(text)
    let written = try manifest.yaml()
    #expect(try Example.manifest(written) == manifest)
    #expect(try Example.manifest(written).yaml() == written)
    #expect(written.hasPrefix("format: 1\nkind: "))
  }

  @Test("every required key is missed by name")
  func missing() throws {
    for (text, optional) in [(Example.adapter, ["parameters", "metrics"]), (Example.core, [])] {
      let lines = text.split(separator: "\n")
      for (i, line) in lines.enumerated() {
        let key = String(line.prefix { $0 != ":" })
        let rest = lines.enumerated().filter { $0.offset != i }.map(\.element).joined(separator: "\n")
        if optional.contains(key) {
          _ = try Example.manifest(rest)
        } else if key == "format" {
          expectError(.invalidValue, "format") { _ = try Example.manifest(rest) }
        } else {
          expectError(.missingKey, "manifest.yaml:1:1", "\"\(key)\"") { _ = try Example.manifest(rest) }
        }
      }
    }
    for key in [
      "codi", "core", "core-digest", "inputs", "channels", "mode", "scale", "halo", "type", "default", "summary",
      "steps",
      "default-steps", "predictor", "start", "file", "sha256", "parameters", "abi", "toolchain", "libraries", "method",
      "samples-seen", "data", "suite", "value", "n",
    ] {
      // Inside the flow mappings only: these keys follow a brace or a comma.
      let pattern = try Regex("([{,] )\(key): ")
      let text = Example.adapter.replacing(pattern) { "\($0.output[1].substring ?? "")x\(key): " }
      #expect(text != Example.adapter)
      expectError(key == "core" || key == "core-digest" ? .unknownKey : .missingKey, "\"x\(key)\"") {
        _ = try Example.manifest(text)
      }
    }
  }

  @Test("keys of the other kind and unknown keys are refused at their line")
  func unknown() {
    expectError(.unknownKey, "manifest.yaml:17:1", "\"licence\"") {
      _ = try Example.manifest(Example.adapter + "licence: MIT\n")
    }
    expectError(.unknownKey, "manifest.yaml:17:10", "no \"network\"") {
      _ = try Example.manifest(Example.adapter + "network: { a: 1 }\n")
    }
    for line in Example.adapter.split(separator: "\n") {
      let key = line.prefix { $0 != ":" }
      guard ["condition", "geometry", "plugin", "parameters"].contains(key) else { continue }
      expectError(key == "parameters" ? .invalidValue : .unknownKey, "manifest.yaml:12:", "\(key)") {
        _ = try Example.manifest(Example.core + line + "\n")
      }
    }
  }

  @Test("a newer format is refused before anything else is interpreted")
  func newer() {
    expectError(.unsupportedFormat, "manifest.yaml:2:9", "format 2", "Update codi.") {
      _ = try Example.manifest("kind: galaxy\nformat: 2\nwhat: [is, this]\n")
    }
    for text in ["format: 0", "format: x", "format: []", "a: 1", "[]", "format: 1.0"] {
      expectError(.invalidValue, "format") { _ = try Example.manifest(text) }
    }
  }

  @Test(
    "values out of bounds are refused at their line",
    arguments: [
      ("codi/super-resolution", "super-resolution", "3:7", "publisher/name"),
      ("codi/super-resolution", "Codi/x", "3:7", "form"),
      ("codi/super-resolution", "a/b/c", "3:7", "form"), ("codi/super-resolution", "a/..", "3:7", "form"),
      ("version: 1.0.0", "version: 1.0", "4:10", "semantic version"),
      ("version: 1.0.0", "version: 1.0.0+a", "4:10", "semantic version"),
      ("task: super-resolution", "task: Super", "5:7", "word"), ("task: super-resolution", "task: a--b", "5:7", "word"),
      ("Sharpens and", "\"\\e[31m\" #", "6:10", "visible"), ("Sharpens and", "\"a\\nb\" #", "6:10", "visible"),
      ("Sharpens and", "\"a\\u202Eb\" #", "6:10", "visible"), ("Sharpens and", "\" \" #", "6:10", "visible"),
      ("license: Apache-2.0", "license: a; b", "7:10", "SPDX"), (">=0.1.0", "newest", "8:19", "requirement"),
      ("core: codi/photo", "core: photo", "8:36", "publisher/name"), ("sha256:0", "sha1:0", "8:", "sha256:"),
      ("sha256:0", "sha256:A", "8:", "lower case"),
      ("inputs: [ { name: image, kind: rgb } ]", "inputs: []", "9:22", "one input"),
      ("kind: rgb", "kind: cmyk", "9:45", "rgb, gray, mask"), ("channels: 3", "channels: 0", "9:64", "1 to 1024"),
      ("mode: tile", "mode: tiles", "10:19", "tile, whole"), ("scale: 4", "scale: 0", "10:32", "1 to 64"),
      ("halo: 16", "halo: -1", "10:41", "0 to 4096"), ("default: 1.0", "default: 2.0", "11:56", "from 0.0 to 1.0"),
      ("default: 1.0", "default: high", "11:56", "a number"), ("max: 1.0", "max: -1.0", "11:", "below"),
      ("type: number", "type: boolean", "11:", "Only numbers"), ("type: number", "type: choice", "11:", "Only numbers"),
      ("[1, 2, 3, 4]", "[]", "12:20", "rising"), ("[1, 2, 3, 4]", "[2, 1, 4]", "12:20", "rising"),
      ("default-steps: 4", "default-steps: 5", "12:", "not among"), ("start: 0.6", "start: 0", "12:", "above 0"),
      ("start: 0.6", "start: 1.5", "12:", "at most 1"),
      ("file: weights.safetensors", "file: ../x", "13:18", "weights.safetensors"),
      ("sha256: 0", "sha256: g", "13:47", "64"), ("parameters: 2310000", "parameters: 0", "13:", "positive"),
      ("abi: 1", "abi: 0", "14:16", "positive"),
      ("plugins/linux-x86_64/", "plugins/linux-aarch64/", "14:", "plugins/linux-x86_64/"),
      ("libSuperResolution.so", "../../libA.so", "14:", "lib<Task>.so"),
      ("samples-seen: 1000", "samples-seen: -1", "15:", "negative"),
      ("CC0-1.0", "\"\"", "15:", "SPDX"), ("ci95: [ 26.0, 27.0 ]", "ci95: [ 27.0, 28.0 ]", "16:", "around"),
      ("ci95: [ 26.0, 27.0 ]", "ci95: [ 26.0 ]", "16:", "around"), ("value: 26.5", "value: .inf", "16:", "finite"),
      ("n: 24", "n: 0", "16:", "pictures"),
    ])
  func invalid(old: String, new: String, place: String, words: String) {
    let text = Example.adapter.replacingOccurrences(of: old, with: new)
    #expect(text != Example.adapter)
    expectError(.invalidValue, "manifest.yaml:\(place)", words) { _ = try Example.manifest(text) }
  }

  @Test("parameters of every type read what they declare")
  func parameters() throws {
    func parameter(_ text: String) throws -> Manifest.Parameter {
      let line = "parameters: [ { name: p, summary: s, \(text) } ]"
      let lines = Example.adapter.split(separator: "\n").map { $0.hasPrefix("parameters") ? line[...] : $0 }
      return try #require(try Example.manifest(lines.joined(separator: "\n")).parameters.first)
    }
    let choice = try parameter("type: choice, default: a, choices: [a, b]")
    #expect(choice.value(of: "b") == .text("b") && choice.value(of: "c") == nil && choice.range == "one of a, b")
    let integer = try parameter("type: integer, default: 3, min: 1")
    #expect(integer.value(of: "7") == .integer(7) && integer.value(of: "0") == nil && integer.value(of: "1.5") == nil)
    let boolean = try parameter("type: boolean, default: true")
    #expect(boolean.value(of: "false") == .boolean(false) && boolean.value(of: "no") == nil)
    #expect(try parameter("type: text, default: \"\"").value(of: "any") == .text("any"))
    expectError(.missingKey, "choices") { _ = try parameter("type: choice, default: a") }
    expectError(.invalidValue, "one of a, b") { _ = try parameter("type: choice, default: c, choices: [a, b]") }
  }
}

@Suite("Core digest") struct CoreDigestTests {
  private func digest(_ text: String) throws -> String {
    Manifest.coreDigest(network: try YAML.parse(text, source: "n"), weightsSHA256: Example.digest)
  }

  @Test("the digest is SHA-256 over the text that the format defines")
  func closedForm() throws {
    let text =
      "codi-core-1\n\(Example.digest)\n"
      + #"{"a":[1,-2,0x3fb999999999999a,true,null,"x\"\\y",0x7ff0000000000000],"b":{"c":"1"}}"# + "\n"
    let network = #"{ b: { c: "1", d: null }, a: [ 1.0, -2, 0.1, true, ~, "x\"\\y", .inf ] }"#
    #expect(try digest(network) == "sha256:" + SHA256.hex(of: Data(text.utf8)))
  }

  @Test("order, quoting of words, spelling of numbers, and null keys do not matter; everything else does")
  func canonical() throws {
    let base = try digest("{a: word, n: 1000, f: 0.5, l: [1, 2]}")
    for same in [
      "l: [1,2]\nf: 0.50\nn: 1e3\na: \"word\"\n", "{a: word, n: +01000, f: 5e-1, l: [1.0, 2], z: ~}",
    ] { #expect(try digest(same) == base) }
    for other in [
      "{a: Word, n: 1000, f: 0.5, l: [1, 2]}", "{a: word, n: \"1000\", f: 0.5, l: [1, 2]}",
      "{a: word, n: 1000, f: 0.5, l: [2, 1]}",
      "{a: word, n: 1000, f: 0.5000001, l: [1, 2]}", "{a: word, n: 1000, f: 0.5, l: [1, 2, ~]}",
      "{a: word, n: 1001, f: 0.5, l: [1, 2]}",
    ] { #expect(try digest(other) != base) }
    #expect(
      Manifest.coreDigest(network: .mapping([]), weightsSHA256: "a")
        != Manifest.coreDigest(network: .mapping([]), weightsSHA256: "b"))
  }
}
