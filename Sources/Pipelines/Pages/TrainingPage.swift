internal import Bundles
public import Foundation

/// One self-contained HTML page of a run folder: curves, sheets of samples, the recipe, the data with its licences, and
/// digests. It reads what the run wrote and nothing else, so it can be made of any run folder, finished or not.
public struct TrainingPage {
  private let folder: URL
  private let recipe: String
  private let lines: [Line]
  private let sheets: [URL]

  /// A line of `metrics.ndjson`.
  private struct Line: Decodable {
    let step: Int
    let samples: Int
    let values: [String: Double]
  }

  /// - Throws: `ConversionError` when the folder holds no recipe.
  public init(_ folder: URL) throws(ConversionError) {
    self.folder = folder
    guard let recipe = try? String(contentsOf: folder.appending(path: "recipe.yaml"), encoding: .utf8) else {
      throw ConversionError(
        .noInput, at: folder.path, "There is no recipe.yaml.", remedy: "Name the folder of a training run.")
    }
    self.recipe = recipe
    let text = (try? String(contentsOf: folder.appending(path: "metrics.ndjson"), encoding: .utf8)) ?? ""
    let decoder = JSONDecoder()
    lines = text.split(separator: "\n").compactMap { try? decoder.decode(Line.self, from: Data($0.utf8)) }
    let sheetFolder = folder.appending(path: "sheets")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: sheetFolder.path)) ?? []
    sheets = names.filter { $0.hasSuffix(".png") }.sorted().map { sheetFolder.appending(path: $0) }
  }

  public func write(to path: String) throws { try Page.write(try html(), to: path) }

  func html() throws -> String {
    let node = try? YAML.parse(recipe, source: "recipe.yaml")
    let title = [node?["name"]?.text, node?["version"]?.text].compactMap { $0 }.joined(separator: "@")
    var body = """
      <header>
      <h1>\(Page.escaped(title.isEmpty ? folder.lastPathComponent : title))</h1>
      <p>\(Page.escaped(state(node)))</p>
      </header>
      <h2>Curves</h2>
      <div class="charts">\(charts())</div>

      """
    if let last = sheets.last, let png = try? Data(contentsOf: last) {
      body += """
        <h2>Samples</h2>
        <p class="note">\(Page.escaped(sheetNote(node, last)))</p>
        <figure class="sheet"><img src="\(Page.uri(png: png))" alt="Samples"></figure>

        """
      // The way there, without the last one.
      for sheet in Self.spread(sheets.dropLast(), 4) {
        guard let png = try? Data(contentsOf: sheet) else { continue }
        body += """
          <details><summary>after \(Self.samples(sheet)) samples</summary>
          <figure class="sheet"><img src="\(Page.uri(png: png))" alt="Earlier samples"></figure></details>

          """
      }
    }
    body += "<h2>Data</h2>\n\(data(node))\n"
    body += "<h2>Recipe</h2>\n<pre>\(Page.escaped(recipe))</pre>\n"
    body += "<h2>Digests</h2>\n\(EvaluationPage.words(digests(), ["what", "SHA-256"]))\n"
    return Page.document(title: title, style: Page.style, body: body)
  }

  private func state(_ node: Node?) -> String {
    let kind = node?["kind"]?.text == "core" ? "A core" : "An adapter for \(node?["core"]?.text ?? "a core")"
    let wanted = node?["training"]?["samples"]?.text ?? "?"
    guard let last = lines.last else { return "\(kind); nothing was logged yet, of \(wanted) samples." }
    let hours = lines.reduce(0.0) { $0 + ($1.values["seconds"] ?? 0) } * Double(Self.stride(lines)) / 3600
    let loss = last.values["loss"].map { String(format: ", loss %.4f", $0) } ?? ""
    return "\(kind); \(last.samples) of \(wanted) samples, \(last.step) steps\(loss), about "
      + String(format: "%.1f", hours) + " hours of computing."
  }

  /// Steps between two lines, whose values are means of them.
  private static func stride(_ lines: [Line]) -> Int {
    lines.count > 1 ? max(1, lines[lines.count - 1].step - lines[lines.count - 2].step) : lines.first?.step ?? 1
  }

  /// Families of values in one chart each: the words before the first `-` that several share.
  private func charts() -> String {
    let names = Set(lines.flatMap(\.values.keys)).sorted()
    let families = Dictionary(grouping: names) { name in
      ["loss-t", "mu-", "loss-"].first { name.hasPrefix($0) && name != "loss" } ?? name
    }
    let titles = [
      "loss": "loss", "loss-t": "loss by quarter of the time axis, clean to noise", "loss-": "loss by size or part",
      "mu-": "mean |μ| by place", "gradient-norm": "gradient norm", "rate": "learning rate",
      "seconds": "seconds a step",
      "threads": "threads",
    ]
    let known = ["loss", "loss-t", "loss-", "mu-", "gradient-norm"]
    let order = known + families.keys.filter { !known.contains($0) }.sorted()
    return order.compactMap { family -> String? in
      guard let members = families[family] else { return nil }
      let drawn = members.prefix(7).map { name in
        Chart.Line(
          name: name.hasPrefix(family) && name != family ? String(name.dropFirst(family.count)) : name,
          points: lines.compactMap { line in line.values[name].map { .init(x: Double(line.samples), y: $0) } },
          isNoisy: true)
      }
      let isLoss = family.hasPrefix("loss") || family == "gradient-norm"
      let svg = Chart(title: titles[family] ?? family, lines: drawn, x: "samples", isLogY: isLoss).svg
      return svg.isEmpty ? nil : "<figure>\(svg)</figure>"
    }.joined(separator: "\n")
  }

  private func sheetNote(_ node: Node?, _ sheet: URL) -> String {
    let after = "After \(Self.samples(sheet)) samples, with the averaged weights"
    return node?["kind"]?.text == "core"
      ? "\(after), 50 steps." : "\(after): the condition, results of a rising number of steps, the truth."
  }

  private static func samples(_ sheet: URL) -> String {
    String(Int(sheet.deletingPathExtension().lastPathComponent) ?? 0)
  }

  /// At most so many, spread evenly.
  private static func spread(_ all: ArraySlice<URL>, _ count: Int) -> [URL] {
    let all = Array(all)
    return all.count <= count ? all : (0..<count).map { all[$0 * all.count / count] }
  }

  private func data(_ node: Node?) -> String {
    let photographs = node?["data"]?["photographs"]?.items ?? []
    var rows = photographs.map { source in
      (
        name: "\(source["path"]?.text ?? "?") (\(source["license"]?.text ?? "CC0-1.0"))",
        digest: source["sha256"]?.text ?? source["source"]?.text ?? "–"
      )
    }
    if rows.isEmpty || node?["data"]?["crops"]?["mixture"] != nil {
      rows.append((name: "pictures drawn by the program", digest: "–"))
    }
    return EvaluationPage.words(rows, ["data", "SHA-256, or where from"])
  }

  private func digests() -> [(name: String, digest: String)] {
    ["recipe.yaml", "start.yaml", "metrics.ndjson", "checkpoint.safetensors"].compactMap { name in
      (try? SHA256.hex(ofFile: folder.appending(path: name).path)).map { (name, $0) }
    } + (checkpointCore.map { [("core", $0)] } ?? [])
  }

  private var checkpointCore: String? {
    let path = folder.appending(path: "checkpoint.safetensors").path
    return (try? SafetensorsFile(path: path))?.metadata["core-digest"]
  }
}
