internal import Foundation

/// Which part of a job this process does: every `count`-th picture, beginning with number `index`.
public struct Share: Sendable, Hashable, CustomStringConvertible {
  /// 0 ..< count.
  public let index: Int
  public let count: Int

  /// The whole job.
  public static let whole = Share(index: 0, count: 1)

  public init(index: Int, count: Int) {
    precondition((0..<count).contains(index), "share \(index) of \(count)")
    self.index = index
    self.count = count
  }

  /// `I/N` with I from 1 to N.
  public init(_ text: String) throws(ConversionError) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let index = parts[0], let count = parts[1], index >= 1, index <= count else {
      throw ConversionError(
        .options, at: "--share \(text)", "This is no share.", remedy: "Write 1/4, 2/4, 3/4 and 4/4, for example.")
    }
    self.init(index: index - 1, count: count)
  }

  /// `I/N` with I from 1.
  public var description: String { "\(index + 1)/\(count)" }

  func contains(_ number: Int) -> Bool { number % count == index }

  /// What the engine that started this process gives it: Open MPI, MPICH or a Slurm step by rank, a Slurm job array and
  /// a Kubernetes indexed Job by task; steps inside array tasks share the task's part. The whole job without an engine.
  ///
  /// - Throws: `ConversionError` for variables that contradict each other, and for an indexed Job without its size.
  public static func from(_ environment: [String: String]) throws(ConversionError) -> Share {
    var outer = try array(environment)
    if outer == nil { outer = try indexedJob(environment) }
    let (tasks, ranks) = (outer ?? .whole, try rank(environment) ?? .whole)
    return Share(index: tasks.index * ranks.count + ranks.index, count: tasks.count * ranks.count)
  }

  private static func rank(_ environment: [String: String]) throws(ConversionError) -> Share? {
    let names = [("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE")]
    for (rank, size) in names where environment[rank] != nil { return try read(rank, size, environment) }
    // A batch script is rank 0 by its variables, but runs once: only what srun starts has a step.
    let isBatchScript = environment["ENVIRONMENT"] == "BATCH" && environment["SLURM_STEP_ID"] == nil
    guard environment["SLURM_PROCID"] != nil, !isBatchScript else { return nil }
    let size = environment["SLURM_STEP_NUM_TASKS"] == nil ? "SLURM_NTASKS" : "SLURM_STEP_NUM_TASKS"
    // Without a number of tasks there is one.
    return environment[size] == nil ? nil : try read("SLURM_PROCID", size, environment)
  }

  private static func array(_ environment: [String: String]) throws(ConversionError) -> Share? {
    guard environment["SLURM_ARRAY_TASK_ID"] != nil, environment["SLURM_ARRAY_TASK_COUNT"] != nil else { return nil }
    let step = max(1, environment["SLURM_ARRAY_TASK_STEP"].flatMap { Int($0) } ?? 1)
    return try read(
      "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", environment,
      first: environment["SLURM_ARRAY_TASK_MIN"].flatMap { Int($0) } ?? 0, step: step)
  }

  private static func indexedJob(_ environment: [String: String]) throws(ConversionError) -> Share? {
    guard environment["JOB_COMPLETION_INDEX"] != nil else { return nil }
    return try read("JOB_COMPLETION_INDEX", "COMPLETIONS", environment)
  }

  private static func read(
    _ index: String, _ count: String, _ environment: [String: String], first: Int = 0, step: Int = 1
  ) throws(ConversionError) -> Share {
    guard let i = environment[index].flatMap({ Int($0) }), let n = environment[count].flatMap({ Int($0) }), n > 0,
      (i - first) % step == 0, (0..<n).contains((i - first) / step)
    else {
      throw ConversionError(
        .options, at: "\(index)=\(environment[index] ?? "")",
        "With \(count)=\(environment[count] ?? "(not set)") this names no share of the pictures.",
        remedy: "Set both, or say --share I/N; --share 1/1 is everything.")
    }
    return Share(index: (i - first) / step, count: n)
  }
}
