internal import Foundation
internal import Imaging

/// What all HTML pages share: each is one file that loads nothing from elsewhere.
enum Page {
  /// - Parameter body: markup; texts in it went through ``escaped(_:)``.
  static func document(title: String, style: String, body: String) -> String {
    """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>\(escaped(title))</title>
    <style>\(style)</style>
    </head>
    <body>
    \(body)
    </body>
    </html>

    """
  }

  static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
      .replacing("\"", with: "&quot;")
  }

  /// A picture inside the page: small ones to the last bit, larger ones as JPEG.
  static func uri(_ bitmap: Bitmap, quality: Int = 92) throws(ImagingError) -> String {
    max(bitmap.width, bitmap.height) <= 128
      ? uri(png: Data(try encodePNG(bitmap)))
      : "data:image/jpeg;base64," + Data(try encodeJPEG(bitmap, quality: quality)).base64EncodedString()
  }

  static func uri(png: Data) -> String { "data:image/png;base64," + png.base64EncodedString() }

  /// Writes a page, complete or not at all.
  static func write(_ html: String, to path: String) throws(ConversionError) {
    do { try Data(html.utf8).write(to: URL(filePath: path), options: .atomic) } catch {
      throw ConversionError(
        .outputFolder, at: path, "The page cannot be written: \(error.localizedDescription)",
        remedy: "Name another file.")
    }
  }

  static func table(_ table: Table) -> String {
    let head = table.header.map { "<th>\(escaped($0))</th>" }.joined()
    let rows = table.rows.map { row in
      "<tr>" + row.enumerated().map { $0 == 0 ? "<th>\(cell($1))</th>" : "<td>\(cell($1))</td>" }.joined() + "</tr>"
    }
    return
      "<div class=\"wide\"><table><thead><tr>\(head)</tr></thead><tbody>\n\(rows.joined(separator: "\n"))\n</tbody></table></div>"
  }

  /// The interval of `1.23 [1.10, 1.36]` small and below.
  private static func cell(_ text: String) -> String {
    guard let bracket = text.firstIndex(of: "["), text.hasSuffix("]") else { return escaped(text) }
    return "\(escaped(String(text[..<bracket]))) <small>\(escaped(String(text[bracket...])))</small>"
  }

  /// Looks of the pages that report on training and evaluation.
  static let style = """
    :root { color-scheme: light; --ink: #1c1b19; --soft: #6f6a62; --line: #ded9d0; --accent: #1f5f99;
      font: 17px/1.55 "Iowan Old Style", "Palatino Linotype", Palatino, "URW Palladio L", "Book Antiqua", Georgia, serif;
      color: var(--ink); background: #fffdf9 }
    body { margin: 4rem auto 6rem; max-width: 62rem; padding: 0 1.5rem; font-variant-numeric: lining-nums tabular-nums }
    header { border-bottom: 1px solid var(--ink); padding-bottom: 1.2rem; margin-bottom: 2.5rem }
    h1 { font-size: 2.3rem; font-weight: normal; line-height: 1.15; margin: 0 0 .4rem; letter-spacing: -.01em }
    h2 { font-size: 1.3rem; font-weight: normal; font-style: italic; margin: 3.2rem 0 .8rem; color: var(--accent) }
    p { margin: .5rem 0; max-width: 44rem } header p, .note, figcaption { color: var(--soft) } .note { font-size: .88rem }
    .wide { overflow-x: auto } table { border-collapse: collapse; font-size: .9rem; margin: .6rem 0; min-width: 50% }
    th, td { text-align: right; padding: .38rem 0 .38rem 1.6rem; vertical-align: baseline; white-space: nowrap }
    th { font-weight: normal } th:first-child { text-align: left; padding-left: 0 }
    thead th { color: var(--soft); font-size: .8rem; border-top: 1px solid var(--ink); border-bottom: 1px solid var(--line) }
    tbody tr + tr > * { border-top: 1px solid var(--line) } tbody tr:last-child > * { border-bottom: 1px solid var(--ink) }
    td small { display: block; color: var(--soft); font-size: .74rem; line-height: 1.2 }
    table.words th, table.words td { text-align: left; white-space: normal; overflow-wrap: anywhere }
    table.words td { font: .76rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace }
    .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 1.5rem 2.5rem; margin: 1rem 0 }
    figure { margin: 0 } svg { width: 100%; height: auto; overflow: visible } svg text { font: 12px system-ui, sans-serif; fill: var(--soft) }
    svg .title { fill: var(--ink); font-size: 13px }
    .samples { display: grid; gap: .35rem; align-items: start; font-size: .8rem; margin: 1rem 0 0 50%;
      width: min(94vw, 88rem); transform: translateX(-50%) }
    .samples div { color: var(--soft); text-align: center } .samples img { width: 100%; display: block }
    .samples img.pixels { image-rendering: pixelated } .sheet img { max-width: 100%; image-rendering: pixelated }
    pre, code { font: .78rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace } code { overflow-wrap: anywhere }
    pre { background: #f6f2ea; padding: 1rem 1.2rem; overflow-x: auto; border-radius: 3px }
    details { margin: .6rem 0 } summary { cursor: pointer; color: var(--accent) }
    @media print { body { margin: 0; max-width: none } details > * { display: block } }
    """
}

/// Texts in rows, for a page or for Markdown.
public struct Table: Sendable, Hashable {
  public let header: [String]
  public let rows: [[String]]

  public init(_ header: [String], _ rows: [[String]]) { (self.header, self.rows) = (header, rows) }

  public var markdown: String {
    ([header, header.map { _ in "---" }] + rows).map { "| \($0.joined(separator: " | ")) |" }.joined(separator: "\n")
  }
}
