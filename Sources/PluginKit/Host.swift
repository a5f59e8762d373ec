public import CPluginABI

/// The services of the host, valid as long as the instance they were given to; use them only during its calls.
public struct Host {
  private let table: UnsafePointer<codi_host>

  /// Throws when the host's table is older than this header.
  public init(_ table: UnsafePointer<codi_host>?) throws(PluginError) {
    guard let table, Int(table.pointee.struct_size) >= MemoryLayout<codi_host>.size else {
      throw PluginError(CODI_FAILED, "The host's table of services is missing or too short.")
    }
    self.table = table
  }

  /// Reports one line at `level`, one of `CODI_LOG_…`.
  public func log(_ message: String, level: Int32 = CODI_LOG_INFO) {
    var bytes = ContiguousArray<CChar>()
    for byte in message.utf8 { bytes.append(CChar(bitPattern: byte)) }
    bytes.append(0)
    bytes.withUnsafeBufferPointer { table.pointee.log(table.pointee.context, level, $0.baseAddress) }
  }

  /// Throws ``PluginError/cancelled`` when the host wants the call to stop.
  public func checkCancelled() throws(PluginError) {
    guard table.pointee.cancelled(table.pointee.context) == 0 else { throw .cancelled }
  }

  /// Numbers `first ..< first + out.count` of the key's stream, uniform in `0 ..< 1`.
  public func random(_ key: codi_key, from first: UInt64, into out: UnsafeMutableBufferPointer<Float>) {
    table.pointee.random_floats(table.pointee.context, key, first, out.baseAddress, out.count)
  }

  /// Writes and reads the three-channel picture as JPEG of `quality` 1...100, in place.
  public func roundTripJPEG(_ view: codi_view, quality: Int32) throws(PluginError) {
    var view = view
    try call { table.pointee.jpeg_roundtrip(table.pointee.context, &view, quality, $0) }
  }

  /// Resamples the whole of `source` to the whole of `target` with `kernel`, one of `CODI_RESIZE_…`.
  public func resize(_ source: codi_view, to target: codi_view, kernel: Int32) throws(PluginError) {
    var source = source
    var target = target
    try call { table.pointee.resize(table.pointee.context, &source, &target, kernel, $0) }
  }

  private func call(_ service: (UnsafeMutablePointer<CChar>) -> Int32) throws(PluginError) {
    let error = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CODI_ERROR_SIZE))
    defer { error.deallocate() }
    error[0] = 0
    let status = service(error)
    guard status != CODI_OK else { return }
    throw PluginError(status, String(cString: error))
  }
}
