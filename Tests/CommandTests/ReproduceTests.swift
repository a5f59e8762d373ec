import Bundles
import Foundation
import Imaging
import Pipelines
import TestSupport
import Testing

@Suite("codi reproduce") struct ReproduceTests {
  private let shop: Workshop

  init() throws { shop = try Workshop.shared.get() }

  @Test(
    "makes the same bytes from what a result says of itself, in every format that is written",
    arguments: PictureFormat.allCases)
  func sameBytes(format: PictureFormat) throws {
    let folder = try shop.pictures("again-\(format)", count: 1)
    try shop.codi(
      "convert", folder, "--adapter", "enlarge", "--out", "made-\(format)", "--format", format.rawValue, "--seed", "7",
      "--steps", "3", "--set", "strength=0.25", "--precision", "f32"
    ).expect(0)
    let made = "made-\(format)/p0.\(format.rawValue)"
    let outcome = try shop.codi("reproduce", made, "--source", "\(folder)/p0.png", "--json").expect(0)
    let event = try #require(try outcome.objects().first)
    #expect(event["event"] as? String == "reproduced" && event["same"] as? Bool == true)
    #expect(event["sha256"] as? String == SHA256.hex(of: try shop.bytes(made)))
    // Under another name in another place: only the digest of the source counts.
    try FileManager.default.copyItem(atPath: "\(folder)/p0.png", toPath: shop.folder("copy-\(format).png"))
    try shop.codi(
      "reproduce", made, "--source", "copy-\(format).png", "--out", "kept-\(format).\(format.rawValue)"
    ).expect(0)
    #expect(try shop.bytes("kept-\(format).\(format.rawValue)") == shop.bytes(made))
  }

  @Test("a chain with a parameter of its own at each stage is made again")
  func chain() throws {
    let folder = try shop.pictures("again-chain", count: 1, side: 6)
    try shop.codi(
      "convert", folder, "--adapter", "enlarge", "--adapter", "enlarge", "--out", "made-chain", "--steps", "1", "--set",
      "2:strength=0"
    ).expect(0)
    try shop.codi("reproduce", "made-chain/p0.png", "--source", "\(folder)/p0.png").expect(0)
  }

  @Test("provenance says how, and nothing of when, where or by what name")
  func discreet() throws {
    let folder = try shop.pictures("discreet-source", count: 1)
    try shop.codi("convert", folder, "--adapter", "enlarge", "--out", "discreet-made", "--steps", "2").expect(0)
    let told = try shop.codi("reproduce", "discreet-made/p0.png", "--json").expect(0)
    let event = try #require(try told.objects().first)
    let said = try #require(event["provenance"] as? [String: Any])
    #expect(
      Set(said.keys) == [
        "format", "codi", "source", "stages", "seed", "precision", "numerics", "region", "overlap",
      ])
    let stage = try #require((said["stages"] as? [[String: Any]])?.first)
    #expect(Set(stage.keys) == ["adapter", "digest", "core", "core-digest", "steps", "parameters"])
    #expect(stage["adapter"] as? String == "toy/enlarge@1.0.0" && stage["steps"] as? Int == 2)
    #expect(
      said["source"] as? String == "sha256:" + SHA256.hex(of: try shop.bytes("discreet-source/p0.png")))
    let bytes = try shop.bytes("discreet-made/p0.png")
    for secret in [
      "discreet-source", "discreet-made", shop.folder.path, NSUserName(), ProcessInfo.processInfo.hostName,
    ]
    where secret.utf8.count > 1 && secret != "root" && secret != "localhost" {
      #expect(bytes.range(of: Data(secret.utf8)) == nil, "\(secret)")
    }
    let text = try shop.codi("reproduce", "discreet-made/p0.png").expect(0)
    #expect(text.out.contains("toy/enlarge@1.0.0") && text.out.contains("--source"))
  }

  @Test("another source, a changed result, an adapter that is gone, and files without provenance are told apart")
  func refusals() throws {
    let own = try Workshop()
    try own.codi("install", "enlarge").expect(0)
    let folder = try own.pictures("in", count: 2)
    try own.codi("convert", folder, "--adapter", "enlarge", "--out", "out", "--steps", "1").expect(0)
    let other = try own.codi("reproduce", "out/p0.png", "--source", "in/p1.png").expect(4)
    #expect(other.error.contains("made from another file"))
    try own.codi("reproduce", "in/p0.png", "--source", "in/p0.png").expect(5)
    try own.codi("reproduce", "none.png").expect(5)
    try own.codi("reproduce", "out/p0.png", "--source", "in/p0.png", "--out", "x.jpg").expect(2)
    try own.codi("reproduce", "out/p0.png", "--source", "in/p0.png", "--out", "out/p0.png").expect(2)
    try own.codi("reproduce", "out/p0.png", "--source", "none.png").expect(5)

    // Retouched, with its metadata kept.
    var picture = try readPicture(own.folder("out/p0.png"))
    picture.pixels[0] = picture.pixels[0] < 0.5 ? 1 : 0
    try Imaging.write(picture, to: own.folder("edited.png"))
    let edited = try own.codi("reproduce", "edited.png", "--source", "in/p0.png", "--json").expect(1)
    let event = try #require(try edited.objects().first)
    #expect(event["same"] as? Bool == false && event["difference"] as? Int ?? 0 >= 127)

    try own.codi("convert", folder, "--adapter", "enlarge", "--out", "bare", "--steps", "1", "--strip").expect(0)
    let bare = try own.codi("reproduce", "bare/p0.png", "--source", "in/p0.png").expect(5)
    #expect(bare.error.contains("no provenance"))

    try own.codi("remove", "enlarge").expect(0)
    let gone = try own.codi("reproduce", "out/p0.png", "--source", "in/p0.png").expect(3)
    #expect(gone.error.contains("codi install toy/enlarge@1.0.0"))
  }
}
