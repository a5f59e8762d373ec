import Pipelines
import Testing

@Suite("Cutting a picture into regions") struct RegionPlanTests {
  struct Choice: Sendable, CustomStringConvertible {
    let granularity, region, overlap: Int
    var description: String { "granularity \(granularity), region \(region), overlap \(overlap)" }
  }
  static let choices = [
    Choice(granularity: 8, region: 256, overlap: 32), Choice(granularity: 8, region: 64, overlap: 16),
    Choice(granularity: 8, region: 64, overlap: 0), Choice(granularity: 8, region: 50, overlap: 20),
    Choice(granularity: 8, region: 8, overlap: 100), Choice(granularity: 12, region: 100, overlap: 30),
    Choice(granularity: 1, region: 37, overlap: 5), Choice(granularity: 64, region: 200, overlap: 32),
  ]

  @Test("every size is covered by few equal regions on the grid that share what was asked for", arguments: choices)
  func covers(_ choice: Choice) {
    let g = choice.granularity
    let largest = max(g, choice.region / g * g)
    let shared = min(choice.overlap, largest - g)
    let onGrid = (shared + g - 1) / g * g
    for size in 1...600 {
      let plan = RegionPlan(
        width: size, height: 601 - size, granularity: g, region: choice.region, overlap: choice.overlap)
      #expect(plan.count == plan.columns.count * plan.rows.count)
      for (asked, length, side, starts) in [
        (size, plan.width, plan.regionWidth, plan.columns), (601 - size, plan.height, plan.regionHeight, plan.rows),
      ] {
        let n = starts.count
        let fits = length >= asked && length % g == 0 && side % g == 0 && side <= largest
        let reaches = starts.first == 0 && starts.last == length - side && starts.allSatisfy { $0 % g == 0 }
        let shares = zip(starts, starts.dropFirst()).allSatisfy { $0 < $1 && $0 + side - $1 >= shared }
        // One region fewer of the largest kind would not do, and a picture that fits in one gets one.
        let isFew = n == 1 ? asked <= largest : largest + (n - 2) * (largest - onGrid) < asked + g && asked > largest
        let isTight = n == 1 || length < asked + g
        #expect(fits && reaches && shares && isFew && isTight, "\(asked) pixels: \(plan)")
      }
    }
  }

  @Test("weights are positive everywhere, and those of all regions add up to 1 at every pixel", arguments: choices)
  func weights(_ choice: Choice) {
    for size in 1...600 {
      let plan = RegionPlan(
        width: size, height: 1, granularity: choice.granularity, region: choice.region, overlap: choice.overlap)
      var sums = [Float](repeating: 0, count: plan.width)
      var isPositive = true
      for (start, weights) in zip(plan.columns, plan.columnWeights) {
        isPositive = isPositive && weights.count == plan.regionWidth && weights.allSatisfy { $0 > 0 && $0 <= 1 }
        for (i, weight) in weights.enumerated() { sums[start + i] += weight }
      }
      #expect(isPositive && sums.allSatisfy { abs($0 - 1) < 1e-5 }, "\(size) pixels: \(plan)")
    }
  }

  @Test("where regions meet, the newcomer's weight rises without a step")
  func smooth() {
    let plan = RegionPlan(width: 1000, height: 1000, granularity: 8, region: 256, overlap: 32)
    for weights in plan.columnWeights + plan.rowWeights {
      for (a, b) in zip(weights, weights.dropFirst()) { #expect(abs(a - b) < 0.06) }
    }
    #expect(
      plan.columnWeights.dropFirst().allSatisfy { ($0.first ?? 1) < 0.001 }, "a region's border counts for nothing")
    #expect(plan.columnWeights.first?.first == 1, "the picture's own edge is not faded")
  }

  @Test("pictures of every size are served by a handful of region shapes")
  func fewShapes() {
    var sides = Set<Int>()
    for size in 1...3000 {
      sides.insert(RegionPlan(width: size, height: 1, granularity: 8, region: 256, overlap: 32).regionWidth)
    }
    #expect(sides == [32, 64, 128, 160, 192, 224, 256])
  }
}
