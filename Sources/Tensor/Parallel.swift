internal import CKernels

/// Runs `body` on contiguous shares of `0 ..< count`, one a thread of libgomp's pool, and waits.
///
/// `cost` is roughly the number of elements that one index touches: small work stays on the calling thread. Shares depend
/// on the number of threads, so `body` must give the same bits however the range is cut.
package func parallel(_ count: Int, cost: Int, _ body: (Range<Int>) -> Void) {
  guard count > 1, count * cost > 16_384 else { return body(0..<count) }
  withoutActuallyEscaping(body) { body in
    var share = Share(count: count, body: body)
    withUnsafeMutablePointer(to: &share) { pointer in
      ck_parallel(
        { context, thread, threads in
          guard let context else { return }
          let share = context.assumingMemoryBound(to: Share.self)
          let n = share.pointee.count
          let (t, all) = (Int(thread), Int(threads))
          let range = (n * t / all)..<(n * (t + 1) / all)
          if !range.isEmpty { share.pointee.body(range) }
        }, pointer)
    }
  }
}

private struct Share {
  let count: Int
  let body: (Range<Int>) -> Void
}
