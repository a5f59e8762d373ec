internal import Glibc
internal import Synchronization

/// A block of 64-byte-aligned memory that goes back to a pool when its last tensor is gone.
///
/// Unchecked: the bytes are written only by the operation that made the tensor, before anyone else can see it, and by
/// optimisers on parameters, which are confined to one compute thread.
final class Storage: @unchecked Sendable {
  let base: UnsafeMutableRawPointer
  let byteCount: Int

  init(byteCount: Int) {
    self.byteCount = byteCount
    base = Pool.shared.take(byteCount)
  }

  deinit { Pool.shared.give(base, byteCount) }
}

/// Freed blocks by size. A network asks for the same sizes again at every step, so nothing is returned to the system
/// until `trim`, and no page is faulted in twice.
private final class Pool: Sendable {
  static let shared = Pool()
  private struct Block: @unchecked Sendable { let base: UnsafeMutableRawPointer }
  private let free = Mutex<[Int: [Block]]>([:])
  /// Bytes of all blocks, in use or free.
  let byteCount = Atomic(0)

  private static func rounded(_ byteCount: Int) -> Int { max(64, (byteCount + 63) & ~63) }

  func take(_ byteCount: Int) -> UnsafeMutableRawPointer {
    let size = Self.rounded(byteCount)
    if let block = free.withLock({ $0[size]?.popLast() }) { return block.base }
    self.byteCount.wrappingAdd(size, ordering: .relaxed)
    if let base = aligned_alloc(64, size) { return base }
    trim()
    guard let base = aligned_alloc(64, size) else { preconditionFailure("out of memory: \(size) bytes") }
    return base
  }

  func give(_ base: UnsafeMutableRawPointer, _ byteCount: Int) {
    let block = Block(base: base)
    free.withLock { $0[Self.rounded(byteCount), default: []].append(block) }
  }

  func trim() {
    let all = free.withLock { blocks in
      defer { blocks = [:] }
      return blocks
    }
    for (size, blocks) in all {
      for block in blocks { Glibc.free(block.base) }
      byteCount.wrappingSubtract(size * blocks.count, ordering: .relaxed)
    }
  }
}

/// Bytes that tensors hold or held, whether or not they are in use; `trimMemoryPool` returns those that are not.
public var memoryPoolByteCount: Int { Pool.shared.byteCount.load(ordering: .relaxed) }

/// Returns pooled memory that no tensor uses to the system.
public func trimMemoryPool() { Pool.shared.trim() }
