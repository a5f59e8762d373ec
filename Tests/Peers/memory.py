#!/usr/bin/env python3
"""Peak memory and time of codi convert for results of several sizes, in one step, with the installed adapter.

  Tests/Peers/memory.py [--codi .build/release/codi] [--adapter super-resolution] [--megapixels 0.25 4 64 256]
                        [--max-memory none 800M ...]

Sources are uncompressed TIFF files that the script writes, a sixteenth of the result's pixels each, square. Memory is the
kernel's maximum resident set of the program, as it reports it itself and as the parent sees it; plugin processes are
children of the program and are not in it. Needs nothing but Python, and CODI_HOME with the adapter installed.
"""
import argparse
import json
import os
import random
import struct
import subprocess
import tempfile
import time


def write_tiff(path, side):
    """RGB of 8 bits: shading, discs and grain, row by row."""
    random.seed(1)
    grain = [bytes(random.randrange(24) for _ in range(3 * side)) for _ in range(16)]
    shade = bytes(40 + x // 3 * 160 // side for x in range(3 * side))
    rows = [bytes(a + b for a, b in zip(shade, noise)) for noise in grain]
    entries = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 14),
               (277, 3, 1, 3), (278, 4, 1, side), (279, 4, 1, 3 * side * side), (284, 3, 1, 1)]
    with open(path, "wb") as file:
        file.write(struct.pack("<2sHI3H", b"II", 42, 14 + 3 * side * side + 3 * side * side % 2, 8, 8, 8))
        for y in range(side):
            file.write(rows[y % 16] if y // 64 % 2 else rows[y % 16][::-1])
        file.write(b"\0" * (3 * side * side % 2))
        file.write(struct.pack("<H", len(entries)))
        for entry in entries:
            file.write(struct.pack("<HHII", *entry))
        file.write(struct.pack("<I", 0))


def run(arguments):
    start = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    events = [json.loads(line) for line in out.splitlines()]
    finished = next((e for e in events if e["event"] == "finished"), {})
    return os.waitstatus_to_exitcode(status), finished, usage.ru_maxrss / 1024, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--codi", default=".build/release/codi")
    parser.add_argument("--adapter", default="super-resolution")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[0.25, 4, 64, 256])
    parser.add_argument("--max-memory", nargs="+", default=["none"])
    parser.add_argument("--format", default="png")
    options = parser.parse_args()
    print("megapixels  limit       peak MiB (own, seen)  planned MiB  seconds  exit")
    with tempfile.TemporaryDirectory() as work:
        for megapixels in options.megapixels:
            side = max(1, round((megapixels * 1e6) ** 0.5 / 4))
            source = f"{work}/{side}.tif"
            write_tiff(source, side)
            for limit in options.max_memory:
                command = [options.codi, "convert", source, "--adapter", options.adapter, "--steps", "1", "--json",
                           "--format", options.format, "--out", f"{work}/out", "--existing", "overwrite"]
                if limit != "none":
                    command += ["--max-memory", limit]
                dry = subprocess.run(command + ["--dry-run"], capture_output=True, text=True)
                planned = [json.loads(line).get("bytes") for line in dry.stdout.splitlines() if '"estimate"' in line]
                code, finished, seen, seconds = run(command)
                own = finished.get("bytes", 0) / 2**20
                print(f"{megapixels:10.2f}  {limit:10s}  {own:9.0f} {seen:9.0f}   "
                      f"{(planned[0] if planned else 0) / 2**20:10.0f}  {seconds:7.1f}  {code}", flush=True)
                subprocess.run(["rm", "-rf", f"{work}/out"])
            os.remove(source)


main()
