import Bundles
import Foundation
import Registry
import Testing

@Suite("Opening a plugin") struct PluginLibraryTests {
  /// Compiles a task of no effect whose descriptor is `descriptor`; the functions are called t_create and so on.
  static func compile(_ descriptor: String, extra: String = "", in folder: TemporaryFolder) throws -> String {
    let source = """
      #include "codi_plugin.h"
      #include <stdio.h>
      #include <string.h>
      \(extra)
      static int instance;
      int32_t codi_task_create(
          const codi_host *h, const codi_parameter *p, int32_t n, uint64_t s, codi_task **t, char *e) {
        if (n == 1 && !strcmp(p[0].name, "refuse")) { strcpy(e, "No such thing."); return CODI_BAD_PARAMETER; }
        *t = (codi_task *)&instance; return CODI_OK;
      }
      void codi_task_destroy(codi_task *t) {}
      int32_t codi_task_output_size(codi_task *t, int32_t w, int32_t h, int32_t *ow, int32_t *oh, char *e) {
        *ow = w; *oh = h; return CODI_OK;
      }
      int32_t codi_task_prepare(codi_task *t, const codi_view *i, int32_t n, codi_view *c, char *e) {
        memset(e, 'x', CODI_ERROR_SIZE); return 77;
      }
      int32_t codi_task_finish(codi_task *t, const codi_view *i, int32_t n, const codi_view *r, codi_view *o, char *e) {
        return CODI_CANCELLED;
      }
      int32_t codi_task_degrade(
          codi_task *t, const codi_batch *c, const codi_key *k, codi_batch *i, int32_t n, char *e) {
        return CODI_OUT_OF_MEMORY;
      }
      \(descriptor)
      """
    let name = "lib\(UInt64.random(in: .min ... .max))"
    let file = folder.path + "/\(name).c"
    try source.write(toFile: file, atomically: true, encoding: .utf8)
    let compiler = Process()
    compiler.executableURL = URL(filePath: "/usr/bin/cc")
    compiler.arguments = [
      "-std=gnu17", "-shared", "-fPIC", "-I", PluginLibraryTests.headers, file, "-o", "\(folder.path)/\(name).so",
    ]
    try compiler.run()
    compiler.waitUntilExit()
    try #require(compiler.terminationStatus == 0)
    return "\(folder.path)/\(name).so"
  }

  /// The folder of codi_plugin.h, beside this file's package.
  static let headers = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Sources/CPluginABI/include").path

  /// A descriptor with the given leading part and functions.
  static func descriptor(
    magic: String = "CODI_PLUGIN_MAGIC", abi: String = "CODI_PLUGIN_ABI",
    size: String = "sizeof(codi_plugin_descriptor)", name: String = "\"toy\"", version: String = "\"1.0.0\"",
    halo: Int = 3, degrade: String = "codi_task_degrade"
  ) -> String {
    """
    const codi_plugin_descriptor codi_plugin = {{\(magic), \(abi), \(size), \(name), \(version)}, \(halo), 0,
      codi_task_create, codi_task_destroy, codi_task_output_size, codi_task_prepare, codi_task_finish, \(degrade)};
    """
  }

  @Test("the macro's descriptor is accepted and read")
  func accepted() throws {
    let folder = try TemporaryFolder()
    let path = try Self.compile("CODI_PLUGIN(\"toy\", \"2.1.0\", 7)", in: folder)
    let library = try PluginLibrary(path: path, abi: 1, task: "toy", halo: 8)
    #expect(library.descriptor.version == "2.1.0")
    #expect(library.descriptor.halo == 7)
    #expect(library.descriptor.task == "toy")
  }

  @Test(
    "a wrong field is named with the wanted and the found",
    arguments: [
      ("magic", descriptor(magic: "\"NOTCODI\""), "CODIPLG", "NOTCODI"),
      ("abi_version", descriptor(abi: "2"), "1", "2"),
      ("struct_size", descriptor(size: "160"), "168", "160"),
      ("name", descriptor(name: "\"other\""), "toy", "other"),
      ("version", descriptor(version: "\"\""), "a version", "none"),
      ("halo", descriptor(halo: 9), "8", "9"),
      ("degrade", descriptor(degrade: "0"), "a function", "null"),
    ])
  func refusedByField(field: String, source: String, wanted: String, found: String) throws {
    let folder = try TemporaryFolder()
    let path = try Self.compile(source, in: folder)
    let error = try #require(throws: PluginError.self) {
      try PluginLibrary(path: path, abi: 1, task: "toy", halo: 8)
    }
    #expect(error.code == .descriptor)
    #expect(error.reason.contains("descriptor's \(field) "), "\(error.reason)")
    #expect(error.reason.contains("wanted") && error.reason.contains(wanted))
    #expect(error.reason.contains("found \(found)"), "\(error.reason)")
  }

  @Test("a name that fills its array without an end is refused")
  func endlessName() throws {
    let folder = try TemporaryFolder()
    let path = try Self.compile(Self.descriptor(name: "\"\(String(repeating: "n", count: 64))\""), in: folder)
    let error = try #require(throws: PluginError.self) {
      try PluginLibrary(path: path, abi: 1, task: "toy", halo: 8)
    }
    #expect(error.reason.contains("name"))
  }

  @Test("a manifest with another ABI is refused before anything of the library runs", arguments: [0, 2])
  func abiBeforeOpening(abi: Int) throws {
    let folder = try TemporaryFolder()
    let mark = folder.path + "/ran"
    let extra = """
      __attribute__((constructor)) static void ran(void) { FILE *f = fopen("\(mark)", "w"); if (f) fclose(f); }
      """
    let path = try Self.compile("CODI_PLUGIN(\"toy\", \"1.0.0\", 0)", extra: extra, in: folder)
    let error = try #require(throws: PluginError.self) {
      try PluginLibrary(path: path, abi: abi, task: "toy", halo: 0)
    }
    #expect(error.code == .abi)
    #expect(!FileManager.default.fileExists(atPath: mark))
    _ = try PluginLibrary(path: path, abi: 1, task: "toy", halo: 0)
    #expect(FileManager.default.fileExists(atPath: mark), "the mark works")
  }

  @Test("a file that is no library, a missing one, a relative path and a library without the symbol are refused")
  func noLibrary() throws {
    let folder = try TemporaryFolder()
    let text = folder.path + "/text.so"
    try "not a library".write(toFile: text, atomically: true, encoding: .utf8)
    let empty = try Self.compile("", in: folder)
    for path in [text, folder.path + "/missing.so", "relative.so", empty] {
      let error = #expect(throws: PluginError.self) { try PluginLibrary(path: path, abi: 1, task: "toy", halo: 0) }
      #expect(error?.code == .library)
    }
  }

  @Test("what a plugin reports becomes a typed error with its sentence")
  func reported() throws {
    let folder = try TemporaryFolder()
    let path = try Self.compile("CODI_PLUGIN(\"toy\", \"1.0.0\", 0)", in: folder)
    let library = try PluginLibrary(path: path, abi: 1, task: "toy", halo: 0)
    let refused = #expect(throws: PluginError.self) { try TaskPlugin(library, parameters: ["refuse": .number(1)]) }
    #expect(refused?.code == .parameter)
    #expect(refused?.reason == "No such thing.")

    let plugin = try TaskPlugin(library)
    let picture = try PictureRegion([Float](repeating: 0, count: 12), width: 2, height: 2)
    let failed = #expect(throws: PluginError.self) {
      try plugin.prepare([picture], region: picture.region, channels: 3)
    }
    #expect(failed?.code == .failed)
    #expect(failed?.reason.count == 511, "a sentence without an end is ended by the host")
    let cancelled = #expect(throws: PluginError.self) {
      try plugin.finish([picture], result: picture, region: picture.region)
    }
    #expect(cancelled?.code == .cancelled)
    let memory = #expect(throws: PluginError.self) {
      try plugin.degrade([0, 0, 0], width: 1, height: 1, keys: [SampleKey(low: 1, high: 2)], inputs: [(1, 1, 3)])
    }
    #expect(memory?.code == .outOfMemory)
  }

  @Test("regions outside the picture, of the wrong length or with too few keys never reach the plugin")
  func bounds() throws {
    let folder = try TemporaryFolder()
    let path = try Self.compile("CODI_PLUGIN(\"toy\", \"1.0.0\", 0)", in: folder)
    let plugin = try TaskPlugin(PluginLibrary(path: path, abi: 1, task: "toy", halo: 0))
    let picture = try PictureRegion([Float](repeating: 0, count: 12), width: 2, height: 2)
    for region in [
      Region(x: 1, y: 0, width: 2, height: 2), Region(x: -1, y: 0, width: 1, height: 1),
      Region(x: 0, y: 0, width: 0, height: 1), Region(x: .max, y: 0, width: 1, height: 1),
    ] {
      let error = #expect(throws: PluginError.self) { try plugin.prepare([picture], region: region, channels: 3) }
      #expect(error?.code == .region)
    }
    #expect(throws: PluginError.self) { try plugin.prepare([], region: picture.region, channels: 3) }
    #expect(throws: PluginError.self) { try PictureRegion([0, 0], width: 1, height: 1) }
    let error = #expect(throws: PluginError.self) {
      try plugin.degrade([0, 0, 0], width: 1, height: 1, keys: [], inputs: [(1, 1, 3)])
    }
    #expect(error?.code == .region)
  }
}
