internal import Bundles
internal import Foundation

/// What a start finds of a result.
enum Standing: Sendable, Equatable {
  /// Nothing is there.
  case missing
  /// The result is there as the journal says, and would come out the same.
  case done
  /// A file is there, for this reason another than the job would write.
  case other(String)

  /// - Parameters:
  ///   - making: how the job would make it, with its number in the journal.
  init(
    _ item: JobItem, _ record: ItemRecord?, making: (id: Int64, value: Making), journal: Journal
  ) throws(ConversionError) {
    guard let present = Stamp(of: item.output) else {
      self = .missing
      return
    }
    guard let record, record.state == .done, let result = record.result else {
      self = .other("The file was not written by this job.")
      return
    }
    // Size and time are compared first: they cost nothing, and what is as it was need not be read.
    if present != result.stamp {
      guard present.size == result.stamp.size, Self.digest(item.output) == result.digest else {
        self = .other("The file was changed after it was written.")
        return
      }
    }
    if record.making != making.id, let before = try journal.making(record.making) {
      let difference = before.difference(from: making.value)
      self = .other("It was made with \(difference ?? "other settings").")
      return
    }
    // An input that is gone cannot be converted again.
    if let input = Stamp(of: item.input), input != record.inputStamp, Self.digest(item.input) != record.inputDigest {
      self = .other("Its input \(item.input) has changed since.")
      return
    }
    for (name, path) in item.others.sorted(by: { $0.key < $1.key }) {
      let known = record.others?[name]
      guard let stamp = Stamp(of: path), known?.path != path || stamp != known?.stamp else { continue }
      guard let digest = known?.digest, Self.digest(path) == digest else {
        self = .other("Its \(name) \(path) has changed since.")
        return
      }
    }
    self = .done
  }

  private static func digest(_ path: String) -> String? { try? SHA256.hex(ofFile: path) }
}
