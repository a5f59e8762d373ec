import Foundation
import Imaging
import Testing

@Suite("A property of our own in XMP") struct XMPTests {
  private let property = XMPProperty(namespace: "urn:demo:1", prefix: "demo", name: "note")

  private func text(_ packet: [UInt8]?) -> String { String(decoding: packet ?? [], as: UTF8.self) }

  @Test("comes back as it was set", arguments: ["plain", "{\"a\": \"<b> & 'c'\"}", "&amp; &lt;", "é ü 日本", ""])
  func roundTrip(_ value: String) throws {
    let packet = try #require(property.set(value, in: nil))
    #expect(property.value(in: packet) == value)
    #expect(property.set(value, in: nil) == packet, "the same bytes every time")
  }

  @Test("is found in the file again, whatever the format and the packet's beginning", arguments: PictureFormat.allCases)
  func inFiles(format: PictureFormat) throws {
    let bare = "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"r\"></rdf:RDF></x:xmpmeta>"
    for packet in [nil, Array(bare.utf8), Array("<?xpacket begin=\"\" id=\"x\"?>\n\(bare)<?xpacket end=\"w\"?>".utf8)] {
      var picture = Picture(Bitmap(width: 16, height: 16, red: 9, green: 99, blue: 199))
      picture.metadata.xmp = property.set("here", in: packet)
      try withFolder { folder in
        try Imaging.write(picture, to: "\(folder)/a.\(format.rawValue)")
        let found = try readPicture("\(folder)/a.\(format.rawValue)").metadata.xmp
        #expect(found == picture.metadata.xmp)
      }
    }
  }

  @Test("takes the place of an older value, and leaves everything else as it was")
  func replaces() throws {
    let other = """
      <?xpacket begin="" id="x"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="r"><rdf:Description \
      rdf:about="" xmlns:dc="d"><dc:title>kept</dc:title></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>
      """
    let once = try #require(property.set("one", in: Array(other.utf8)))
    let twice = try #require(property.set("two", in: once))
    #expect(property.value(in: twice) == "two" && !text(twice).contains("one"))
    #expect(text(twice).contains("<dc:title>kept</dc:title>"))
    #expect(text(twice) == text(once).replacing("one", with: "two"), "it does not grow")
  }

  @Test(
    "is found under another prefix and as an attribute, as other programs rewrite it",
    arguments: [
      "<rdf:Description xmlns:ns1='urn:demo:1'><ns1:note>a &lt; b</ns1:note></rdf:Description>",
      "<rdf:Description xmlns:ns1=\"urn:demo:1\" ns1:note=\"a &lt; b\"/>",
    ])
  func rewritten(_ description: String) throws {
    let packet = Array("<x:xmpmeta><rdf:RDF>\(description)</rdf:RDF></x:xmpmeta>".utf8)
    #expect(property.value(in: packet) == "a < b")
    let replaced = try #require(property.set("new", in: packet))
    #expect(property.value(in: replaced) == "new" && !text(replaced).contains("a &lt; b"))
  }

  @Test("what is no packet has no property and takes none")
  func foreign() {
    for bytes in [[], Array("no xml".utf8), [0xff, 0xfe, 0x3c, 0], Array("<rdf:RDF/>".utf8)] as [[UInt8]] {
      #expect(property.value(in: bytes) == nil && property.set("x", in: bytes) == nil)
    }
  }
}
