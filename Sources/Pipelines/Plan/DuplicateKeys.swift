internal import Foundation

/// The first key that an object of a well-formed JSON text has twice; decoders keep one value and say nothing.
func duplicateKey(in json: some Collection<UInt8>) -> String? {
  var objects: [Set<String>] = []
  var bytes = json[...]
  while let byte = bytes.popFirst() {
    switch byte {
    case UInt8(ascii: "{"), UInt8(ascii: "["): objects.append([])
    case UInt8(ascii: "}"), UInt8(ascii: "]"): _ = objects.popLast()
    case UInt8(ascii: "\""):
      var text = [byte]
      while let next = bytes.popFirst() {
        text.append(next)
        if next == UInt8(ascii: "\\"), let escaped = bytes.popFirst() {
          text.append(escaped)
        } else if next == byte {
          break
        }
      }
      // A key is a string before a colon, compared after its escapes.
      guard let last = objects.indices.last, bytes.first(where: { !" \t\r\n".utf8.contains($0) }) == UInt8(ascii: ":"),
        let key = try? JSONDecoder().decode(String.self, from: Data(text))
      else { continue }
      if !objects[last].insert(key).inserted { return key }
    default: break
    }
  }
  return nil
}
