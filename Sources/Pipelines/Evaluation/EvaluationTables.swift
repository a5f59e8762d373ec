internal import Foundation
public import Metrics

extension EvaluationResults {
  /// Methods by measures: means over the pictures with their intervals, and seconds a picture.
  public var figures: Table {
    let rows = methods.map { result in
      [result.method.title]
        + measures.map { Self.cell(result.interval($0), $0) }
        + [result.seconds.isEmpty ? "–" : String(format: "%.2f", result.secondsEach)]
    }
    return Table(["\(suite.name), n = \(n)"] + measures.map(\.title) + ["s a picture"], rows)
  }

  /// Methods by distances between all results and real pictures, with what lies above the floor; `nil` where none was
  /// measured.
  public var sets: Table? {
    guard !floors.isEmpty else { return nil }
    var rows = methods.map { result in
      [result.method.title]
        + result.sets.flatMap { [Self.cell($0.value, $0.measure), Self.cell($0.aboveFloor, $0.measure)] }
    }
    rows.append(["originals (floor)"] + floors.flatMap { [Self.cell($0.value, $0.measure), "–"] })
    return Table(
      ["n = \(n) against \(referenceCount)"] + floors.flatMap { [$0.measure.title, "above floor"] }, rows)
  }

  /// The figure that decides: of a method, and its measure.
  public func primary(_ result: MethodResult) -> (measure: Measure, value: Interval)? {
    switch suite.primary {
    case .perceptual:
      return measures.first { $0.key.hasPrefix("pd-") }.flatMap { measure in
        result.interval(measure).map { (measure, $0) }
      }
    case .kernelAboveFloor:
      return result.sets.first { $0.measure.key.hasPrefix("kd-") }.flatMap { figure in
        figure.aboveFloor.map { (figure.measure, $0) }
      }
    }
  }

  /// A row for each figure, of what two adapters differ by.
  public static func differences(
    _ found: [(title: String, figures: [(measure: Measure, value: Interval)])], _ name: String
  ) -> Table {
    let measures = found.first?.figures.map(\.measure) ?? []
    return Table(
      [name] + measures.map(\.title),
      found.map { row in
        [row.title]
          + measures.map { measure in
            cell(row.figures.first { $0.measure == measure }?.value, measure, isSigned: true)
          }
      })
  }

  static func cell(_ interval: Interval?, _ measure: Measure, isSigned: Bool = false) -> String {
    guard let interval = interval?.scaled(by: measure.factor) else { return "–" }
    let format = "%\(isSigned ? "+" : "").\(measure.digits)f"
    func text(_ value: Double) -> String { String(format: format, value) }
    return "\(text(interval.mean)) [\(text(interval.low)), \(text(interval.high))]"
  }
}

extension MethodResult {
  public var secondsEach: Double { seconds.reduce(0, +) / Double(max(1, seconds.count)) }
}
