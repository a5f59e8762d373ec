import Distillation
import Testing

@Suite("Compute threads beside other programs") struct ThreadCountTests {
  @Test(
    "one thread fewer for each core that others use, more or less, and never none",
    arguments: [(0.0, 4), (0.2, 4), (0.5, 3), (1.0, 3), (1.2, 3), (1.4, 2), (2.9, 1), (3.9, 1), (9, 1)])
  func free(others: Double, threads: Int) { #expect(ThreadCount.threads(cores: 4, others: others) == threads) }

  @Test("auto and numbers from 1 are the words for it")
  func words() {
    #expect(ThreadCount("auto") == .free && ThreadCount("3") == .exactly(3))
    for text in ["0", "-1", "all of them", ""] { #expect(ThreadCount(text) == nil) }
  }
}
