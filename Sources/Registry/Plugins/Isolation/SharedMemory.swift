internal import CSandbox
internal import Glibc

/// Memory shared with a plugin's process: one control page, then the pictures of the running call, each on pages of its
/// own.
final class SharedMemory {
  let file: Int32
  private var base: UnsafeMutableRawPointer
  private var size: Int
  private var used: Int

  static let page = Int(sysconf(Int32(_SC_PAGESIZE)))
  /// More than this is given back after each call.
  private static let kept = 64 << 20
  /// Fills what a plugin must not write.
  private static let canary: UInt8 = 0xA5

  init() throws(PluginError) {
    size = 1 << 20
    used = Self.page
    file = cs_shared_memory(UInt64(size))
    guard file >= 0, let base = Self.map(file, size) else {
      if file >= 0 { close(file) }
      throw Self.failure()
    }
    self.base = base
  }

  deinit {
    munmap(base, size)
    close(file)
  }

  var control: UnsafeMutablePointer<ch_control> { base.assumingMemoryBound(to: ch_control.self) }

  private static func failure() -> PluginError {
    PluginError(
      .outOfMemory, at: "plugin", "There is no shared memory: \(String(cString: strerror(errno))).",
      remedy: "Use smaller tiles or fewer workers.")
  }

  private static func map(_ file: Int32, _ size: Int) -> UnsafeMutableRawPointer? {
    let base = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
    return base == MAP_FAILED ? nil : base
  }

  /// Forgets the areas of the last call.
  func reset() {
    if used > Self.kept { madvise(base + Self.page, size - Self.page, MADV_REMOVE) }
    used = Self.page
  }

  /// Pages for `bytes`, the data at their end, so that the first byte behind is already forbidden (up to 63 bytes for
  /// alignment). Pointers taken before are not valid any more.
  func take(_ bytes: Int) throws(PluginError) -> ch_area {
    let length = (max(1, bytes) + Self.page - 1) / Self.page * Self.page
    let area = ch_area(offset: UInt64(used), length: UInt64(length), start: UInt64((length - bytes) / 64 * 64))
    guard bytes <= 1 << 36 else { throw Self.failure() }
    if used + length > size {
      let wanted = max(used + length, min(2 * size, size + 64 << 20))
      guard ftruncate(file, wanted) == 0, let moved = Self.map(file, wanted) else { throw Self.failure() }
      munmap(base, size)
      (base, size) = (moved, wanted)
    }
    used += length
    return area
  }

  /// The data of an area of this memory.
  func data(_ area: ch_area) -> UnsafeMutableRawPointer { base + Int(area.offset) + Int(area.start) }

  /// Fills everything in the area but `bytes` of data with canaries.
  func guardSurroundings(_ area: ch_area, bytes: Int) {
    let start = base + Int(area.offset)
    memset(start, Int32(Self.canary), Int(area.start))
    memset(start + Int(area.start) + bytes, Int32(Self.canary), Int(area.length) - Int(area.start) - bytes)
  }

  /// Whether the canaries before and behind the data are alive.
  func surroundings(_ area: ch_area, bytes: Int) -> (before: Bool, behind: Bool) {
    let start = base + Int(area.offset)
    let end = Int(area.start) + bytes
    return (Self.isCanary(start, Int(area.start)), Self.isCanary(start + end, Int(area.length) - end))
  }

  static func fillCanary(_ start: UnsafeMutableRawPointer, _ count: Int) { memset(start, Int32(canary), count) }

  static func isCanary(_ start: UnsafeRawPointer, _ count: Int) -> Bool {
    UnsafeRawBufferPointer(start: start, count: count).allSatisfy { $0 == canary }
  }
}
