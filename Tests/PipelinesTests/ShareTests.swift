import Foundation
import Pipelines
import Testing

@Suite("Shares of a job") struct ShareTests {
  private func share(_ environment: [String: String]) throws -> String { try Share.from(environment).description }

  @Test("--share counts from 1", arguments: ["1/1", "1/3", "3/3"])
  func text(_ text: String) throws {
    #expect(try Share(text).description == text)
  }

  @Test("what is no share is refused", arguments: ["0/2", "3/2", "1", "1/", "/2", "a/b", "1/2/3", "-1/2", "1/0"])
  func refused(_ text: String) {
    #expect(throws: ConversionError.self) { try Share(text) }
  }

  @Test("a process without an engine does everything")
  func alone() throws {
    #expect(try share(["HOME": "/root"]) == "1/1")
  }

  @Test("MPI's ranks, Slurm's steps and array tasks, and Kubernetes' indexed Jobs are understood")
  func engines() throws {
    #expect(try share(["OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4"]) == "3/4")
    #expect(try share(["PMI_RANK": "0", "PMI_SIZE": "2"]) == "1/2")
    #expect(try share(["SLURM_PROCID": "1", "SLURM_NTASKS": "3"]) == "2/3")
    #expect(
      try share(["SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "1"]) == "3/4")
    #expect(
      try share([
        "SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "3",
        "SLURM_ARRAY_TASK_STEP": "2",
      ]) == "3/3")
    #expect(try share(["JOB_COMPLETION_INDEX": "0", "COMPLETIONS": "5"]) == "1/5")
  }

  @Test("steps inside array tasks share the task's part, and together they cover everything once")
  func nested() throws {
    let shares = try (0..<3).flatMap { task in
      try (0..<2).map { rank in
        try share([
          "SLURM_ARRAY_TASK_ID": "\(task)", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "0",
          "SLURM_PROCID": "\(rank)", "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_ID": "0",
        ])
      }
    }
    #expect(shares == ["1/6", "2/6", "3/6", "4/6", "5/6", "6/6"])
  }

  @Test("a Slurm batch script is one process, whatever the number of tasks it was given")
  func batchScript() throws {
    var environment = ["ENVIRONMENT": "BATCH", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"]
    #expect(try share(environment) == "1/1")
    environment.merge(["SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "5"]) { $1 }
    #expect(try share(environment) == "6/8")
    // mpirun inside Slurm starts its own ranks below one step.
    environment.merge(["OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4"]) { $1 }
    #expect(try share(environment) == "2/4")
  }

  @Test(
    "variables that name no share are refused",
    arguments: [
      ["JOB_COMPLETION_INDEX": "1"], ["JOB_COMPLETION_INDEX": "3", "COMPLETIONS": "3"],
      ["OMPI_COMM_WORLD_RANK": "1"], ["SLURM_PROCID": "x", "SLURM_NTASKS": "2"],
      ["SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_MIN": "5"],
    ])
  func contradictions(_ environment: [String: String]) {
    #expect(throws: ConversionError.self) { try Share.from(environment) }
  }
}
