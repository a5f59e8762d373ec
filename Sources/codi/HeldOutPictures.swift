import Distillation
import Foundation
import Imaging
import Pipelines

/// Pictures to measure with: scenes that the program draws, with their depth, or files, folders, or tar shards of
/// photographs, which are read as in training at half their size. Files are read when they are asked for.
struct HeldOutPictures: Sendable {
  private let read: [@Sendable () throws -> CleanPicture]

  var count: Int { read.count }
  func callAsFunction(_ number: Int) throws -> CleanPicture { try read[number]() }

  init(_ paths: [String]) throws {
    let shards = paths.filter { $0.hasSuffix(".tar") }
    var read: [@Sendable () throws -> CleanPicture] = []
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

  /// Ray-cast scenes, drawn with a seed that no recipe has.
  init(scenes count: Int, side: Int) {
    read = (0..<count).map { number in
      {
        var random = Philox(seed: 0x6865_6C64_2D6F_7574, step: number, sample: 0)
        var (values, depth) = ([Float](repeating: 0, count: 3 * side * side), [Float](repeating: 0, count: side * side))
        values.withUnsafeMutableBufferPointer { out in
          depth.withUnsafeMutableBufferPointer { Scenes.draw(size: side, using: &random, into: out, depth: $0) }
        }
        let bitmap = Bitmap(width: side, height: side, pixels: values.map { quantised($0 * 0.5 + 0.5) })
        return CleanPicture(name: "scene \(number)", bitmap: bitmap, depth: depth)
      }
    }
  }

  private init(read: [@Sendable () throws -> CleanPicture]) { self.read = read }

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
