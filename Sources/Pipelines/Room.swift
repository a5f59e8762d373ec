/// How many pictures are under way: so many jobs, and more of them where pictures are small, as long as all their results
/// have no more pixels than as many regions of the largest size. So there are always some to share an evaluation
/// (`NetworkQueue`), while others are decoded and encoded.
package struct Room: Sendable {
  private let jobs, region: Int
  private var count = 0, held = 0
  private var isClosed = false

  /// - Parameters:
  ///   - jobs: 1 is one picture, however small.
  ///   - region: side of the largest region.
  package init(jobs: Int, region: Int) { (self.jobs, self.region) = (max(1, jobs), region) }

  /// How many results of so many pixels have the room of one job, where there are several.
  static func shared(_ pixels: Int, region: Int) -> Int {
    max(1, min(NetworkQueue.most, region * region / max(1, pixels)))
  }

  /// Takes the room of a picture whose result has so many pixels, if there is some.
  /// - Parameter isAlone: nothing else shall be under way.
  package mutating func take(_ pixels: Int, isAlone: Bool = false) -> Bool {
    let isSmall = count < jobs * NetworkQueue.most && pixels <= jobs * region * region - held
    guard count == 0 || !isAlone && !isClosed && (count < jobs || jobs > 1 && isSmall) else { return false }
    count += 1
    held += min(pixels, Self.most)
    isClosed = isAlone
    return true
  }

  /// The picture that took this room is done.
  package mutating func give(_ pixels: Int) {
    count -= 1
    held -= min(pixels, Self.most)
    if count == 0 { isClosed = false }
  }

  /// Larger results than any are counted as this, so that sums do not overflow.
  private static let most = 1 << 40
}
