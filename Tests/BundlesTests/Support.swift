import AttackReport
import Bundles
import Foundation
import Testing

/// A folder that lives as long as the test holds it.
final class TemporaryFolder {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appending(path: "bundles-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func path(_ name: String) -> String { url.appending(path: name).path }

  func write(_ data: Data, _ name: String = "file") throws -> String {
    try data.write(to: url.appending(path: name))
    return path(name)
  }

  var contents: [String] {
    get throws { try FileManager.default.subpathsOfDirectory(atPath: url.path).sorted() }
  }
}

/// Counts malformed inputs by the file that makes them, `ZipTests.swift` for zips.
func recordInput(_ location: SourceLocation, count: Int = 1, _ outcome: String) {
  let name = location.fileName.replacing("Tests.swift", with: "").lowercased()
  AttackReport.record(.inputs, name, count: count, outcome: outcome)
}

/// Expects `body` to throw a `BundleError` of `code` whose description contains every one of `words`.
func expectError(
  _ code: BundleError.Code, _ words: String..., at location: SourceLocation = #_sourceLocation,
  _ body: () throws -> Void
) {
  do {
    try body()
    Issue.record("nothing was thrown; expected \(code) \(words)", sourceLocation: location)
  } catch let error as BundleError {
    #expect(error.code == code, "\(error)", sourceLocation: location)
    if error.code == code { recordInput(location, "refused, \(code)") }
    for word in words {
      #expect(error.description.contains(word), "\(error)", sourceLocation: location)
    }
    #expect(!error.location.isEmpty && !error.reason.isEmpty && !error.remedy.isEmpty, sourceLocation: location)
  } catch {
    Issue.record("expected a BundleError, got \(error)", sourceLocation: location)
  }
}
