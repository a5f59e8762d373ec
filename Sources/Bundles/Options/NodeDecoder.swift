/// Reads Decodable values from what a text gives and what its defaults hold, and notices keys nobody asked for.
final class NodeDecoder: Decoder {
  let codingPath: [any CodingKey]
  let userInfo: [CodingUserInfoKey: Any] = [:]
  private var layers: Layers
  private let source: String
  private let keysAreData: Bool
  /// The keys that were asked for, or nil when all of them were listed, or this was not read as a mapping.
  private var asked: Set<String>?
  /// Decoders handed out for nested containers, checked together with this one.
  private var nested: [NodeDecoder] = []

  private init(_ layers: Layers, path: [any CodingKey], _ source: String, keysAreData: Bool) {
    self.layers = layers
    codingPath = path
    self.source = source
    self.keysAreData = keysAreData
  }

  /// Reads one value; what goes wrong inside is reported at the innermost place in the text.
  static func value<T: Decodable>(
    _ type: T.Type, _ layers: Layers, path: [any CodingKey], _ source: String
  ) throws -> T {
    if let node = layers.top as? T { return node }
    let decoder = NodeDecoder(layers, path: path, source, keysAreData: type is any KeyedByData.Type)
    do {
      let value = try T(from: decoder)
      try decoder.refuseUnknownKeys()
      return value
    } catch let error as BundleError {
      throw error
    } catch {
      throw decoder.error(.invalidValue, why(error, type, layers.top), remedy(type))
    }
  }

  private static func why(_ error: any Error, _ type: any Any.Type, _ node: Node?) -> String {
    guard let error = error as? DecodingError else { return "\(error)." }
    if let node, type is any CaseIterable.Type { return "\(node.summary) is not one of the choices." }
    switch error {
    case .dataCorrupted(let context), .keyNotFound(_, let context), .valueNotFound(_, let context),
      .typeMismatch(_, let context):
      return context.debugDescription + (context.debugDescription.hasSuffix(".") ? "" : ".")
    @unknown default: return "\(error)."
    }
  }

  private static func remedy(_ type: any Any.Type) -> String {
    guard let type = type as? any CaseIterable.Type else { return "Correct the value." }
    return "Use one of: \(choices(type).joined(separator: ", "))."
  }

  private static func choices<T: CaseIterable>(_ type: T.Type) -> [String] {
    type.allCases.map { ($0 as? any RawRepresentable).map { "\($0.rawValue)" } ?? Options.kebab("\($0)") }
  }

  private func refuseUnknownKeys() throws {
    for child in nested { try child.refuseUnknownKeys() }
    guard let asked, let pairs = layers.given?.pairs else { return }
    guard let unknown = pairs.first(where: { !asked.contains($0.key) }) else { return }
    let near = Options.nearest(to: unknown.key, among: asked)
    throw YAML.error(
      .unknownKey, source, unknown.keyMark, "Unknown key \"\(unknown.key)\"\(here).",
      remedy: near.map { "Did you mean \"\($0)\"?" }
        ?? (asked.isEmpty ? "Remove it." : "Known keys: \(asked.sorted().joined(separator: ", "))."))
  }

  /// ` in "a.b"`, for a value that is not the root.
  private var here: String {
    var path = ""
    for key in codingPath {
      let index = key is IndexKey
      path += (path.isEmpty || index ? "" : ".") + (index ? key.stringValue : Options.kebab(key.stringValue))
    }
    return path.isEmpty ? "" : " in \"\(path)\""
  }

  private func error(_ code: BundleError.Code, _ reason: String, _ remedy: String) -> BundleError {
    YAML.error(code, source, layers.top?.mark ?? .none, reason, remedy: remedy)
  }

  /// Where a key that nobody asked for yet looks like `name`.
  private func misspelt(_ name: String) -> String? {
    let pairs = layers.given?.pairs?.filter { asked?.contains($0.key) == false } ?? []
    guard let near = Options.nearest(to: name, among: pairs.map(\.key)),
      let pair = pairs.first(where: { $0.key == near })
    else { return nil }
    return "Rename \"\(near)\" (line \(pair.keyMark.line)), or add it."
  }

  private func mismatch(_ expected: String) -> BundleError {
    error(
      .invalidValue, "Expected \(expected)\(here), found \(layers.top?.summary ?? "nothing").", "Correct the value.")
  }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    // A section whose keys are all commented out means its defaults.
    if layers.given?.isNull == true, layers.fallback?.pairs != nil { layers.given = nil }
    if let top = layers.top, top.pairs == nil { throw mismatch("a mapping") }
    if asked == nil { asked = [] }
    return KeyedDecodingContainer(Keyed(decoder: self))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    guard let items = layers.top?.items else { throw mismatch("a sequence") }
    return Unkeyed(decoder: self, items: items)
  }

  func singleValueContainer() -> any SingleValueDecodingContainer { Single(decoder: self) }

  private struct Keyed<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let decoder: NodeDecoder
    var codingPath: [any CodingKey] { decoder.codingPath }

    private func name(_ key: any CodingKey) -> String {
      let name = decoder.keysAreData ? key.stringValue : Options.kebab(key.stringValue)
      decoder.asked?.insert(name)
      return name
    }

    private func layers(_ key: any CodingKey) throws -> Layers {
      let name = name(key)
      let layers = decoder.layers[name]
      guard layers.top != nil else {
        throw decoder.error(
          .missingKey, "The key \"\(name)\" is missing\(decoder.here).", decoder.misspelt(name) ?? "Add it.")
      }
      return layers
    }

    /// The keys of the text if it has this mapping, else those of the defaults.
    var allKeys: [Key] {
      let pairs = decoder.layers.top?.pairs ?? []
      if decoder.keysAreData { decoder.asked = nil }
      return pairs.compactMap { pair in
        let key = decoder.keysAreData ? nil : Key(stringValue: Options.camel(pair.key))
        return key ?? Key(stringValue: pair.key)
      }
    }

    func contains(_ key: Key) -> Bool { decoder.layers[name(key)].top != nil }

    func decodeNil(forKey key: Key) throws -> Bool { decoder.layers[name(key)].top?.isNull ?? true }

    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
      try NodeDecoder.value(type, layers(key), path: codingPath + [key], decoder.source)
    }

    private func nested(_ key: any CodingKey) throws -> NodeDecoder {
      let child = NodeDecoder(try layers(key), path: codingPath + [key], decoder.source, keysAreData: false)
      decoder.nested.append(child)
      return child
    }

    func nestedContainer<Nested: CodingKey>(
      keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> { try nested(key).container(keyedBy: type) }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
      try nested(key).unkeyedContainer()
    }

    /// The class above reads the same mapping.
    func superDecoder() throws -> any Decoder { decoder }
    func superDecoder(forKey key: Key) throws -> any Decoder { try nested(key) }
  }

  private struct Unkeyed: UnkeyedDecodingContainer {
    let decoder: NodeDecoder
    let items: [Node]
    var currentIndex = 0
    var codingPath: [any CodingKey] { decoder.codingPath }
    var count: Int? { items.count }
    var isAtEnd: Bool { currentIndex == items.count }

    init(decoder: NodeDecoder, items: [Node]) {
      self.decoder = decoder
      self.items = items
    }

    private mutating func next() throws -> NodeDecoder {
      guard !isAtEnd else {
        throw decoder.error(
          .invalidValue, "The sequence\(decoder.here) has only \(items.count) items.", "Add what is missing.")
      }
      let child = NodeDecoder(
        Layers(given: items[currentIndex]), path: codingPath + [IndexKey(currentIndex)], decoder.source,
        keysAreData: false)
      currentIndex += 1
      decoder.nested.append(child)
      return child
    }

    mutating func decodeNil() throws -> Bool {
      guard !isAtEnd, items[currentIndex].isNull else { return false }
      currentIndex += 1
      return true
    }

    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
      let item = try next()
      return try NodeDecoder.value(type, item.layers, path: item.codingPath, decoder.source)
    }

    mutating func nestedContainer<Nested: CodingKey>(
      keyedBy type: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> { try next().container(keyedBy: type) }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { try next().unkeyedContainer() }
    mutating func superDecoder() throws -> any Decoder { try next() }
  }

  private struct Single: SingleValueDecodingContainer {
    let decoder: NodeDecoder
    var codingPath: [any CodingKey] { decoder.codingPath }

    func decodeNil() -> Bool { decoder.layers.top?.isNull ?? true }

    func decode(_ type: Bool.Type) throws -> Bool {
      switch plain {
      case "true": true
      case "false": false
      default: throw decoder.mismatch("true or false")
      }
    }

    func decode(_ type: String.Type) throws -> String {
      guard let node = decoder.layers.top, let text = node.text, !node.isNull else {
        throw decoder.mismatch("a text")
      }
      return text
    }

    func decode(_ type: Double.Type) throws -> Double { try float() }
    func decode(_ type: Float.Type) throws -> Float { try float() }
    func decode(_ type: Int.Type) throws -> Int { try integer() }
    func decode(_ type: Int8.Type) throws -> Int8 { try integer() }
    func decode(_ type: Int16.Type) throws -> Int16 { try integer() }
    func decode(_ type: Int32.Type) throws -> Int32 { try integer() }
    func decode(_ type: Int64.Type) throws -> Int64 { try integer() }
    func decode(_ type: UInt.Type) throws -> UInt { try integer() }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try integer() }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try integer() }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try integer() }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try integer() }

    func decode<T: Decodable>(_ type: T.Type) throws -> T {
      try NodeDecoder.value(type, decoder.layers, path: codingPath, decoder.source)
    }

    /// The text of an unquoted scalar.
    private var plain: String? {
      if case .scalar(let text, quoted: false)? = decoder.layers.top?.value { text } else { nil }
    }

    private func integer<T: FixedWidthInteger>() throws -> T {
      guard let plain, YAML.plainKind(plain) == .integer else { throw decoder.mismatch("an integer") }
      guard let value = T(plain) else { throw decoder.mismatch("an integer from \(T.min) to \(T.max)") }
      return value
    }

    private func float<T: BinaryFloatingPoint & LosslessStringConvertible>() throws -> T {
      guard let plain else { throw decoder.mismatch("a number") }
      switch (YAML.plainKind(plain), plain) {
      case (.number, ".inf"), (.number, "+.inf"): return .infinity
      case (.number, "-.inf"): return -.infinity
      case (.number, let text), (.integer, let text):
        guard let value = T(text), value.isFinite else { throw decoder.mismatch("a number") }
        return value
      default: throw decoder.mismatch("a number")
      }
    }
  }
}
