import Foundation
import TestSupport

extension Workshop {
  /// Runs a script in which `$CODI` is the program and `$ARGS` what a quick conversion needs; the working folder is the
  /// workshop's, the exit code that of the last command, 128 and more for one that crashed.
  /// - Parameter powerless: without root's right to read and write what permissions forbid.
  func shell(
    _ script: String, powerless: Bool = false, environment: [String: String] = [:]
  ) throws -> Outcome {
    let names = ["CODI": Toy.products.appending(path: "codi").path, "ARGS": "--adapter enlarge --steps 1"]
    let prefix =
      powerless && geteuid() == 0
      ? ["/usr/bin/setpriv", "--bounding-set=-dac_override,-dac_read_search", "/bin/sh"] : ["/bin/sh"]
    // More than one command, or the shell would become the program and its crash look like an exit code.
    return try run(
      prefix.dropFirst() + ["-c", script + "\nexit $?"], names.merging(environment) { $1 }, program: prefix[0])
  }
}
