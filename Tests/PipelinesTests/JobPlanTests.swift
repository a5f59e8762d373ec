import Foundation
import Imaging
import Pipelines
import TestSupport
import Testing

@Suite("Planning a job") struct JobPlanTests {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    _ = try folder.make("in")
    _ = try folder.make("out")
  }

  private func touch(_ names: String...) throws {
    for name in names { try Data([0]).write(to: URL(filePath: folder(name))) }
  }

  private func plan(_ inputs: String..., into: String = "out", format: PictureFormat? = nil) throws -> [String] {
    try JobPlan(inputs: inputs.map { folder($0) }, into: folder(into), format: format).items.map {
      "\(($0.input as NSString).lastPathComponent) → \(($0.output as NSString).lastPathComponent)"
    }
  }

  private func code(_ inputs: String..., into: String = "out", format: PictureFormat? = nil) -> ConversionError.Code? {
    #expect(throws: ConversionError.self) {
      try JobPlan(inputs: inputs.map { folder($0) }, into: folder(into), format: format)
    }?.code
  }

  @Test("a folder's pictures are taken in order of name; hidden files and other files are left alone")
  func folders() throws {
    try touch("in/b.JPG", "in/a.png", "in/notes.txt", "in/.hidden.png", "in/c.heic", "in/d.tif")
    _ = try folder.make("in/folder.png")
    _ = try folder.make("in/.hidden")
    try touch("in/.hidden/x.png")
    #expect(try plan("in") == ["a.png → a.png", "b.JPG → b.JPG", "c.heic → c.png", "d.tif → d.tif"])
  }

  @Test("a format asked for becomes every result's suffix, and only the last suffix goes")
  func formats() throws {
    try touch("in/a.png", "in/b.c.jpg")
    #expect(try plan("in", format: .webp) == ["a.png → a.webp", "b.c.jpg → b.c.webp"])
  }

  @Test("what does not exist, an empty folder and a folder without pictures are not found")
  func missing() throws {
    #expect(code("nothing.png") == .noInput)
    #expect(code("in") == .noInput)
    try touch("in/notes.txt")
    #expect(code("in") == .noInput)
  }

  @Test("two inputs with one output are refused")
  func collisions() throws {
    try touch("in/a.png", "in/a.heic")
    _ = try folder.make("more")
    try touch("more/a.png")
    #expect(code("in") == .collision)
    #expect(code("in/a.png", "more/a.png") == .collision)
    #expect(code("in/a.png", "in/a.png") == .collision)
  }

  @Test("a result never replaces an input, however its folder or file is spelled or linked")
  func replacing() throws {
    try touch("in/a.png")
    let files = FileManager.default
    try files.createSymbolicLink(atPath: folder("same"), withDestinationPath: folder("in"))
    try files.createSymbolicLink(atPath: folder("out/a.png"), withDestinationPath: folder("in/a.png"))
    #expect(code("in/a.png", into: "in") == .collision)
    #expect(code("in/a.png", into: "in/../in/") == .collision)
    #expect(code("in/a.png", into: "same") == .collision)
    #expect(code("same/a.png", into: "in") == .collision)
    // The input is a link that the result would replace, or leads to a file that another result would replace.
    #expect(code("out/a.png", into: "out") == .collision)
    try touch("x.png")
    try files.createSymbolicLink(atPath: folder("in/link.png"), withDestinationPath: folder("in/a.png"))
    try touch("out/x.png")
    try files.createSymbolicLink(atPath: folder("in/y.png"), withDestinationPath: folder("out/x.png"))
    #expect(code("x.png", "in/y.png") == .collision)
    // Replacing a link leaves what it leads to.
    #expect(try plan("in/a.png") == ["a.png → a.png"])
  }
}
