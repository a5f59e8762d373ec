import Distillation
import Foundation
import Imaging
import Pipelines

/// Pictures to measure with: files, folders, or tar shards of photographs, which are read as in training at half their size.
/// Files are read when they are asked for.
struct HeldOutPictures {
  private let read: [() throws -> CleanPicture]

  var count: Int { read.count }
  func callAsFunction(_ number: Int) throws -> CleanPicture { try read[number]() }

  init(_ paths: [String]) throws {
    let shards = paths.filter { $0.hasSuffix(".tar") }
    var read: [() throws -> CleanPicture] = []
    if !shards.isEmpty {
      let photographs = try Photographs.load(shards.map { PhotographSource(path: $0, license: "unknown") })
      read += photographs.names.indices.map { i in
        { CleanPicture(name: photographs.names[i], bitmap: photographs.pictures[i]) }
      }
    }
    let others = paths.filter { !$0.hasSuffix(".tar") }
    if !others.isEmpty {
      let plan = try JobPlan(inputs: others, into: NSTemporaryDirectory(), format: .png)
      read += plan.items.map { item in
        { CleanPicture(name: URL(filePath: item.input).lastPathComponent, bitmap: try readBitmap(item.input)) }
      }
    }
    self.read = read
  }

  private init(read: [() throws -> CleanPicture]) { self.read = read }

  /// At most so many, spread evenly.
  func limited(to limit: Int?) -> HeldOutPictures {
    guard let limit, limit < count else { return self }
    return HeldOutPictures(read: (0..<limit).map { read[$0 * count / limit] })
  }

  /// Every second one, and those between.
  var halves: (HeldOutPictures, HeldOutPictures) {
    (
      HeldOutPictures(read: stride(from: 0, to: count, by: 2).map { read[$0] }),
      HeldOutPictures(read: stride(from: 1, to: count, by: 2).map { read[$0] })
    )
  }
}
