/// A line of a journal, for people and programs.
public struct JournalEntry: Sendable, Codable {
  /// Below the folder for results.
  public let output: String
  public let input: String
  /// planned, running (cut off), done or failed.
  public let state: String
  public let inputDigest: String?
  /// Digests of the other pictures that were brought, by name.
  public let otherDigests: [String: String]?
  public let adapter: String
  public let core: String
  public let numerics: String
  public let parameters: String
  public let seed: String
  public let steps: String
  public let outputDigest: String?
  public let timing: ItemTiming?
  public let attempts: Int
  public let error: String?
}

extension Journal {
  /// Everything the journal knows, in order of the results' names.
  public func entries() throws(ConversionError) -> [JournalEntry] {
    var makings: [Int64: Making] = [:]
    var entries: [JournalEntry] = []
    for record in try all() {
      if makings[record.making] == nil { makings[record.making] = try making(record.making) }
      guard let making = makings[record.making] else { continue }
      entries.append(
        JournalEntry(
          output: record.output, input: record.input, state: record.state.rawValue, inputDigest: record.inputDigest,
          otherDigests: record.others?.mapValues(\.digest),
          adapter: making.adapter, core: making.core, numerics: making.numerics, parameters: making.parameters,
          seed: making.seed, steps: making.steps, outputDigest: record.result?.digest, timing: record.timing,
          attempts: record.attempts, error: record.error))
    }
    return entries
  }
}
