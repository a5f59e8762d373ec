package import CPluginABI
internal import Imaging
package import Logging

/// The table of services a plugin instance gets; it lives as long as the instance.
package final class HostServices: Sendable {
  private let log: Logger
  private let askCancelled: @Sendable () -> Bool

  package init(log: Logger, isCancelled: @escaping @Sendable () -> Bool) {
    self.log = log
    askCancelled = isCancelled
  }

  /// A table that refers to this object without keeping it.
  package func table() -> codi_host {
    codi_host(
      struct_size: UInt32(MemoryLayout<codi_host>.size), reserved: 0,
      context: Unmanaged.passUnretained(self).toOpaque(),
      log: { context, level, message in
        guard let services = HostServices.of(context), let message else { return }
        services.report(level, String(cString: message))
      },
      cancelled: { context in HostServices.of(context)?.isCancelled == true ? 1 : 0 },
      random_bytes: { _, key, first, out, count in
        KeyedRandom.fill(UnsafeMutableBufferPointer(start: out, count: count), SampleKey(key), from: first)
      },
      random_floats: { _, key, first, out, count in
        KeyedRandom.fill(UnsafeMutableBufferPointer(start: out, count: count), SampleKey(key), from: first)
      },
      jpeg_roundtrip: { _, view, quality, error in
        guard let view else { return HostServices.refuse("No picture was given.", error) }
        return HostServices.roundTrip(view.pointee, quality, error)
      },
      resize: { _, source, target, kernel, error in
        guard let source, let target else { return HostServices.refuse("No picture was given.", error) }
        return HostServices.resize(source.pointee, target.pointee, kernel, error)
      })
  }

  var isCancelled: Bool { askCancelled() }

  private static func of(_ context: UnsafeMutableRawPointer?) -> HostServices? {
    context.map { Unmanaged<HostServices>.fromOpaque($0).takeUnretainedValue() }
  }

  func report(_ level: Int32, _ message: String) {
    switch level {
    case CODI_LOG_DEBUG: log.debug("\(message)")
    case CODI_LOG_INFO: log.info("\(message)")
    case CODI_LOG_WARNING: log.warning("\(message)")
    default: log.error("\(message)")
    }
  }

  static func roundTrip(
    _ view: codi_view, _ quality: Int32, _ error: UnsafeMutablePointer<CChar>?
  ) -> Int32 {
    guard view.isValid, view.channels == 3, (1...100).contains(quality) else {
      return refuse("jpeg_roundtrip takes three channels and a quality of 1 to 100.", error)
    }
    let width = Int(view.width)
    let height = Int(view.height)
    var pixels = [UInt8](repeating: 0, count: width * height * 3)
    for row in 0..<height {
      for index in 0..<width * 3 {
        let value = view.data[row * Int(view.row_stride) + index]
        // Written so that not-a-number becomes 0.
        pixels[row * width * 3 + index] = value > 0 ? UInt8((min(value, 1) * 255).rounded()) : 0
      }
    }
    do {
      let bytes = try encodeJPEG(Bitmap(width: width, height: height, pixels: pixels), quality: Int(quality))
      let decoded = try decodeBitmap(bytes)
      guard decoded.width == width, decoded.height == height else { return refuse("JPEG changed the size.", error) }
      for row in 0..<height {
        for index in 0..<width * 3 {
          view.data[row * Int(view.row_stride) + index] = Float(decoded.pixels[row * width * 3 + index]) / 255
        }
      }
      return CODI_OK
    } catch let failure {
      return refuse("\(failure)", error)
    }
  }

  static func resize(
    _ source: codi_view, _ target: codi_view, _ kernel: Int32, _ error: UnsafeMutablePointer<CChar>?
  ) -> Int32 {
    guard let kernel = ResamplingKernel(rawValue: kernel) else { return refuse("Unknown kernel \(kernel).", error) }
    guard source.isValid, target.isValid, source.channels == target.channels else {
      return refuse("resize takes two pictures of the same number of channels.", error)
    }
    kernel.resample(
      source.data, stride: Int(source.row_stride), width: Int(source.width), height: Int(source.height),
      to: target.data, stride: Int(target.row_stride), width: Int(target.width), height: Int(target.height),
      channels: Int(source.channels))
    return CODI_OK
  }

  private static func refuse(_ message: String, _ error: UnsafeMutablePointer<CChar>?) -> Int32 {
    if let error {
      let bytes = Array(message.utf8.prefix(Int(CODI_ERROR_SIZE) - 1)) + [0]
      for (index, byte) in bytes.enumerated() { error[index] = CChar(bitPattern: byte) }
    }
    return CODI_BAD_REGION
  }
}

extension codi_view {
  fileprivate var isValid: Bool {
    data != nil && width > 0 && height > 0 && channels > 0 && row_stride >= Int64(width) * Int64(channels)
  }
}

extension SampleKey {
  init(_ key: codi_key) { self.init(low: key.low, high: key.high) }

  var raw: codi_key { codi_key(low: low, high: high) }
}
