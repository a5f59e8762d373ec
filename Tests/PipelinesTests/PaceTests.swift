import Pipelines
import Testing

@Suite("The time that is left") struct PaceTests {
  @Test("nothing is claimed before a picture is done")
  func silent() {
    var pace = Pace(items: 10, total: 10)
    pace.go(0.9)
    #expect(pace.progress(at: 60).left == nil)
  }

  @Test("at an even pace it is what is left at that pace, and falls to nothing")
  func even() throws {
    var pace = Pace(items: 100, total: 100)
    for i in 1...100 {
      pace.finish(1, at: 3 * Double(i))
      let left = try #require(pace.progress(at: 3 * Double(i)).left)
      #expect(abs(left.lowerBound - Double(100 - i) * 3) < 1e-6 && abs(left.upperBound - left.lowerBound) < 1e-6)
    }
    #expect(pace.progress(at: 300).fraction == 1)
  }

  @Test("after a change of pace the truth lies between the two ends, and the new pace wins in time")
  func change() throws {
    var (pace, time) = (Pace(items: 300, total: 300), 0.0)
    for i in 1...200 {
      time += i <= 100 ? 1 : 4
      pace.finish(1, at: time)
      guard i > 132 else { continue }
      let left = try #require(pace.progress(at: time).left)
      #expect(abs(left.upperBound - Double(300 - i) * 4) < 1e-6)
      #expect(left.lowerBound < left.upperBound)
    }
  }

  @Test("a picture whose regions are all done is still to be written: 100 % is when the last one is")
  func lastPicture() {
    var pace = Pace(items: 1, total: 10)
    pace.go(10)
    #expect(pace.progress(at: 1).fraction < 1)
    pace.finish(10, at: 2)
    #expect(pace.progress(at: 2).fraction == 1)
  }

  @Test("large pictures count more than small ones, and small ones more than their bytes")
  func weights() {
    #expect(Pace.weight(bytes: 1_000_000) == 1_000_000)
    #expect(Pace.weight(bytes: 10) == 4096 && Pace.weight(bytes: nil) == 4096)
  }
}
