/// Turns Encodable values into nodes, keeping the order in which properties are encoded.
final class NodeEncoder: Encoder {
  private enum Content {
    case nothing
    case node(Node)
    case items([NodeEncoder])
    case pairs([(String, NodeEncoder)])
  }

  let codingPath: [any CodingKey]
  let userInfo: [CodingUserInfoKey: Any] = [:]
  private let keysAreData: Bool
  private var content = Content.nothing

  private init(path: [any CodingKey], keysAreData: Bool) {
    codingPath = path
    self.keysAreData = keysAreData
  }

  static func node<T: Encodable>(of value: T, path: [any CodingKey]) throws -> Node {
    if let node = value as? Node { return node }
    let encoder = NodeEncoder(path: path, keysAreData: value is any KeyedByData)
    try value.encode(to: encoder)
    return encoder.node
  }

  private var node: Node {
    switch content {
    case .nothing: .mapping([])
    case .node(let node): node
    case .items(let items): .sequence(items.map(\.node))
    case .pairs(let pairs): .mapping(pairs.map { ($0.0, $0.1.node) })
    }
  }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    if case .pairs = content {} else { content = .pairs([]) }
    return KeyedEncodingContainer(Keyed(encoder: self))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    if case .items = content {} else { content = .items([]) }
    return Unkeyed(encoder: self)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { Single(encoder: self) }

  /// A child under `key`, or at the end of a sequence.
  private func child(_ key: (any CodingKey)? = nil) -> NodeEncoder {
    switch content {
    case .pairs(var pairs):
      let name = key?.stringValue ?? ""
      let child = NodeEncoder(path: codingPath + [key ?? IndexKey(pairs.count)], keysAreData: false)
      pairs.append((keysAreData ? name : Options.kebab(name), child))
      // Dictionaries come in any order; written, they are sorted.
      if keysAreData { pairs.sort { $0.0 < $1.0 } }
      content = .pairs(pairs)
      return child
    case .items(let items):
      let child = NodeEncoder(path: codingPath + [IndexKey(items.count)], keysAreData: false)
      content = .items(items + [child])
      return child
    case .nothing, .node: return self
    }
  }

  private func put<T: Encodable>(_ value: T, _ key: (any CodingKey)? = nil) throws {
    let child = child(key)
    child.content = .node(try NodeEncoder.node(of: value, path: child.codingPath))
  }

  private func put(_ node: Node) { content = .node(node) }

  private struct Keyed<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let encoder: NodeEncoder
    var codingPath: [any CodingKey] { encoder.codingPath }

    func encodeNil(forKey key: Key) throws { encoder.child(key).put(Node(.scalar("null", quoted: false))) }
    func encode<T: Encodable>(_ value: T, forKey key: Key) throws { try encoder.put(value, key) }
    func nestedContainer<Nested: CodingKey>(
      keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> { encoder.child(key).container(keyedBy: type) }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
      encoder.child(key).unkeyedContainer()
    }
    func superEncoder() -> any Encoder { encoder.child() }
    func superEncoder(forKey key: Key) -> any Encoder { encoder.child(key) }
  }

  private struct Unkeyed: UnkeyedEncodingContainer {
    let encoder: NodeEncoder
    var codingPath: [any CodingKey] { encoder.codingPath }
    var count: Int { if case .items(let items) = encoder.content { items.count } else { 0 } }

    func encodeNil() throws { encoder.child().put(Node(.scalar("null", quoted: false))) }
    func encode<T: Encodable>(_ value: T) throws { try encoder.put(value) }
    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
      encoder.child().container(keyedBy: type)
    }
    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { encoder.child().unkeyedContainer() }
    func superEncoder() -> any Encoder { encoder.child() }
  }

  /// The standard library's own types end here.
  private struct Single: SingleValueEncodingContainer {
    let encoder: NodeEncoder
    var codingPath: [any CodingKey] { encoder.codingPath }

    func encodeNil() throws { encoder.put(Node(.scalar("null", quoted: false))) }
    func encode(_ value: Bool) throws { encoder.put(.boolean(value)) }
    func encode(_ value: String) throws { encoder.put(.string(value)) }
    func encode(_ value: Double) throws { encoder.put(.number(value)) }
    func encode(_ value: Float) throws { encoder.put(.number(value)) }
    func encode(_ value: Int) throws { encoder.put(.integer(value)) }
    func encode(_ value: Int8) throws { encoder.put(.integer(value)) }
    func encode(_ value: Int16) throws { encoder.put(.integer(value)) }
    func encode(_ value: Int32) throws { encoder.put(.integer(value)) }
    func encode(_ value: Int64) throws { encoder.put(.integer(value)) }
    func encode(_ value: UInt) throws { encoder.put(.integer(value)) }
    func encode(_ value: UInt8) throws { encoder.put(.integer(value)) }
    func encode(_ value: UInt16) throws { encoder.put(.integer(value)) }
    func encode(_ value: UInt32) throws { encoder.put(.integer(value)) }
    func encode(_ value: UInt64) throws { encoder.put(.integer(value)) }
    func encode<T: Encodable>(_ value: T) throws {
      encoder.put(try NodeEncoder.node(of: value, path: codingPath))
    }
  }
}
