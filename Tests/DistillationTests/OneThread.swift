import Foundation
import Tensor
import Testing

/// Computes a test on one thread: toy networks spend more time waiting for each other's threads than computing, above all
/// beside other work.
struct OneThread: SuiteTrait, TestTrait, TestScoping {
  var isRecursive: Bool { true }

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    guard !test.isSuite else { return try await function() }
    await Self.enter()
    do { try await function() } catch {
      await Self.leave()
      throw error
    }
    await Self.leave()
  }

  /// Tests of several suites take turns on the compute thread: the first one in and the last one out set the number.
  @Compute private static var inside = 0
  @Compute private static var before: Int32 = 1

  @Compute private static func enter() {
    if inside == 0 { before = use(1) }
    inside += 1
  }

  @Compute private static func leave() {
    inside -= 1
    if inside == 0 { use(before) }
  }

  /// Sets the number of libgomp's threads for the calling thread.
  /// - Returns: the number before.
  @discardableResult static func use(_ count: Int32) -> Int32 {
    guard let get = dlsym(nil, "omp_get_max_threads"), let set = dlsym(nil, "omp_set_num_threads") else { return count }
    let before = unsafeBitCast(get, to: (@convention(c) () -> Int32).self)()
    unsafeBitCast(set, to: (@convention(c) (Int32) -> Void).self)(count)
    return before
  }
}

extension Trait where Self == OneThread {
  static var oneThread: Self { OneThread() }
}
