import Bundles
import Foundation
import Imaging
import Pipelines
import Registry
import Tensor
import TestSupport
import Testing

@Suite("Converting from top to bottom") @Compute struct FileConversionTests {
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  func converter(steps: Int, region: Int = 64) throws -> Converter {
    var options = Converter.Options()
    (options.steps, options.precision, options.region) = (steps, .f32, region)
    return try Converter(try Toy.adapter(), plugin: try Toy.plugin(), options: options)
  }

  @Test(
    "a file converted in rows has the bytes of a picture converted at once",
    arguments: ["png", "jpg", "tif"], [false, true])
  func sameBytes(suffix: String, alpha: Bool) throws {
    var input = Pictures.make(.photo, width: 41, height: 67)
    if alpha { input.alpha = (0..<41 * 67).map { Float($0 % 89) / 88 } }
    input.bitDepth = .sixteen
    try Imaging.write(input, to: folder("in.png"))
    let converter = try converter(steps: 2)
    let result = try converter.convert(file: folder("in.png"), digest: [3], to: folder("rows.\(suffix)"))
    #expect(result.width == 164 && result.height == 268)
    #expect(!folder.names().contains("rows.\(suffix)"), "it has no name before it is published")
    try result.file.publish()
    try Imaging.write(
      try converter.convert(try readPicture(folder("in.png")), digest: [3]), to: folder("whole.\(suffix)"))
    #expect(
      try Data(contentsOf: URL(filePath: folder("rows.\(suffix)")))
        == Data(contentsOf: URL(filePath: folder("whole.\(suffix)"))))
  }

  @Test(
    "how many input rows wait for their result depends on the number of steps, not on the height", arguments: [1, 3])
  func bounded(steps: Int) throws {
    var worst: [Int] = []
    for height in [300, 600] {
      let input = Pictures.make(.photo, width: 12, height: height)
      var (read, written, gap) = (0, 0, 0)
      try converter(steps: steps).convert(
        width: 12, height: height, digest: [1], progress: { _, _ in }, shouldStop: { false },
        read: { count in
          defer { read += count }
          return [Array(input.pixels[(read * 36)..<((read + count) * 36)])]
        },
        write: { rows in
          gap = max(gap, read - written / 4)
          written += rows.count / (3 * 48)
        })
      #expect(read == height && written == 4 * height)
      worst.append(gap)
    }
    // One band of the condition, what each step waits for, and the plugin's halo, in input rows.
    let bound = 256 / 4 + (steps + 1) * 64 / 4 + 2 * 40 / 4
    #expect(worst.allSatisfy { $0 <= bound }, "rows waiting: \(worst), at most \(bound)")
  }

  @Test("a picture that ends early leaves no result")
  func truncated() throws {
    try Pictures.write(folder("in.png"), 40, 300)
    let bytes = try Data(contentsOf: URL(filePath: folder("in.png")))
    try bytes.prefix(bytes.count * 2 / 3).write(to: URL(filePath: folder("in.png")))
    let converter = try converter(steps: 1)
    let error = #expect(throws: ImagingError.self) {
      try converter.convert(file: folder("in.png"), digest: [1], to: folder("out.png"))
    }
    #expect(error?.code == .damaged)
    #expect(folder.names() == ["in.png"])
  }

  @Test("asked to stop, it stops between regions and leaves no result")
  func stopping() throws {
    try Pictures.write(folder("in.png"), 60, 60)
    var asked = 0
    let converter = try converter(steps: 2)
    #expect(throws: CancellationError.self) {
      try converter.convert(
        file: folder("in.png"), digest: [1], to: folder("out.png"),
        shouldStop: {
          asked += 1
          return asked > 5
        })
    }
    #expect(asked == 6 && folder.names() == ["in.png"])
  }
}
