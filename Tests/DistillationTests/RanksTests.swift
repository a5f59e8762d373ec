import Distillation
import Foundation
import Tensor
import Testing

/// What processes that train together share out; whole runs under mpirun are `MPITests`.
@Suite("Processes that train together", .oneThread) @Compute struct RanksTests {
  let all = [Ranks(rank: 0, count: 3), Ranks(rank: 1, count: 3), Ranks(rank: 2, count: 3)]

  @Test("three processes' batches are the batch of one, three times as large, each sample once")
  func batches() throws {
    var options = CropFeedOptions()
    options.sizes = [.init(size: 8, weight: 1, batch: 4)]
    var large = options
    large.sizes[0].batch = 12
    let whole = try CropFeed(large, photographs: nil).batch(step: 5).pixels
    let each = 8 * 8 * 3
    for ranks in all {
      let part = try CropFeed(options, photographs: nil).batch(step: 5, ranks: ranks).pixels
      for i in 0..<4 {
        let (mine, theirs) = (i * each, (i * 3 + ranks.rank) * each)
        #expect(Array(part[mine..<mine + each]) == Array(whole[theirs..<theirs + each]))
      }
    }
  }

  @Test("so are noise and times; one time for the batch is one for all processes")
  func noise() throws {
    let x = Tensor.zeros([4, 8, 8, 3])
    let whole = StepNoise(NoiseStream(key: 1), step: 5, like: .zeros([12, 8, 8, 3]))
    for ranks in all {
      let part = StepNoise(NoiseStream(key: 1), step: 5, like: x, ranks: ranks)
      for i in 0..<4 {
        let sample = i * 3 + ranks.rank
        #expect(part.epsilon.sample(i).floats() == whole.epsilon.sample(sample).floats())
        #expect(part.times(from: 0.1, to: 0.9)[i] == whole.times(from: 0.1, to: 0.9)[sample])
      }
      #expect(part.commonTime()[0] == whole.commonTime()[0])
    }
  }

  @Test("gradients are exchanged in one row, with the loss before them, and keep their shapes")
  func exchange() throws {
    let (a, b) = (
      Parameter(name: "a", try Tensor([1, 2], shape: [2])), Parameter(name: "b", try Tensor([3], shape: [1, 1]))
    )
    var (_, gradients) = try withGradients {
      try a.tensor.squaredError(to: .zeros([2])).loss + b.tensor.squaredError(to: .zeros([1, 1])).loss
    }
    var numbers: [Float] = [7]
    var seen: [Float] = []
    gradients.exchange(of: [b, a], with: &numbers) { row in
      seen = Array(row)
      for i in row.indices { row[i] *= 2 }
    }
    #expect(seen == [7, 6, 1, 2] && numbers == [14])
    #expect(gradients[a]?.floats() == [2, 4] && gradients[b]?.floats() == [12] && gradients[b]?.shape == [1, 1])
  }

  @Test("without mpirun there is one process")
  func alone() throws {
    #expect(try Ranks.join(environment: [:]) == .alone)
    #expect(try Ranks.join(environment: ["OMPI_COMM_WORLD_SIZE": "1"]) == .alone)
  }
}
