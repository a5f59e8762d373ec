internal import Adapters
internal import Bundles
internal import Imaging
internal import Networks
internal import Synchronization
internal import Tensor

/// Where pictures wait for the network. Those of one region each share an evaluation, as many as are there: kernels run
/// faster on several, and no bit of a result depends on its company.
package final class NetworkQueue: Sendable {
  /// Pictures in an evaluation, however small.
  static let most = 16

  /// How many pictures that are cut like this share an evaluation at most: all have half the pixels of a region of the
  /// largest size, for larger evaluations take memory and gain nothing. Powers of two, so that few sets of prepared
  /// kernels serve all.
  static func together(_ plan: RegionPlan, region: Int) -> Int {
    guard plan.count == 1 else { return 1 }
    return powerOfTwo(upTo: min(most, region * region / 2 / (plan.regionWidth * plan.regionHeight)))
  }

  private static func powerOfTwo(upTo n: Int) -> Int { 1 << (Int.bitWidth - 1 - max(1, n).leadingZeroBitCount) }

  /// Pictures for which this is equal can share an evaluation.
  private struct Kind: Hashable {
    let settings: Chain.Settings
    let stage: Int
    let width, height: Int
  }

  private struct Waiting: Sendable {
    let number: Int
    let kind: Kind
    let converter: Converter
    let input: SmallPicture.Input
  }

  /// The network's picture, and its part of the seconds.
  private typealias Answer = (values: [Float], seconds: Double)

  private struct State: Sendable {
    var number = 0
    var waiting: [Waiting] = []
    var answers: [Int: Result<Answer, any Error>] = [:]
    var largest = 0
  }

  private let state = Mutex(State())
  private let lane = Lane()

  package init() {}

  /// Pictures that wait now.
  package var count: Int { state.withLock { $0.waiting.count } }
  /// The most that have shared an evaluation.
  package var largest: Int { state.withLock { $0.largest } }

  /// What one adapter makes of a picture, and the seconds that it took without waiting for others.
  /// - Parameters:
  ///   - pictures: what the adapter takes, in the manifest's order; the first one is converted.
  ///   - stage: the converter's place in the chain that `settings` are for.
  ///   - progress: share done, 0…1; only told of pictures that take several regions.
  func convert(
    _ pictures: [Picture], digest: [UInt8], _ converter: Converter, _ settings: Chain.Settings, stage: Int,
    progress: @escaping @Sendable (Double) -> Void, shouldStop: @escaping @Sendable () -> Bool
  ) async throws -> (picture: Picture, seconds: Double) {
    var seconds = 0.0
    if let small = try timed(&seconds, { try SmallPicture(converter, pictures, digest: digest) }) {
      let plan = small.input.plan
      let kind = Kind(settings: settings, stage: stage, width: plan.width, height: plan.height)
      let answer = try await evaluate(small.input, converter, kind, shouldStop)
      seconds += answer.seconds
      return (try timed(&seconds) { try small.result(answer.values) }, seconds)
    }
    return try await Compute.run { () throws in
      if shouldStop() { throw CancellationError() }
      let picture = pictures[0]
      lane.enter([picture.width, picture.height])
      var seconds = 0.0
      let made = try timed(&seconds) {
        try converter.convert(
          picture, with: Array(pictures.dropFirst()), digest: digest,
          progress: { done, all in progress(Double(done) / Double(max(1, all))) }, shouldStop: shouldStop)
      }
      return (made, seconds)
    }
  }

  private func evaluate(
    _ input: SmallPicture.Input, _ converter: Converter, _ kind: Kind, _ shouldStop: @escaping @Sendable () -> Bool
  ) async throws -> Answer {
    let number = state.withLock { state in
      state.number += 1
      state.waiting.append(Waiting(number: state.number, kind: kind, converter: converter, input: input))
      return state.number
    }
    while true {
      if let answer = state.withLock({ $0.answers.removeValue(forKey: number) }) { return try answer.get() }
      // Whoever comes first on the compute thread serves those who wait, so that nobody waits for company.
      await Compute.run { serve(shouldStop) }
    }
  }

  /// Evaluates the picture that has waited longest, with others of its kind.
  @Compute private func serve(_ shouldStop: () -> Bool) {
    let group = state.withLock { state -> [Waiting] in
      guard let first = state.waiting.first else { return [] }
      let most = Self.together(first.input.plan, region: first.converter.options.region)
      let alike = state.waiting.filter { $0.kind == first.kind }
      let group = Array(alike.prefix(Self.powerOfTwo(upTo: min(most, alike.count))))
      let numbers = Set(group.map(\.number))
      state.waiting.removeAll { numbers.contains($0.number) }
      state.largest = max(state.largest, group.count)
      return group
    }
    guard let first = group.first else { return }
    lane.enter([group.count, first.kind.width, first.kind.height])
    var seconds = 0.0
    let made = Result {
      try timed(&seconds) { try first.converter.evaluate(group.map(\.input), shouldStop: shouldStop) }
    }
    let part = seconds / Double(group.count)
    state.withLock { state in
      for (place, waiting) in group.enumerated() {
        state.answers[waiting.number] = made.map { (values: $0[place], seconds: part) }
      }
    }
  }
}

/// The compute thread's memory of the last shape it worked on.
@Compute private final class Lane {
  private var shape: [Int] = []

  nonisolated init() {}

  /// Blocks of the last shape would only pile up beside those of the next.
  func enter(_ shape: [Int]) {
    if !self.shape.isEmpty, self.shape != shape { trimMemoryPool() }
    self.shape = shape
  }
}

/// Adds to `seconds` what `body` takes.
func timed<R>(_ seconds: inout Double, _ body: () throws -> R) rethrows -> R {
  let start = ContinuousClock.now
  defer { seconds += (ContinuousClock.now - start) / .seconds(1) }
  return try body()
}
