internal import Foundation
internal import GRDB

/// What the journal knows of one result.
struct ItemRecord: Codable, Sendable, FetchableRecord, PersistableRecord {
  static let databaseTableName = "item"

  enum State: String, Codable, Sendable {
    /// Not begun, or abandoned by a clean stop.
    case planned
    /// Begun; found at a start, it was cut off there.
    case running
    /// The result is complete under its hidden name or its own.
    case done
    case failed
  }

  /// The result's path below the folder for results, or the whole path where it lies elsewhere.
  var output: String
  var input: String
  var state = State.planned
  /// How the result was or will be made: `Making.id`.
  var making: Int64
  /// SHA-256 of the input's bytes, and its size and time when they were read.
  var inputDigest: String?
  var inputStamp: Stamp?
  /// The other pictures that were brought, by name; `nil` where there are none.
  var others: [String: Other]?
  var result: Result?
  var timing: ItemTiming?
  /// Attempts that were begun, in all runs.
  var attempts = 0
  /// When the last attempt began, in seconds since 1970.
  var started: Double?
  var error: String?

  struct Other: Codable, Sendable, Hashable {
    var path: String
    /// Size and time when it was read, and SHA-256 of what was read then.
    var stamp: Stamp?
    var digest = ""
  }

  /// Notes what the files are like before they are read.
  mutating func begin(_ item: JobItem) {
    inputStamp = Stamp(of: item.input)
    others = item.others.isEmpty ? nil : item.others.mapValues { Other(path: $0, stamp: Stamp(of: $0)) }
  }

  /// Notes what was read of the other pictures.
  mutating func note(_ digests: [String: [UInt8]]) {
    for (name, digest) in digests { others?[name]?.digest = hex(digest) }
  }

  struct Result: Codable, Sendable, Hashable {
    var digest: String
    var stamp: Stamp
    var width: Int
    var height: Int
  }
}

/// Everything beside the input's bytes that the result's bytes depend on, as text.
struct Making: Codable, Sendable, Hashable, FetchableRecord, PersistableRecord {
  static let databaseTableName = "making"

  /// `publisher/name@version sha256:…` of each adapter of the chain, and of their cores, a line each.
  var adapter: String
  var core: String
  /// Precision, instruction set, libraries, and how regions are cut.
  var numerics: String
  /// Parameters of each adapter in JSON, a line each.
  var parameters: String
  var seed: String
  /// Steps of each adapter.
  var steps: String

  /// The first difference from `other`, in words.
  func difference(from other: Making) -> String? {
    let pairs: [(String, String, String)] = [
      ("the adapter", adapter, other.adapter), ("the core", core, other.core), ("the seed", seed, other.seed),
      ("the number of steps", steps, other.steps), ("the parameters", parameters, other.parameters),
      ("numerics", numerics, other.numerics),
    ]
    return pairs.first { $0.1 != $0.2 }.map { "\($0.0) \($0.1.oneLine), now \($0.2.oneLine)" }
  }
}

/// Size in bytes and time of the last change in nanoseconds: what tells cheaply that a file is as it was.
struct Stamp: Codable, Sendable, Hashable {
  var size: Int
  var time: Int64

  /// Of a file, seen through links; `nil` where there is none.
  init?(of path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    self.init(
      size: Int(status.st_size),
      time: Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec))
  }

  init(size: Int, time: Int64) {
    self.size = size
    self.time = time
  }
}

/// Where a picture's time went, in seconds.
public struct ItemTiming: Codable, Sendable, Hashable {
  public var decode = 0.0
  /// From the decoded picture to the values of the result, without waiting for others' turns; its part where several
  /// shared an evaluation.
  public var network = 0.0
  public var encode = 0.0
  public var total: Double { decode + network + encode }
  public init() {}
}

extension String {
  fileprivate var oneLine: String { replacing("\n", with: " → ") }
}
