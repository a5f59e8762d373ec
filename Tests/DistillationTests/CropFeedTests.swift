import Distillation
import Foundation
import Imaging
import Testing

@Suite struct CropFeedTests {
  func options(seed: UInt64 = 1, batch: Int = 6) -> CropFeedOptions {
    var options = CropFeedOptions()
    options.seed = seed
    options.sizes = [.init(size: 16, weight: 1, batch: batch), .init(size: 32, weight: 3, batch: 2)]
    return options
  }

  @Test("a batch is a function of seed and step: any thread, any order, any neighbour")
  func deterministic() async throws {
    let feed = try CropFeed(options(), photographs: photographs())
    let again = try CropFeed(options(), photographs: photographs())
    let expected = (0..<24).map { feed.batch(step: $0) }
    let other = await withTaskGroup(of: (Int, CropBatch).self) { group in
      for step in (0..<24).reversed() { group.addTask { (step, again.batch(step: step)) } }
      return await group.reduce(into: [Int: CropBatch]()) { $0[$1.0] = $1.1 }
    }
    for step in 0..<24 { #expect(other[step] == expected[step]) }
    #expect(Set(expected.map(\.pixels)).count == 24, "steps differ")
    #expect(try CropFeed(options(seed: 2), photographs: photographs()).batch(step: 0).pixels != expected[0].pixels)
    let wide = try CropFeed(options(batch: 9), photographs: photographs())
    for step in 0..<24 where expected[step].size == 16 {
      #expect(wide.batch(step: step).pixels.starts(with: expected[step].pixels), "the batch size changes no sample")
    }
  }

  @Test("the prefetcher hands out the same batches in order, from any step")
  func prefetch() throws {
    let feed = try CropFeed(options(), photographs: photographs())
    for (start, ahead) in [(0, 1), (7, 3), (1000, 8)] {
      let prefetcher = Prefetcher(from: start, ahead: ahead) { feed.batch(step: $0) }
      for step in start..<start + 12 { #expect(try prefetcher.next() == feed.batch(step: step)) }
      prefetcher.stop()
      #expect(try prefetcher.next() == nil)
    }
  }

  @Test("stopping wakes whoever waits, and releasing a prefetcher ends its thread")
  func shutdown() async throws {
    let feed = try CropFeed(options(), photographs: nil)
    let prefetcher = Prefetcher(from: 0, ahead: 2) { feed.batch(step: $0) }
    let waiting = Task.detached {
      var count = 0
      while try prefetcher.next() != nil { count += 1 }
      return count
    }
    try await Task.sleep(for: .milliseconds(50))
    prefetcher.stop()
    #expect(try await waiting.value > 0)
    for _ in 0..<20 { _ = try Prefetcher(from: 0, ahead: 1) { feed.batch(step: $0) }.next() }
  }

  @Test("every value lies in −1...1 and every kind shows variety", arguments: CropFeed.Kind.allCases, [16, 64])
  func range(kind: CropFeed.Kind, size: Int) throws {
    var options = CropFeedOptions()
    options.mixture.photographs = kind == .photograph ? 1 : 0
    options.mixture.deadLeaves = kind == .deadLeaves ? 1 : 0
    options.mixture.gradients = kind == .gradients ? 1 : 0
    options.mixture.glyphEdges = kind == .glyphEdges ? 1 : 0
    options.mixture.scenes = kind == .scenes ? 1 : 0
    options.sizes = [.init(size: size, weight: 1, batch: 40)]
    let batch = try CropFeed(options, photographs: photographs()).batch(step: 3)
    #expect(batch.pixels.count == 40 * size * size * 3)
    #expect(batch.pixels.allSatisfy { $0 >= -1 && $0 <= 1 })
    #expect(Set((0..<40).map { batch.bitmap($0) }).count == 40)
    let mean = batch.pixels.reduce(0, +) / Float(batch.pixels.count)
    #expect(abs(mean) < 0.5)
  }

  @Test("sizes come as often as their weights say")
  func sizes() throws {
    var options = options(batch: 1)
    options.sizes[1].batch = 1
    options.mixture.deadLeaves = 0
    let feed = try CropFeed(options, photographs: photographs())
    let large = (0..<2000).count { feed.batch(step: $0).size == 32 }
    #expect(abs(large - 1500) < 80)
  }

  @Test("photographs too small for a size are left out of it; without any left it is an error")
  func smallPhotographs() throws {
    let small = Photographs(pictures: [Bitmap(width: 20, height: 20, red: 9, green: 9, blue: 9)], names: ["a"])
    #expect(code { try CropFeed(options(), photographs: small) } == .options)
    var sixteen = options()
    sixteen.sizes.removeLast()
    #expect(code { try CropFeed(sixteen, photographs: small) } == nil)
  }

  @Test("options that make no sense are refused")
  func nonsense() {
    var none = options()
    none.sizes = []
    var zero = options()
    (zero.mixture.deadLeaves, zero.mixture.gradients, zero.mixture.glyphEdges) = (0, 0, 0)
    var negative = options()
    negative.mixture.gradients = -1
    var empty = options()
    empty.sizes[0].batch = 0
    for bad in [none, zero, negative, empty] { #expect(code { try CropFeed(bad, photographs: nil) } == .options) }
  }
}
