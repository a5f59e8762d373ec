/// One text property of XMP packets (ISO 16684-1), written and read without touching anything else in them.
public struct XMPProperty: Sendable, Hashable {
  /// Names the property's owner; a URI.
  public let namespace: String
  /// Stands for the namespace in packets that this program writes; another program may have chosen another one.
  public let prefix: String
  public let name: String

  public init(namespace: String, prefix: String, name: String) {
    (self.namespace, self.prefix, self.name) = (namespace, prefix, name)
  }

  /// The packet with the property set to `text`, in place of an older value.
  /// - Parameter packet: `nil` begins a new one.
  /// - Returns: `nil` for bytes that are no packet in UTF-8.
  public func set(_ text: String, in packet: [UInt8]?) -> [UInt8]? {
    let description = opening + Array(Self.escaped(text).utf8) + closing
    guard var bytes = packet else {
      return Array("<?xpacket begin=\"\u{FEFF}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>".utf8)
        + Array("<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"\(Self.rdf)\">".utf8) + description
        + Array("</rdf:RDF></x:xmpmeta><?xpacket end=\"w\"?>".utf8)
    }
    while let old = range(from: opening, to: closing, in: bytes) { bytes.removeSubrange(old.whole) }
    while let old = find(in: bytes) { bytes.removeSubrange(old.whole) }
    guard let end = bytes.ranges(of: Array("</rdf:RDF>".utf8)).last else { return nil }
    bytes.insert(contentsOf: description, at: end.lowerBound)
    return bytes
  }

  /// The property's value in a packet.
  public func value(in packet: [UInt8]) -> String? {
    find(in: packet).map { Self.unescaped(String(decoding: packet[$0.value], as: UTF8.self)) }
  }

  private static let rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
  private var opening: [UInt8] {
    Array(
      ("<rdf:Description rdf:about=\"\" xmlns:rdf=\"\(Self.rdf)\" xmlns:\(prefix)=\"\(namespace)\">"
        + "<\(prefix):\(name)>").utf8)
  }
  private var closing: [UInt8] { Array("</\(prefix):\(name)></rdf:Description>".utf8) }

  private typealias Found = (whole: Range<Int>, value: Range<Int>)

  /// The property as an element or, as some programs rewrite it, as an attribute.
  private func find(in bytes: [UInt8]) -> Found? {
    for place in bytes.ranges(of: Array(namespace.utf8)) {
      guard let prefix = Self.prefix(boundAt: place.lowerBound, in: bytes) else { continue }
      let (open, close) = (Array("<\(prefix):\(name)>".utf8), Array("</\(prefix):\(name)>".utf8))
      if let element = range(from: open, to: close, in: bytes) { return element }
      for quote in ["\"", "'"] {
        let attribute = range(from: Array("\(prefix):\(name)=\(quote)".utf8), to: Array(quote.utf8), in: bytes)
        if let attribute { return attribute }
      }
    }
    return nil
  }

  private func range(from open: [UInt8], to close: [UInt8], in bytes: [UInt8]) -> Found? {
    guard let start = bytes.firstRange(of: open), let end = bytes[start.upperBound...].firstRange(of: close) else {
      return nil
    }
    return (start.lowerBound..<end.upperBound, start.upperBound..<end.lowerBound)
  }

  /// `codi` where `xmlns:codi="` ends right before `start`.
  private static func prefix(boundAt start: Int, in bytes: [UInt8]) -> String? {
    let before = bytes[max(0, start - 80)..<start]
    guard let quote = before.last, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'"),
      let equals = before.dropLast().lastIndex(of: UInt8(ascii: "=")),
      let colon = before[..<equals].lastIndex(of: UInt8(ascii: ":")),
      before[..<colon].suffix(5).elementsEqual("xmlns".utf8)
    else { return nil }
    return String(decoding: before[(colon + 1)..<equals], as: UTF8.self)
  }

  private static let entities = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&apos;")]

  private static func escaped(_ text: String) -> String {
    entities.prefix(3).reduce(text) { $0.replacing($1.0, with: $1.1) }
  }

  private static func unescaped(_ text: String) -> String {
    entities.reversed().reduce(text) { $0.replacing($1.1, with: $1.0) }
  }
}
