import ArgumentParser
import Bundles
import Foundation
import Registry
import Tensor

struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Say what this machine offers and whether anything needs attention.",
    discussion: "Exit code 1 when something does; each such line says what helps.")

  @OptionGroup var output: OutputOptions

  func run() throws {
    var needs = 0
    let tell: Tell = { subject, text, advice, fields in
      if advice != nil { needs += 1 }
      var all: [String: any Encodable & Sendable] = ["subject": subject, "value": text, "ok": advice == nil]
      if let advice { all["advice"] = advice }
      all.merge(fields) { $1 }
      output.emit(
        all, text: "\(advice == nil ? "ok " : "!! ") \(subject): \(text)" + (advice.map { "\n   \($0)" } ?? ""))
    }
    tell("codi", Version.current, nil, [:])
    processor(tell)
    isolation(tell)
    store(tell)
    if let layout = try? Locations.embedded() {
      tell("registry", layout.path, nil, [:])
    } else {
      tell("registry", "none came with this program", "Reinstall with make install, or set CODI_REGISTRY.", [:])
    }
    tell("libraries", Libraries.summary, nil, [:])
    output.say(needs == 0 ? "nothing needs attention" : "\(needs) of these need attention")
    if needs > 0 { throw Exit.Code(.someFailed) }
  }

  private typealias Tell = (String, String, String?, [String: any Encodable & Sendable]) -> Void

  private func processor(_ tell: Tell) {
    let info = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    func field(_ name: String) -> String? {
      info.split(separator: "\n").first { $0.hasPrefix(name) }?.split(separator: ":", maxSplits: 1).last
        .map { $0.trimmingCharacters(in: .whitespaces) }
    }
    let flags = Set((field("flags") ?? field("Features") ?? "").split(separator: " ").map(String.init))
    let known = ["avx2", "fma", "avx512f", "avx512bw", "avx512_bf16", "amx_bf16", "asimd", "bf16"].filter(
      flags.contains)
    tell("processor", field("model name") ?? "unknown", nil, ["features": known])
    tell(
      "instruction set", known.isEmpty ? "no vector instructions that are made use of" : known.joined(separator: " "),
      nil,
      ["bf16": hasNativeBFloat16])
    tell("oneDNN", oneDNNVersion, nil, ["max-isa": ProcessInfo.processInfo.environment["DNNL_MAX_CPU_ISA"]])
    let threads = ProcessInfo.processInfo.activeProcessorCount
    tell(
      "threads", "\(threads)", nil,
      ["count": threads, "OMP_NUM_THREADS": ProcessInfo.processInfo.environment["OMP_NUM_THREADS"]])
  }

  private func isolation(_ tell: Tell) {
    let offered = IsolationLevel.offered
    do {
      let level = try IsolationLevel.probe()
      tell(
        "isolation of plugins", level.description,
        level.isComplete
          ? nil : "Use a kernel with Landlock (5.13 or later, lsm=landlock): conversions go on with what there is.",
        [
          "landlock": level.landlock, "landlock-offered": offered.landlock, "seccomp": level.seccomp,
          "limits": level.limits,
        ])
    } catch {
      tell(
        "isolation of plugins", "\(error)", "Conversions cannot run: reinstall codi, or use a kernel with seccomp.", [:]
      )
    }
  }

  private func store(_ tell: Tell) {
    let store = Locations.store
    let files = FileManager.default
    do {
      let installed = try store.list()
      var broken: [String] = []
      for bundle in installed {
        do { _ = try store.open(bundle) } catch { broken.append("\(bundle.name)@\(bundle.version): \(error)") }
      }
      let isWritable = !files.fileExists(atPath: store.home) || access(store.home, W_OK) == 0
      tell(
        "store", "\(store.home), \(installed.count) bundles" + (isWritable ? "" : ", read-only"),
        broken.isEmpty ? nil : broken.joined(separator: "\n   ") + "\n   Run `codi verify`, then reinstall.",
        ["bundles": installed.count, "writable": isWritable])
    } catch { tell("store", store.home, "\(error)", [:]) }
    var place = URL(filePath: store.home)
    while place.path != "/", !files.fileExists(atPath: place.path) { place = place.deletingLastPathComponent() }
    let free = ((try? files.attributesOfFileSystem(forPath: place.path))?[.systemFreeSize] as? Int) ?? 0
    tell(
      "free disk", "\(free / 1_000_000) MB at \(place.path)",
      free < 500_000_000 ? "Free some: installs and results need room." : nil, ["bytes": free])
  }
}

/// The shared libraries that this process runs with, by their file names' versions.
private enum Libraries {
  static var summary: String {
    let names = ["libdnnl", "libopenblas", "libvips", "libzip", "libyaml", "libsodium", "liblcms2", "libc", "libgomp"]
    // Read to its end: this file comes in pieces, and its size is said to be 0.
    let data = (try? FileHandle(forReadingAtPath: "/proc/self/maps")?.readToEnd()) ?? Data()
    let maps = String(decoding: data, as: UTF8.self)
    let paths = Set(maps.split(separator: "\n").compactMap { $0.split(separator: " ").last.map(String.init) })
    return names.compactMap { name in
      paths.map { URL(filePath: $0).lastPathComponent }.first {
        $0.hasPrefix("\(name).so") || $0.hasPrefix("\(name)-") || $0.hasPrefix("\(name)p")
      }
    }.joined(separator: ", ")
  }
}
