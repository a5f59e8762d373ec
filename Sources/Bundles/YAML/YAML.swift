internal import Clibyaml
public import Foundation

/// YAML under the strict profile of bundles and recipes: one document, no aliases, anchors, tags, merge keys,
/// directives, or duplicate keys.
public enum YAML {
  /// How much text, nesting, and how many values are accepted.
  public struct Limits: Sendable, Hashable {
    public var bytes: Int
    public var depth: Int
    public var events: Int

    public init(bytes: Int = 64 * 1024, depth: Int = 16, events: Int = 20_000) {
      self.bytes = bytes
      self.depth = depth
      self.events = events
    }
  }

  /// Parses one document of the strict profile.
  /// - Parameter source: The file's name, for errors (`source:line:column`).
  public static func parse(_ text: String, source: String, limits: Limits = Limits()) throws(BundleError) -> Node {
    try parse(Data(text.utf8), source: source, limits: limits)
  }

  /// Parses one document of the strict profile from UTF-8 bytes.
  public static func parse(_ data: Data, source: String, limits: Limits = Limits()) throws(BundleError) -> Node {
    guard data.count <= limits.bytes else {
      throw BundleError(
        .limit, at: source, "The file has \(data.count) bytes; at most \(limits.bytes) are read.",
        remedy: "Shorten it.")
    }
    // libyaml skips a byte-order mark at the start of any line; other readers do not.
    if let mark = data.range(of: Data([0xEF, 0xBB, 0xBF])) {
      let line = data[..<mark.lowerBound].count { $0 == 10 } + 1
      throw BundleError(
        .forbidden, at: "\(source):\(line)", "A byte-order mark is not allowed.", remedy: "Save as plain UTF-8.")
    }
    let bytes = [UInt8](data)
    let parser = try EventParser(bytes: bytes, source: source, limits: limits)
    return try parser.document()
  }

  static func error(
    _ code: BundleError.Code, _ source: String, _ mark: Mark, _ reason: String, remedy: String
  ) -> BundleError {
    BundleError(code, at: mark.line > 0 ? "\(source):\(mark)" : source, reason, remedy: remedy)
  }
}

/// libyaml's event parser, turned into nodes; everything outside the profile is refused at its event.
private final class EventParser {
  /// On the heap, since libyaml keeps pointers into both.
  private let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
  private let input: UnsafeMutableBufferPointer<UInt8>
  private let source: String
  private let limits: YAML.Limits
  private var events = 0

  init(bytes: [UInt8], source: String, limits: YAML.Limits) throws(BundleError) {
    self.source = source
    self.limits = limits
    input = .allocate(capacity: max(bytes.count, 1))
    _ = input.initialize(from: bytes)
    guard yaml_parser_initialize(parser) == 1 else {
      parser.initialize(to: yaml_parser_t())  // makes `deinit` harmless
      throw BundleError(.limit, at: source, "libyaml is out of memory.", remedy: "Free memory and try again.")
    }
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    yaml_parser_set_input_string(parser, input.baseAddress, bytes.count)
  }

  deinit {
    yaml_parser_delete(parser)
    parser.deallocate()
    input.deallocate()
  }

  private enum Event {
    case start, end, documentStart, documentEnd
    case scalar(String, quoted: Bool)
    case sequenceStart, mappingStart, containerEnd
  }

  func document() throws(BundleError) -> Node {
    _ = try next()
    let (first, mark) = try next()
    guard case .documentStart = first else {
      throw refuse(.forbidden, mark, "The file is empty.", "Write at least one key.")
    }
    let opening = try next()
    let root = try node(opening, depth: 0)
    _ = try next()
    let (last, lastMark) = try next()
    guard case .end = last else {
      throw refuse(.forbidden, lastMark, "A second document starts here; one is allowed.", "Remove it.")
    }
    return root
  }

  private func node(_ opening: (Event, Mark), depth: Int) throws(BundleError) -> Node {
    let (event, mark) = opening
    switch event {
    case .scalar(let text, let quoted): return Node(.scalar(text, quoted: quoted), mark: mark)
    case .sequenceStart:
      try check(depth: depth + 1, mark)
      var items: [Node] = []
      while true {
        let item = try next()
        if case .containerEnd = item.0 { return Node(.sequence(items), mark: mark) }
        items.append(try node(item, depth: depth + 1))
      }
    case .mappingStart:
      try check(depth: depth + 1, mark)
      return Node(.mapping(try pairs(depth: depth + 1)), mark: mark)
    case .start, .end, .documentStart, .documentEnd, .containerEnd:
      throw refuse(.syntax, mark, "A value is missing.", "Write one.")
    }
  }

  private func pairs(depth: Int) throws(BundleError) -> [Node.Pair] {
    var pairs: [Node.Pair] = []
    var lines: [String: Int] = [:]
    while true {
      let (event, mark) = try next()
      if case .containerEnd = event { return pairs }
      guard case .scalar(let key, let quoted) = event else {
        throw refuse(.forbidden, mark, "A key must be a plain text.", "Replace the mapping or sequence by a word.")
      }
      guard !key.isEmpty else { throw refuse(.forbidden, mark, "A key is empty.", "Name it.") }
      if key == "<<", !quoted {
        throw refuse(.forbidden, mark, "Merge keys (<<) are not allowed.", "Write the keys out.")
      }
      if let line = lines.updateValue(mark.line, forKey: key) {
        throw refuse(.forbidden, mark, "The key \"\(key)\" occurs twice, first on line \(line).", "Remove one.")
      }
      let value = try next()
      pairs.append(Node.Pair(key, try node(value, depth: depth), keyMark: mark))
    }
  }

  private func check(depth: Int, _ mark: Mark) throws(BundleError) {
    guard depth <= limits.depth else {
      throw refuse(.limit, mark, "Nested deeper than \(limits.depth) levels.", "Flatten the file.")
    }
  }

  /// The next event, its strings copied and itself freed.
  private func next() throws(BundleError) -> (Event, Mark) {
    var event = yaml_event_t()
    guard yaml_parser_parse(parser, &event) == 1 else { throw syntaxError() }
    defer { yaml_event_delete(&event) }
    let mark = Mark(event.start_mark)
    events += 1
    guard events <= limits.events else {
      throw refuse(.limit, mark, "More than \(limits.events) values and keys.", "Shorten the file.")
    }
    switch event.type {
    case YAML_STREAM_START_EVENT: return (.start, mark)
    case YAML_STREAM_END_EVENT: return (.end, mark)
    case YAML_DOCUMENT_START_EVENT:
      let start = event.data.document_start
      guard start.version_directive == nil, start.tag_directives.start == start.tag_directives.end else {
        throw refuse(.forbidden, mark, "Directives (%YAML, %TAG) are not allowed.", "Remove the line.")
      }
      return (.documentStart, mark)
    case YAML_DOCUMENT_END_EVENT: return (.documentEnd, mark)
    case YAML_SCALAR_EVENT:
      let scalar = event.data.scalar
      try refuse(anchor: scalar.anchor, tag: scalar.tag, mark)
      let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
      return (.scalar(text, quoted: scalar.style != YAML_PLAIN_SCALAR_STYLE), mark)
    case YAML_SEQUENCE_START_EVENT:
      try refuse(anchor: event.data.sequence_start.anchor, tag: event.data.sequence_start.tag, mark)
      return (.sequenceStart, mark)
    case YAML_MAPPING_START_EVENT:
      try refuse(anchor: event.data.mapping_start.anchor, tag: event.data.mapping_start.tag, mark)
      return (.mappingStart, mark)
    case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: return (.containerEnd, mark)
    case YAML_ALIAS_EVENT:
      throw refuse(.forbidden, mark, "Aliases (*name) are not allowed.", "Write the value out.")
    default: throw refuse(.syntax, mark, "libyaml reports an unknown event.", "Simplify the file.")
    }
  }

  private func refuse(
    anchor: UnsafeMutablePointer<UInt8>?, tag: UnsafeMutablePointer<UInt8>?, _ mark: Mark
  ) throws(BundleError) {
    if anchor != nil { throw refuse(.forbidden, mark, "Anchors (&name) are not allowed.", "Remove it.") }
    if tag != nil { throw refuse(.forbidden, mark, "Tags (!name) are not allowed.", "Remove it.") }
  }

  private func refuse(_ code: BundleError.Code, _ mark: Mark, _ reason: String, _ remedy: String) -> BundleError {
    YAML.error(code, source, mark, reason, remedy: remedy)
  }

  private func syntaxError() -> BundleError {
    let state = parser.pointee
    let problem = state.problem.map { String(cString: $0) } ?? "unreadable"
    if state.error == YAML_READER_ERROR {
      // Reader errors carry a byte offset and no mark.
      let line = input.prefix(state.problem_offset).count { $0 == 10 } + 1
      return BundleError(
        .syntax, at: "\(source):\(line)", "Not YAML: \(problem).", remedy: "Save as UTF-8 without control characters.")
    }
    // An unclosed quote or bracket is noticed at the end of the file; the context's mark is where it opened.
    let context = state.context.map { " (\(String(cString: $0)), line \(state.context_mark.line + 1))" } ?? ""
    return refuse(.syntax, Mark(state.problem_mark), "Not YAML: \(problem)\(context).", "Correct the line.")
  }
}

extension Mark {
  fileprivate init(_ mark: yaml_mark_t) { self.init(line: mark.line + 1, column: mark.column + 1) }
}
