public import Bundles
internal import Foundation
internal import Imaging
public import Metrics

/// One self-contained HTML page of an evaluation: figures, curves over the number of steps, samples, the recipe, the data
/// with its licences, and the digests of everything that had a part in it.
public struct EvaluationPage {
  public var results: EvaluationResults
  public var manifest: Manifest
  /// What is known to have been used, with SHA-256: bundle, core, plugin.
  public var digests: [(name: String, digest: String)] = []
  /// The bundle's `recipe.yaml`.
  public var recipe: String?
  /// Differences from another adapter, by method.
  public var against: (name: String, rows: [(title: String, figures: [(measure: Measure, value: Interval)])])?
  /// The command that repeats it.
  public var command = ""

  public init(_ results: EvaluationResults, _ manifest: Manifest) {
    (self.results, self.manifest) = (results, manifest)
  }

  public func write(to path: String) throws { try Page.write(try html(), to: path) }

  func html() throws -> String {
    let title = "\(manifest.name)@\(manifest.version)"
    let decides =
      switch results.suite.primary {
      case .perceptual: "The perceptual distance to the originals decides"
      case .kernelAboveFloor: "The kernel distance from real pictures, above its floor, decides"
      }
    var body = """
      <header>
      <h1>\(Page.escaped(title))</h1>
      <p>\(Page.escaped(manifest.summary)) Measured on \(results.n) pictures, suite \(Page.escaped(results.suite.name)).</p>
      </header>
      <h2>Figures</h2>
      <p class="note">Means over the pictures with 95 % bootstrap intervals. \(decides); that was fixed before training.</p>
      \(Page.table(results.figures))

      """
    if let sets = results.sets {
      body += """
        <p class="note">All results together against \(results.referenceCount) real pictures. The floor is what the
        originals themselves score. None of these is FID unless it says so.</p>
        \(Page.table(sets))

        """
    }
    if let against {
      body += """
        <h2>Against \(Page.escaped(against.name))</h2>
        <p class="note">\(Page.escaped(title)) minus \(Page.escaped(against.name)), picture by picture; an interval without 0
        means that they differ.</p>
        \(Page.table(EvaluationResults.differences(against.rows, "difference")))

        """
    }
    let charts = charts()
    if !charts.isEmpty { body += "<h2>Steps</h2>\n<div class=\"charts\">\(charts)</div>\n" }
    body += "<h2>Samples</h2>\n\(try samples())\n"
    body += "<h2>Training</h2>\n<p>\(Page.escaped(training))</p>\n\(dataTable)\n"
    if let recipe { body += "<details><summary>The recipe</summary><pre>\(Page.escaped(recipe))</pre></details>\n" }
    body += "<h2>Digests</h2>\n\(Self.words(digests + results.digests, ["what", "SHA-256"]))\n"
    if !command.isEmpty { body += "<pre>\(Page.escaped(command))</pre>\n" }
    return Page.document(title: title, style: Page.style, body: body)
  }

  private var training: String {
    let from = manifest.training.from.map { ", \(manifest.training.samplesInAll) since before \($0)" } ?? ""
    return "Method \(manifest.training.method), \(manifest.training.samplesSeen) samples\(from), on core "
      + "\(manifest.requires.core ?? "none"). Licence \(manifest.license)."
  }

  private var dataTable: String {
    Self.words(
      manifest.training.data.map { ("\($0.name) (\($0.license))", $0.sha256 ?? $0.source ?? "–") },
      ["data", "SHA-256, or where from"])
  }

  /// Two columns of words.
  static func words(_ rows: [(name: String, digest: String)], _ header: [String]) -> String {
    Page.table(Table(header, rows.map { [$0.name, $0.digest] }))
      .replacing("<table>", with: "<table class=\"words\">")
  }

  /// Every measure that more than one number of steps has, over the steps.
  private func charts() -> String {
    let stepped = results.methods.filter { $0.method.steps != nil }
    guard stepped.count > 1 else { return "" }
    func figures(_ measure: Measure, of result: MethodResult) -> Interval? {
      (result.interval(measure) ?? result.sets.first { $0.measure == measure }?.value)?.scaled(by: measure.factor)
    }
    return (results.measures + results.floors.map(\.measure)).compactMap { measure in
      let points = stepped.compactMap { result in
        figures(measure, of: result).map {
          Chart.Point(x: Double(result.method.steps ?? 1), y: $0.mean, low: $0.low, high: $0.high)
        }
      }
      guard points.count > 1 else { return nil }
      let plain = results.methods.filter { $0.method.steps == nil }.compactMap { result in
        figures(measure, of: result).map { (result.method.title, $0.mean) }
      }
      let floor = results.floors.filter { $0.measure == measure }.map { ("floor", $0.value.mean * measure.factor) }
      let chart = Chart(
        title: measure.title, lines: [.init(name: measure.title, points: points)], x: "steps", isLogX: true,
        levels: plain + floor)
      return "<figure>\(chart.svg)</figure>"
    }.joined(separator: "\n")
  }

  /// Rows of pictures: what was brought, each method, the original. Large pictures show their middle.
  private func samples() throws -> String {
    let columns = (results.shown.first?.inputs.count ?? 1) + results.methods.count + 1
    var cells = (0..<(results.shown.first?.inputs.count ?? 1)).map { $0 == 0 ? "input" : "and" }
    cells += results.methods.map(\.method.title) + ["original"]
    var grid = cells.map { "<div>\(Page.escaped($0))</div>" }
    for (number, pair) in results.shown.enumerated() {
      let (w, h) = (pair.original.width, pair.original.height)
      let side = min(192, w, h)
      func cut(_ bitmap: Bitmap) throws -> String {
        let scale = max(1, w / bitmap.width)
        let s = side / scale
        let part = bitmap.cropped(x: (bitmap.width - s) / 2, y: (bitmap.height - s) / 2, width: s, height: s)
        let kind = s <= 128 ? " class=\"pixels\"" : ""
        return
          "<img\(kind) src=\"\(try Page.uri(part))\" alt=\"\(Page.escaped(pair.name))\" title=\"\(Page.escaped(pair.name))\">"
      }
      grid += try pair.inputs.map(cut) + results.methods.map { try cut($0.shown[number]) } + [try cut(pair.original)]
    }
    return
      "<div class=\"samples\" style=\"grid-template-columns: repeat(\(columns), 1fr)\">\n\(grid.joined(separator: "\n"))\n</div>"
  }
}
