/// Codable values from YAML and back: keys are the kebab-case of the property names, a missing key keeps the default.
///
/// - Arrays replace the default's, nested structures merge key by key, `null` empties an optional.
/// - Dictionaries keep their keys as written and hold exactly the keys of the text, if it names the dictionary.
/// - An unknown key is refused with the nearest known one; every error names `source:line:column`.
public enum Options {
  /// Reads a `T` from `node`; every property that is not optional must be there.
  public static func decode<T: Decodable>(
    _ type: T.Type, from node: Node, source: String
  ) throws(BundleError) -> T {
    try read(type, given: node, fallback: nil, source)
  }

  /// Reads a `T` from `node`; what `node` does not say comes from `defaults`.
  public static func decode<T: Codable>(
    _ type: T.Type, from node: Node, defaults: T, source: String
  ) throws(BundleError) -> T {
    try read(type, given: node, fallback: try encode(defaults), source)
  }

  /// Writes `value` as a tree, properties in the order of their declaration; nil optionals are left out.
  public static func encode<T: Encodable>(_ value: T) throws(BundleError) -> Node {
    do {
      return try NodeEncoder.node(of: value, path: [])
    } catch let error as BundleError {
      throw error
    } catch {
      throw BundleError(
        .invalidValue, at: "\(T.self)", "The value cannot be written: \(error).", remedy: "Change its type.")
    }
  }

  private static func read<T: Decodable>(
    _ type: T.Type, given: Node, fallback: Node?, _ source: String
  ) throws(BundleError) -> T {
    do {
      return try NodeDecoder.value(type, Layers(given: given, fallback: fallback), path: [], source)
    } catch let error as BundleError {
      throw error
    } catch {
      throw YAML.error(.invalidValue, source, given.mark, "\(error).", remedy: "Correct the value.")
    }
  }

  /// `samplesSeen` → `samples-seen`, `weightsSHA256` → `weights-sha256`.
  static func kebab(_ name: String) -> String {
    let letters = Array(name)
    var out = ""
    for (i, letter) in letters.enumerated() {
      if letter.isUppercase, i > 0 {
        let startsWord = letters[i - 1].isLowercase || letters[i - 1].isNumber
        let endsAcronym = letters[i - 1].isUppercase && i + 1 < letters.count && letters[i + 1].isLowercase
        if startsWord || endsAcronym { out += "-" }
      }
      out += letter.lowercased()
    }
    return out
  }

  /// `samples-seen` → `samplesSeen`.
  static func camel(_ name: String) -> String {
    let words = name.split(separator: "-", omittingEmptySubsequences: false)
    return words.dropFirst().reduce(String(words.first ?? "")) { $0 + $1.prefix(1).uppercased() + $1.dropFirst() }
  }

  /// The candidate with the smallest edit distance to `word`, if it is near enough to be meant.
  static func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
    let best = candidates.map { ($0, distance(word, $0)) }.min { ($0.1, $0.0) < ($1.1, $1.0) }
    guard let best, best.1 <= max(2, word.count / 3) else { return nil }
    return best.0
  }

  private static func distance(_ a: String, _ b: String) -> Int {
    let b = Array(b)
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, y) in b.enumerated() {
        let next = min(row[j] + 1, row[j + 1] + 1, diagonal + (x == y ? 0 : 1))
        diagonal = row[j + 1]
        row[j + 1] = next
      }
    }
    return row[b.count]
  }
}

/// Dictionaries whose keys are data, not property names.
protocol KeyedByData {}
extension Dictionary: KeyedByData where Key: CodingKeyRepresentable {}

/// What the text says, and what holds where it says nothing.
struct Layers {
  var given: Node?
  var fallback: Node?

  /// The node that decides: the text's if there is one.
  var top: Node? { given ?? fallback }

  subscript(key: String) -> Layers { Layers(given: given?[key], fallback: fallback?[key]) }
}

struct IndexKey: CodingKey {
  let intValue: Int?
  let stringValue: String

  init(_ index: Int) {
    intValue = index
    stringValue = "[\(index)]"
  }

  init?(intValue: Int) { self.init(intValue) }
  init?(stringValue: String) { nil }
}
