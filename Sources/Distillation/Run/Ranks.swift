internal import CMPI
internal import Foundation
internal import Tensor

/// The processes that train together, `mpirun -n K codi train …`: each takes a `K`-th of a batch that is `K` times as large,
/// and all make the same update with the mean of their gradients.
public struct Ranks: Sendable, Hashable {
  /// 0 is the one that writes the run folder and speaks.
  public let rank: Int
  public let count: Int

  package init(rank: Int, count: Int) { (self.rank, self.count) = (rank, count) }

  public static let alone = Ranks(rank: 0, count: 1)
  public var isFirst: Bool { rank == 0 }

  /// The processes that mpirun started beside this one; ``alone`` without it.
  /// - Throws: `TrainingError` when the library that mpirun belongs to cannot be used.
  @Compute public static func join() throws(TrainingError) -> Ranks {
    try join(environment: ProcessInfo.processInfo.environment)
  }

  @Compute package static func join(environment: [String: String]) throws(TrainingError) -> Ranks {
    guard let size = environment["OMPI_COMM_WORLD_SIZE"].flatMap({ Int($0) }), size > 1 else { return .alone }
    var (rank, count) = (Int32(0), Int32(1))
    var text = [CChar](repeating: 0, count: 512)
    guard cm_join(&rank, &count, &text, text.count) == 0 else {
      let reason = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      throw TrainingError(
        .run, at: "mpirun", "The \(size) processes cannot talk to each other: \(reason).",
        remedy: "Install Open MPI's library (libopenmpi3 of the same version as mpirun), or train without mpirun.")
    }
    return Ranks(rank: Int(rank), count: Int(count))
  }

  /// Waits for the others and leaves; nothing can be exchanged after it.
  @Compute public func leave() { if count > 1 { cm_leave() } }

  /// Sample `i` of this process in the whole batch. Neighbouring samples lie in different processes, so that each sees all
  /// levels of noise.
  package func sample(_ i: Int) -> Int { i * count + rank }

  /// Whether any process says so.
  @Compute func any(_ flag: Bool) throws(TrainingError) -> Bool {
    try largest([flag ? 1 : 0])[0] > 0
  }

  /// The largest of each number over all processes.
  @Compute func largest(_ values: [Double]) throws(TrainingError) -> [Double] {
    guard count > 1 else { return values }
    var values = values
    try check(cm_largest(&values, Int64(values.count)))
    return values
  }

  /// The means over all processes, in place.
  @Compute func average(_ values: UnsafeMutableBufferPointer<Float>) throws(TrainingError) {
    guard count > 1 else { return }
    try check(cm_sum(values.baseAddress, Int64(values.count)))
    for i in values.indices { values[i] /= Float(count) }
  }

  private func check(_ status: Int32) throws(TrainingError) {
    guard status != 0 else { return }
    throw TrainingError(
      .run, at: "mpirun", "Process \(rank) lost the others: MPI's error \(status).",
      remedy: "Start the same command again; the run resumes from its checkpoint.")
  }
}
