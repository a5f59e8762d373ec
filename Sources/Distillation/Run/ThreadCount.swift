internal import Foundation
internal import Tensor

/// How many threads a training step computes on.
public enum ThreadCount: Sendable, Hashable {
  /// `OMP_NUM_THREADS`, or every core: the same bits on every run.
  case all
  case exactly(Int)
  /// The cores that other processes leave, at least one, looked at every second. Threads that wait for one another at each
  /// operation are slower on a core that is half busy than not there at all. Gradients are summed in another order when the
  /// number changes, so a run is repeatable only up to rounding.
  case free

  /// `auto`, or a number from 1.
  public init?(_ text: String) {
    switch (text, Int(text)) {
    case ("auto", _): self = .free
    case (_, let n?) where n > 0: self = .exactly(n)
    default: return nil
    }
  }

  /// What `free` chooses, from 1 to `cores`, while other processes keep `others` cores busy on average.
  public static func threads(cores: Int, others: Double) -> Int {
    // A quarter of a core is the noise of an idle machine.
    max(1, cores - Int((others - 0.25).rounded(.up).clamped(to: 0...Double(cores))))
  }
}

/// Applies a `ThreadCount` between steps.
@Compute struct ThreadChoice {
  private let count: ThreadCount
  private let cores = ProcessInfo.processInfo.activeProcessorCount
  private var last = CPUTime.now

  init(_ count: ThreadCount) {
    self.count = count
    if case .exactly(let n) = count { Compute.threads = n }
  }

  mutating func beforeStep() {
    guard count == .free, let last, let now = CPUTime.now, now.wall - last.wall >= 1 else { return }
    let others = (now.all - last.all - (now.own - last.own)) / (now.wall - last.wall)
    Compute.threads = ThreadCount.threads(cores: cores, others: others)
    self.last = now
  }
}

extension Double {
  fileprivate func clamped(to range: ClosedRange<Double>) -> Double {
    min(max(self, range.lowerBound), range.upperBound)
  }
}

/// Seconds of CPU that were used since some moment, by everybody and by this process.
private struct CPUTime {
  var wall, all, own: Double

  /// `nil` without Linux's `/proc/stat`.
  static var now: CPUTime? {
    guard let text = try? String(contentsOfFile: "/proc/stat", encoding: .utf8),
      let line = text.split(separator: "\n").first
    else { return nil }
    // cpu user nice system idle iowait irq softirq steal …, in clock ticks (proc(5)).
    let ticks = line.split(separator: " ").dropFirst().prefix(7).compactMap { Double($0) }
    guard ticks.count == 7 else { return nil }
    let busy = ticks.reduce(0, +) - ticks[3] - ticks[4]
    return CPUTime(
      wall: seconds(CLOCK_MONOTONIC), all: busy / Double(sysconf(Int32(_SC_CLK_TCK))),
      own: seconds(CLOCK_PROCESS_CPUTIME_ID))
  }

  private static func seconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
