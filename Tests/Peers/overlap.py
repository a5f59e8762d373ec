#!/usr/bin/env python3
"""How far codi convert works at several pictures at a time: the seconds that pictures say they took, over those that the
run took.

  CODI_HOME=demo/store python3 Tests/Peers/overlap.py [--codi .build/release/codi] [--adapter super-resolution]
      [--side 48] [--pictures 200] [--jobs 1 2 3 4 6] [--threads 1] [--rounds 3] [--steps 1]

Each picture's event has the seconds of decoding, network and encoding without those of waiting for other pictures. With
--jobs 1 they add up to the run; the more of it overlaps, the more they exceed it. Most is to be won with a tiny network.
With one thread for the network a second core is free for the rest. Rounds take turns, and their medians are printed.
Needs nothing but Python.
"""
import argparse
import json
import os
import random
import statistics
import struct
import subprocess
import tempfile
import zlib


def write_png(path, side, seed):
    random.seed(seed)
    rows = b"".join(b"\0" + bytes(min(255, 40 + (x + y * 2) % 160 + random.randrange(40)) for x in range(3 * side))
                    for y in range(side))
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
                   + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def run(options, jobs, work):
    command = [options.codi, "convert", f"{work}/in", "--adapter", options.adapter, "--steps", str(options.steps),
               "--jobs", str(jobs), "--out", f"{work}/out", "--existing", "overwrite", "--json"]
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads))
    subprocess.run(["rm", "-rf", f"{work}/out"], check=True)
    made = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    events = [json.loads(line) for line in made.stdout.splitlines()]
    parts = {part: sum(e["timing"][part] for e in events if e["event"] == "converted")
             for part in ["decode", "network", "encode"]}
    finished = events[-1]
    return {"seconds": finished["seconds"], "bytes": finished["bytes"], **parts}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--codi", default=".build/release/codi")
    parser.add_argument("--adapter", default="super-resolution")
    parser.add_argument("--side", type=int, default=48)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2, 3, 4, 6])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        os.mkdir(f"{work}/in")
        for i in range(options.pictures):
            write_png(f"{work}/in/{i:04}.png", options.side, i)
        rows = {jobs: [] for jobs in options.jobs}
        for _ in range(options.rounds):
            for jobs in options.jobs:
                rows[jobs].append(run(options, jobs, work))
    print("jobs  pictures/s  seconds  decode  network  encode  work/seconds  peak MiB")
    for jobs, runs in rows.items():
        row = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        work = row["decode"] + row["network"] + row["encode"]
        print(f"{jobs:4}  {options.pictures / row['seconds']:10.1f}  {row['seconds']:7.2f}  {row['decode']:6.2f}  "
              f"{row['network']:7.2f}  {row['encode']:6.2f}  {work / row['seconds']:12.2f}  {row['bytes'] / 2**20:8.0f}",
              flush=True)


main()
