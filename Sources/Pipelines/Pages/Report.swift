public import Bundles
internal import Foundation
internal import Imaging

/// One self-contained HTML page of a job's results: each picture before and after behind a slider, its time, and what
/// failed.
///
/// It is told a job's events and looks at the written files, so it shows what a reader of the results gets. Where the
/// adapter enlarges, "before" is the input enlarged by a bicubic kernel.
public struct Report: Sendable {
  /// Pictures on the page; a longer job's others are only counted, so that the page stays one a browser opens.
  public static let limit = 2000
  /// Largest side of a picture on a page with as many: some 20 MB for 2000 pictures.
  static func side(pictures: Int) -> Int { pictures <= 100 ? 512 : pictures <= 500 ? 256 : 128 }

  private let adapters: String
  private let settings: String
  /// What is shown, with the time of what this run made.
  private var shown: [(item: JobItem, timing: ItemTiming?)] = []
  private var failures: [(input: String, reason: String)] = []
  private var converted = 0, earlier = 0
  private var seconds = 0.0

  /// - Parameters: what the heading says.
  public init(adapters: [Manifest], steps: Int?, seed: UInt64) {
    self.adapters = adapters.map { "\($0.name)@\($0.version)" }.joined(separator: " → ")
    let steps = steps ?? (adapters.count == 1 ? adapters[0].sampling?.defaultSteps : nil)
    settings = (steps.map { "\($0) \($0 == 1 ? "step" : "steps"), " } ?? "") + "seed \(seed)"
  }

  /// Takes note of an event.
  public mutating func add(_ event: JobEvent) {
    switch event {
    case .converted(let item, let made):
      converted += 1
      if shown.count < Self.limit { shown.append((item, made.timing)) }
    case .skipped(let item, .done):
      earlier += 1
      if shown.count < Self.limit { shown.append((item, nil)) }
    case .failed(let item, _, let reason): failures.append((item.input, reason))
    case .finished(_, let time): seconds = time
    case .started, .skipped, .retried: break
    }
  }

  /// Finds out before the work whether a page can be written there.
  /// - Throws: `ConversionError` when it cannot.
  public static func check(_ path: String) throws(ConversionError) {
    var status = stat()
    let isFolder = stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    var template = Array(PathText.join(PathText.folder(of: path), ".codi-report-XXXXXX").utf8CString)
    let file = isFolder ? -1 : mkstemp(&template)
    guard file >= 0 else {
      throw ConversionError(
        .outputFolder, at: path,
        "The report cannot be written: \(isFolder ? "it is a folder" : String(cString: strerror(errno))); nothing was converted.",
        remedy: "Name another file with --report.")
    }
    close(file)
    unlink(template)
  }

  /// Writes the page, complete or not at all.
  /// - Throws: `ConversionError` when the file cannot be written.
  public func write(to path: String) throws(ConversionError) {
    do { try Data(html.utf8).write(to: URL(filePath: path), options: .atomic) } catch {
      throw ConversionError(
        .outputFolder, at: path, "The report cannot be written: \(error.localizedDescription)",
        remedy: "The pictures are written; name another file with --report.")
    }
  }

  /// The page; results are read now, with their inputs.
  public var html: String {
    var (figures, failures) = ([String](), failures)
    let side = Self.side(pictures: shown.count)
    for (item, timing) in shown {
      do { figures.append(try Self.figure(item, timing, side: side)) } catch {
        failures.append((item.output, "The result cannot be shown: \(error)"))
      }
    }
    let hidden = converted + earlier - shown.count
    let summary =
      "\(converted) converted, \(self.failures.count) failed, \(Self.time(seconds))"
      + (earlier > 0 ? ", \(earlier) finished earlier" : "") + "; \(settings)"
      + (hidden > 0 ? "; the first \(shown.count) are shown" : "")
    // Most errors name the file themselves.
    let errors = failures.map { $0.reason.hasPrefix($0.input) ? $0.reason : "\($0.input): \($0.reason)" }
      .map { "<li>\(Page.escaped($0))</li>" }
    let body = """
      <h1>\(Page.escaped(adapters))</h1>
      <p>\(summary). Drag the line, or press the arrow keys.</p>
      \(errors.isEmpty ? "" : "<h2>Failed</h2>\n<ul>\(errors.joined(separator: "\n"))</ul>")
      <main>
      \(figures.joined(separator: "\n"))
      </main>
      <script>
      addEventListener('input', e => e.target.parentNode.style.setProperty('--at', e.target.value + '%'))
      </script>
      """
    return Page.document(title: adapters, style: Self.style(side: side), body: body)
  }

  private static func figure(_ item: JobItem, _ timing: ItemTiming?, side: Int) throws(ImagingError) -> String {
    let (input, output) = (try readBitmap(item.input), try readBitmap(item.output))
    let cut = Cut(input, output, side: side)
    let (before, after) = (try uri(cut.before, side), try uri(cut.after, side))
    let name = Page.escaped(PathText.name(of: item.output))
    let kind = output.width > input.width ? "bicubic" : "before"
    let parts = timing.map {
      "decode \(time($0.decode)), network \(time($0.network)), encode \(time($0.encode))"
    }
    return """
      <figure>
      <div class="pair" style="width: \(cut.after.width)px; aspect-ratio: \(cut.after.width) / \(cut.after.height)">
      <img src="\(before)" alt="\(name), before">
      <img class="after" src="\(after)" alt="\(name), after">
      <span>\(kind)</span><span>after</span>
      <input type="range" min="0" max="100" value="50" step="0.1" aria-label="How much of \(name) is shown as before">
      </div>
      <figcaption>\(name)<small title="\(parts ?? "")">\(input.width) × \(input.height) → \
      \(output.width) × \(output.height), \(timing.map { time($0.total) } ?? "finished earlier")\(cut.note)</small></figcaption>
      </figure>
      """
  }

  private static func uri(_ bitmap: Bitmap, _ side: Int) throws(ImagingError) -> String {
    "data:image/jpeg;base64," + Data(try encodeJPEG(bitmap, quality: side < 512 ? 80 : 92)).base64EncodedString()
  }

  private static func time(_ seconds: Double) -> String {
    String(format: seconds < 10 ? "%.2f s" : "%.0f s", seconds)
  }

  private static func style(side: Int) -> String {
    """
    :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
    body { margin: 2rem auto; max-width: 1120px; padding: 0 1rem }
    h1 { font-size: 1.4rem; margin: 0 } p { margin: 0 0 2rem; opacity: .7 }
    main { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, \(max(160, side))px), 1fr)); gap: 2rem }
    figure { margin: 0; content-visibility: auto; contain-intrinsic-size: auto \(side)px } figcaption small { display: block; opacity: .7 }
    .pair { --at: 50%; position: relative; max-width: 100%; overflow: hidden; border-radius: 4px }
    .pair img { position: absolute; inset: 0; width: 100%; height: 100% }
    .after { clip-path: inset(0 0 0 var(--at)) }
    .pair::after { content: ""; position: absolute; inset: 0 auto 0 var(--at); width: 2px; margin-left: -1px;
      background: #fff; box-shadow: 0 0 3px #000; pointer-events: none }
    .pair span { position: absolute; bottom: .5rem; left: .5rem; padding: 0 .5em; border-radius: 3px; font-size: .75rem;
      background: #000a; color: #fff; pointer-events: none }
    .pair span + span { left: auto; right: .5rem }
    .pair input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: ew-resize }
    .pair:focus-within { outline: 2px solid Highlight; outline-offset: 2px }
    """
  }
}

/// What the page shows of a result: its middle at its own pixels where the adapter enlarges (reduced, it would look like its
/// input), else all of it, reduced.
private struct Cut {
  let before, after: Bitmap
  let note: String

  init(_ input: Bitmap, _ output: Bitmap, side: Int) {
    let scale = output.width / input.width
    let longest = max(output.width, output.height)
    if longest > side && scale > 1 && output.width == scale * input.width && output.height == scale * input.height {
      // The middle in input pixels, and as much around it as the kernel reaches.
      let (w, h) = (min(input.width, side / scale), min(input.height, side / scale))
      let (x, y) = ((input.width - w) / 2, (input.height - h) / 2)
      let (left, top) = (min(x, 4), min(y, 4))
      let part = input.part(
        x: x - left, y: y - top, width: min(input.width - x, w + 4) + left, height: min(input.height - y, h + 4) + top)
      before = part.resized(width: part.width * scale, height: part.height * scale)
        .part(x: left * scale, y: top * scale, width: w * scale, height: h * scale)
      after = output.part(x: x * scale, y: y * scale, width: w * scale, height: h * scale)
      note = "; the middle is shown"
    } else {
      let reduction = min(1, Double(side) / Double(longest))
      let width = max(1, Int((Double(output.width) * reduction).rounded()))
      let height = max(1, Int((Double(output.height) * reduction).rounded()))
      before = input.resized(width: width, height: height)
      after = output.resized(width: width, height: height)
      note = reduction < 1 ? "; shown reduced" : ""
    }
  }
}

extension Bitmap {
  fileprivate func resized(width w: Int, height h: Int) -> Bitmap {
    guard (w, h) != (width, height) else { return self }
    let values = ResamplingKernel.bicubic.resampled(
      pixels.map { Float($0) / 255 }, width: width, height: height, channels: 3, to: (w, h))
    return Bitmap(width: w, height: h, pixels: values.map { quantised($0) })
  }

  fileprivate func part(x: Int, y: Int, width w: Int, height h: Int) -> Bitmap {
    var rows: [UInt8] = []
    for row in y..<(y + h) {
      let start = (row * width + x) * 3
      rows += pixels[start..<(start + w * 3)]
    }
    return Bitmap(width: w, height: h, pixels: rows)
  }
}
