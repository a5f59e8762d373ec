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
  @Compute private static var before = 1

  @Compute private static func enter() {
    if inside == 0 { (before, Compute.threads) = (Compute.threads, 1) }
    inside += 1
  }

  @Compute private static func leave() {
    inside -= 1
    if inside == 0 { Compute.threads = before }
  }
}

extension Trait where Self == OneThread {
  static var oneThread: Self { OneThread() }
}
