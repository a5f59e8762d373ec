public import CPluginABI

/// The named values handed to `create`, valid during that call.
///
/// Ask for each parameter once, then call ``refuseOthers()``.
public struct Parameters {
  private let items: UnsafeBufferPointer<codi_parameter>
  private var used: Int = 0

  public init(_ items: UnsafePointer<codi_parameter>?, count: Int32) {
    self.items = UnsafeBufferPointer(start: items, count: items == nil ? 0 : Int(count))
  }

  /// The number called `name`, or `standard` when the host does not give it; refused outside `range`.
  public mutating func number(
    _ name: StaticString, default standard: Double, in range: ClosedRange<Double>
  ) throws(PluginError) -> Double {
    guard let item = take(name) else { return standard }
    guard item.kind == CODI_NUMBER else { throw .parameter("Parameter \(name) must be a number.") }
    guard range.contains(item.number) else { throw .parameter("Parameter \(name) is out of its range.") }
    return item.number
  }

  /// The index in `choices` of the text called `name`, or 0 when the host does not give it.
  public mutating func choice(_ name: StaticString, of choices: [StaticString]) throws(PluginError) -> Int {
    guard let item = take(name) else { return 0 }
    if item.kind == CODI_TEXT, let text = item.text {
      for (index, choice) in choices.enumerated() where equal(text, choice) { return index }
    }
    var known = ""
    for choice in choices { known += " \(choice)" }
    throw .parameter("Parameter \(name) must be one of:\(known).")
  }

  /// Throws when the host gave a parameter that was not asked for.
  public func refuseOthers() throws(PluginError) {
    guard used == items.count else { throw .parameter("\(items.count - used) of the parameters are not known here.") }
  }

  private mutating func take(_ name: StaticString) -> codi_parameter? {
    for item in items {
      if let text = item.name, equal(text, name) {
        used += 1
        return item
      }
    }
    return nil
  }

  /// Compares bytes: String's `==` would need Unicode tables, which a small library does not carry.
  private func equal(_ text: UnsafePointer<CChar>, _ name: StaticString) -> Bool {
    let wanted = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
    for (index, byte) in wanted.enumerated() where UInt8(bitPattern: text[index]) != byte { return false }
    return text[wanted.count] == 0
  }
}
