import Adapters
import Foundation
import Imaging
import Networks
import Pipelines
import Registry
import Synchronization
import Tensor
import TestSupport
import Testing

@Suite("Small pictures share the network", .serialized) struct SmallPictureTests {
  private static let precisions: [DType] = DType.preferred == .f32 ? [.f32] : [.f32, .preferred]

  private func chain(
    _ sees: ConditionEncoderConfiguration.Sees, steps: Int, stages: Int, _ precision: DType
  ) throws -> Chain {
    var options = Converter.Options()
    (options.steps, options.precision, options.seed) = (steps, precision, 5)
    let stage = Chain.Stage(try Toy.adapter(sees: sees), digest: "sha256:toy") { try Toy.plugin($0, seed: $1) }
    return try Chain([Chain.Stage](repeating: stage, count: stages), options: options, program: "test")
  }

  /// 64 × 64 regions of different fullness.
  private func pictures(_ count: Int) -> [Picture] {
    (0..<count).map { number in
      var picture = Pictures.make(.photo, width: 9 + number % 7, height: 16 - number % 5, seed: UInt32(number + 1))
      if number % 3 == 1 { picture.alpha = (0..<picture.width * picture.height).map { Float($0 % 5) / 4 } }
      picture.metadata.xmp = [UInt8(number)]
      return picture
    }
  }

  /// All pictures of a chain by way of one queue, in which they wait for each other.
  private func together(_ pictures: [Picture], _ chain: Chain, _ queue: NetworkQueue) async throws -> [Picture] {
    let settings = try chain.settings(ItemChoices())
    let begins = Mutex(false)
    let isReleased = Mutex(false)
    // Nobody is served until all wait.
    async let held: Void = Compute.run {
      begins.withLock { $0 = true }
      while !isReleased.withLock({ $0 }) { usleep(1000) }
    }
    while !begins.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(1)) }
    let made = try await withThrowingTaskGroup(of: (Int, Picture).self) { group in
      for (number, picture) in pictures.enumerated() {
        group.addTask {
          let made = try await chain.convert(
            picture, digest: [UInt8(number)], settings, in: queue, progress: { _ in }, shouldStop: { false })
          #expect(made.seconds > 0)
          return (number, made.picture)
        }
      }
      while queue.count < pictures.count { try await Task.sleep(for: .milliseconds(1)) }
      isReleased.withLock { $0 = true }
      return try await group.reduce(into: [Int: Picture]()) { $0[$1.0] = $1.1 }
    }
    await held
    return pictures.indices.compactMap { made[$0] }
  }

  @Test(
    "in company they come out as alone, bit for bit",
    arguments: [(ConditionEncoderConfiguration.Sees.conditionAndNoisy, 1), (.conditionAndNoisy, 3), (.condition, 3)],
    precisions)
  func company(_ way: (sees: ConditionEncoderConfiguration.Sees, steps: Int), precision: DType) async throws {
    let chain = try chain(way.sees, steps: way.steps, stages: 1, precision)
    _ = try await Compute.run { () throws in try chain.check() }
    let (pictures, queue) = (pictures(11), NetworkQueue())
    let made = try await together(pictures, chain, queue)
    #expect(queue.largest == 8, "11 are 8, 2 and 1")
    let alone = try await Compute.run { () throws in
      var options = chain.options
      options.steps = way.steps
      let converter = try Converter(chain.stages[0].adapter, plugin: try Toy.plugin(seed: 5), options: options)
      return try pictures.enumerated().map { try converter.convert($1, digest: [UInt8($0)]) }
    }
    #expect(made.count == 11)
    for (number, (one, other)) in zip(made, alone).enumerated() { #expect(one == other, "picture \(number)") }
  }

  @Test("so do those of a chain, whose later stages may take several regions")
  func chains() async throws {
    let chain = try chain(.conditionAndNoisy, steps: 1, stages: 3, .f32)
    _ = try await Compute.run { () throws in try chain.check() }
    let (pictures, queue) = (pictures(4), NetworkQueue())
    let made = try await together(pictures, chain, queue)
    #expect(queue.largest == 4 && made.map(\.width) == pictures.map { 64 * $0.width })
    let settings = try chain.settings(ItemChoices())
    for (number, picture) in pictures.enumerated() {
      let alone = try await chain.convert(
        picture, digest: [UInt8(number)], settings, in: NetworkQueue(), progress: { _ in }, shouldStop: { false })
      #expect(alone.picture == made[number], "picture \(number)")
    }
  }

  @Test("a stop reaches those that share an evaluation")
  func stops() async throws {
    let chain = try chain(.conditionAndNoisy, steps: 2, stages: 1, .f32)
    let settings = try chain.settings(ItemChoices())
    let picture = pictures(1)[0]
    await #expect(throws: CancellationError.self) {
      _ = try await chain.convert(
        picture, digest: [], settings, in: NetworkQueue(), progress: { _ in }, shouldStop: { true })
    }
  }

  @Test("small pictures are many under way, large ones as many as there are jobs")
  func room() {
    func count(_ jobs: Int, _ pixels: Int) -> Int {
      var room = Room(jobs: jobs, region: 384)
      var count = 0
      while count < 1000, room.take(pixels) { count += 1 }
      return count
    }
    #expect(count(3, 192 * 192) == 12 && count(3, 16) == 48 && count(3, 384 * 384) == 3)
    #expect(count(3, 40_000_000) == 3 && count(3, .max) == 3 && count(1, 16) == 1 && count(1, 0) == 1)
    // A large one among small ones waits until they are few.
    var room = Room(jobs: 3, region: 384)
    let begun = [room.take(100), room.take(100), room.take(100), room.take(100), room.take(40_000_000)]
    #expect(begun == [true, true, true, true, false])
    for _ in 0..<2 { room.give(100) }
    let beside = [room.take(40_000_000), room.take(100)]
    #expect(beside == [true, false])
    room.give(40_000_000)
    let after = room.take(100)
    #expect(after)
  }

  @Test("a picture that may have killed an earlier run is under way alone")
  func suspects() {
    var room = Room(jobs: 3, region: 384)
    let beside = [room.take(100), room.take(100, isAlone: true)]
    room.give(100)
    let alone = [room.take(100, isAlone: true), room.take(100), room.take(100, isAlone: true)]
    room.give(100)
    #expect(beside == [true, false] && alone == [true, false, false])
    let after = room.take(100)
    #expect(after)
  }
}
