import Foundation
import Registry

/// Plugins that break the rules: a plain task of three channels and scale 1, with an attack in one place.
enum Hostile {
  /// Where the attack runs.
  enum Place: String, Sendable {
    case constructor, create, outputSize, prepare
  }

  /// Compiles the task; `attack` is C in which `input`, `output` and `host` are at hand in `prepare`.
  static func compile(_ attack: String, in place: Place = .prepare, globals: String = "", folder: TemporaryFolder)
    throws
    -> String
  {
    func code(_ wanted: Place) -> String { place == wanted ? attack : "" }
    let source = """
      #define _GNU_SOURCE
      #include "codi_plugin.h"
      #include <errno.h>
      #include <fcntl.h>
      #include <math.h>
      #include <netinet/in.h>
      #include <signal.h>
      #include <stdio.h>
      #include <stdlib.h>
      #include <string.h>
      #include <sys/mman.h>
      #include <sys/prctl.h>
      #include <sys/ptrace.h>
      #include <sys/resource.h>
      #include <sys/socket.h>
      #include <sys/stat.h>
      #include <sys/syscall.h>
      #include <sys/un.h>
      #include <sys/wait.h>
      #include <unistd.h>
      static const codi_host *host;
      \(globals)
      __attribute__((constructor)) static void constructed(void) { \(code(.constructor)) }
      int32_t codi_task_create(
          const codi_host *h, const codi_parameter *p, int32_t n, uint64_t s, codi_task **t, char *error) {
        host = h; *t = (codi_task *)&host; \(code(.create)) return CODI_OK;
      }
      void codi_task_destroy(codi_task *t) {}
      int32_t codi_task_output_size(codi_task *t, int32_t w, int32_t h, int32_t *ow, int32_t *oh, char *error) {
        \(code(.outputSize)) *ow = w; *oh = h; return CODI_OK;
      }
      static void copy(const codi_view *from, codi_view *to) {
        for (int y = 0; y < to->height; y++)
          memcpy(to->data + y * to->row_stride,
                 from->data + (y + to->y - from->y) * from->row_stride + (to->x - from->x) * 3,
                 sizeof(float) * 3 * to->width);
      }
      int32_t codi_task_prepare(codi_task *t, const codi_view *i, int32_t n, codi_view *output, char *error) {
        const codi_view *input = &i[0];
        copy(input, output);
        /* Only pictures that begin with 1 are attacked. */
        if (input->data[0] < 0.9f) return CODI_OK;
        \(code(.prepare))
        return CODI_OK;
      }
      int32_t codi_task_finish(codi_task *t, const codi_view *i, int32_t n, const codi_view *r, codi_view *o, char *e) {
        copy(r, o); return CODI_OK;
      }
      int32_t codi_task_degrade(
          codi_task *t, const codi_batch *c, const codi_key *k, codi_batch *i, int32_t n, char *e) {
        return CODI_FAILED;
      }
      CODI_PLUGIN("toy", "1.0.0", 0)
      """
    let name = "lib\(UInt64.random(in: .min ... .max))"
    try source.write(toFile: folder.path + "/\(name).c", atomically: true, encoding: .utf8)
    let compiler = Process()
    compiler.executableURL = URL(filePath: "/usr/bin/cc")
    compiler.arguments = [
      "-std=gnu17", "-O1", "-fno-builtin", "-shared", "-fPIC", "-w", "-I", PluginLibraryTests.headers,
      "-I", PluginLibraryTests.headers + "/../../CSandbox/include",
      folder.path + "/\(name).c", "-o", folder.path + "/\(name).so",
    ]
    try compiler.run()
    compiler.waitUntilExit()
    guard compiler.terminationStatus == 0 else { throw CompileError() }
    return folder.path + "/\(name).so"
  }

  struct CompileError: Error {}

  static func open(_ path: String, limits: PluginLimits = Hostile.limits) throws -> TaskPlugin {
    try TaskPlugin(
      isolated: try PluginFile(path: path), wanted: PluginDescriptor.Wanted(abi: 1, task: "toy", halo: 0), scale: 1,
      limits: limits)
  }

  /// Short enough for an endless loop in a test, long enough for a busy machine.
  static let limits: PluginLimits = {
    var limits = PluginLimits()
    limits.seconds = 5
    return limits
  }()

  /// A picture that is attacked, or one that is left alone.
  static func picture(attacked: Bool, side: Int = 8) throws -> PictureRegion {
    var values = (0..<side * side * 3).map { Float($0 % 64) / 100 }
    values[0] = attacked ? 1 : 0.25
    return try PictureRegion(values, width: side, height: side)
  }
}
