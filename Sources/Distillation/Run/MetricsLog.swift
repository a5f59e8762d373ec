internal import Foundation

/// One line of metrics: a step and named numbers.
public struct MetricsLine: Codable, Sendable, Hashable {
  public var step: Int
  public var samples: Int
  public var values: [String: Double]
}

/// Means of named numbers over the steps since the last line; part of a checkpoint, so that a run stopped between two lines
/// writes the same next line as one that was not.
struct MetricsMean: Codable, Equatable {
  private var sums: [String: Double] = [:]
  private var counts: [String: Int] = [:]

  mutating func add(_ values: [String: Double]) {
    for (name, value) in values {
      sums[name, default: 0] += value
      counts[name, default: 0] += 1
    }
  }

  func line(step: Int, samples: Int) -> MetricsLine {
    let means = sums.map { ($0.key, $0.value / Double(counts[$0.key] ?? 1)) }
    return MetricsLine(step: step, samples: samples, values: Dictionary(uniqueKeysWithValues: means))
  }
}

/// `metrics.ndjson` of a run: appended to while training, cut back to the checkpoint on resuming.
final class MetricsLog {
  private(set) var lines: [MetricsLine] = []
  private let url: URL
  private let encoder = JSONEncoder()

  init(_ folder: RunFolder, upTo step: Int) throws(TrainingError) {
    url = folder.metrics
    encoder.outputFormatting = [.sortedKeys]
    let decoder = JSONDecoder()
    if step > 0, let text = try? String(contentsOf: url, encoding: .utf8) {
      lines = text.split(separator: "\n").compactMap { try? decoder.decode(MetricsLine.self, from: Data($0.utf8)) }
        .filter { $0.step <= step }
    }
    try save()
  }

  func append(_ line: MetricsLine) throws(TrainingError) {
    lines.append(line)
    do {
      let handle = try FileHandle(forWritingTo: url)
      defer { try? handle.close() }
      try handle.seekToEnd()
      try handle.write(contentsOf: try encoder.encode(line) + Data("\n".utf8))
    } catch { throw failure(error) }
  }

  private func save() throws(TrainingError) {
    do {
      let text = try lines.map { String(decoding: try encoder.encode($0), as: UTF8.self) + "\n" }.joined()
      try Data(text.utf8).write(to: url, options: .atomic)
    } catch { throw failure(error) }
  }

  private func failure(_ error: any Error) -> TrainingError {
    TrainingError(
      .run, at: url.path, "Metrics cannot be written: \(error.localizedDescription)",
      remedy: "Free some disk space; the run resumes from its checkpoint.")
  }
}
