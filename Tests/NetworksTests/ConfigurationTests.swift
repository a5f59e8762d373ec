import Networks
import Tensor
import Testing

@Suite("What a core's shape says before there is a network") struct ConfigurationTests {
  static let shapes: [([Int], [Int], Int)] = [
    ([64, 128, 176], [1, 2, 2], 1), ([8], [1], 0), ([8, 8], [3, 1], 2), ([12, 16, 20, 24], [1, 1, 2, 1], 1),
  ]

  @Test("the number of parameters is that of the network", arguments: shapes)
  func parameterCount(channels: [Int], blocks: [Int], middle: Int) {
    var c = UNetConfiguration()
    (c.channels, c.blocks, c.middle, c.embedding, c.fold) = (channels, blocks, middle, 16, 2)
    #expect(c.problem == nil)
    let network = UNet(c)
    #expect(network.parameters.reduce(0) { $0 + $1.value.count } == c.parameterCount)
  }

  @Test("more levels than a size can be halved are refused, however many", arguments: [9, 65, 10_000])
  func levels(count: Int) {
    var c = UNetConfiguration()
    (c.channels, c.blocks) = (Array(repeating: 8, count: count), Array(repeating: 1, count: count))
    #expect(c.problem?.contains("at most 8 levels") == true)
  }

  @Test("the largest shape that is allowed can still be counted")
  func largest() {
    var c = UNetConfiguration()
    (c.channels, c.blocks) = (Array(repeating: 2048, count: 8), Array(repeating: 16, count: 8))
    (c.middle, c.fold, c.pictureChannels, c.embedding, c.nativeSize) = (16, 8, 16, 4096, 1024)
    #expect(c.problem == nil && c.parameterCount > 1 << 33)
  }
}
