internal import CPluginABI
internal import CSandbox

/// Answers an isolated plugin's calls of the services that need this program's libraries: resampling and JPEG.
///
/// A picture comes and goes packed in a room of the shared memory. It is copied before it is looked at, because the
/// plugin may change it at any time; sizes come from the message and must fit the room that was given.
struct ServiceDesk {
  private var room: ch_area?
  private var roomBytes = 0
  private var given = 0
  /// What one call may ask for in all, bytes.
  private static let limit = 4 << 30

  /// The answer to `CH_ROOM`, `CH_RESIZE` or `CH_JPEG`; `nil` for a message that makes no sense.
  mutating func answer(_ reply: ch_reply, _ memory: SharedMemory) -> ch_request? {
    var answer = ch_request()
    answer.kind = UInt32(CH_SERVED)
    switch reply.kind {
    case UInt32(CH_ROOM): giveRoom(reply.bytes, memory, &answer)
    case UInt32(CH_RESIZE), UInt32(CH_JPEG):
      guard let room else { return nil }
      let isJPEG = reply.kind == UInt32(CH_JPEG)
      guard let count = Self.count(reply.width, reply.height, reply.channels),
        let made = isJPEG ? 0 : Self.count(reply.new_width, reply.new_height, reply.channels),
        (count + made) * MemoryLayout<Float>.stride <= roomBytes
      else { return nil }
      let data = memory.data(room).assumingMemoryBound(to: Float.self)
      var values = Array(UnsafeBufferPointer(start: data, count: count))
      var result = [Float](repeating: 0, count: made)
      withUnsafeMutableBytes(of: &answer.message) { bytes in
        let error = bytes.bindMemory(to: CChar.self).baseAddress
        values.withUnsafeMutableBufferPointer { values in
          var view = codi_view(packed: values.baseAddress, reply.width, reply.height, reply.channels)
          if isJPEG {
            answer.status = HostServices.roundTrip(view, reply.argument, error)
          } else {
            result.withUnsafeMutableBufferPointer { result in
              let target = codi_view(packed: result.baseAddress, reply.new_width, reply.new_height, reply.channels)
              answer.status = HostServices.resize(view, target, reply.argument, error)
            }
          }
          view.data = nil
        }
      }
      if isJPEG { data.update(from: values, count: count) } else { (data + count).update(from: result, count: made) }
    default: return nil
    }
    return answer
  }

  private mutating func giveRoom(_ bytes: UInt64, _ memory: SharedMemory, _ answer: inout ch_request) {
    let wanted = Int(clamping: bytes)
    if room == nil || wanted > roomBytes {
      given += min(wanted, Self.limit)
      guard wanted <= Self.limit, given <= Self.limit, let area = try? memory.take(wanted) else {
        answer.status = CODI_OUT_OF_MEMORY
        return
      }
      (room, roomBytes) = (area, wanted)
    }
    if let room { answer.more = room }
  }

  private static func count(_ width: Int32, _ height: Int32, _ channels: Int32) -> Int? {
    guard width > 0, height > 0, (1...1024).contains(channels) else { return nil }
    let (count, overflow) = (Int(width) * Int(height)).multipliedReportingOverflow(by: Int(channels))
    return overflow || count > limit ? nil : count
  }
}

extension codi_view {
  /// A whole picture without gaps.
  fileprivate init(packed data: UnsafeMutablePointer<Float>?, _ width: Int32, _ height: Int32, _ channels: Int32) {
    self.init(
      data: data, row_stride: Int64(width) * Int64(channels), width: width, height: height, channels: channels, x: 0,
      y: 0, full_width: width, full_height: height)
  }
}
