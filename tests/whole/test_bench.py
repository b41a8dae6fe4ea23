"""Benchmarks: their processes end with the program, and the profile knows every unit of a step."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common import TESTS, child_environment, run_python

BENCH = TESTS.parent / "bench"

# A process that measures, and one that it has started, as a search does, are at work.
AT_WORK = """
import os, subprocess, sys, time

def work(folder):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open(os.path.join(folder, f"{os.getpid()} {child.pid}"), "w").close()
    time.sleep(600)
"""
PROGRAM = """
import sys
from at_work import work
from processes import Process

if __name__ == "__main__":
    with Process() as process:
        process.call(work, sys.argv[1])
"""


def is_running(pid):
    try:
        # One that has ended, and that nobody has asked for, is no more than a number.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGINT"])
def test_processes_end_with_the_program(tmp_path, name):
    (tmp_path / "at_work.py").write_text(AT_WORK)
    (tmp_path / "program.py").write_text(PROGRAM)
    marks = tmp_path / "marks"
    marks.mkdir()
    paths = os.pathsep.join([str(BENCH), str(tmp_path)])
    program = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), str(marks)],
        env=child_environment(PYTHONPATH=paths),
        stderr=subprocess.DEVNULL,
    )
    pids = []
    try:
        assert until(lambda: list(marks.iterdir()))
        pids = [int(pid) for pid in next(marks.iterdir()).name.split()]
        assert all(map(is_running, pids))
        program.send_signal(getattr(signal, name))
        program.wait(timeout=60)
        assert until(lambda: not any(map(is_running, pids)))
    finally:
        program.kill()
        program.wait()
        for pid in filter(is_running, pids):
            os.kill(pid, signal.SIGKILL)


PROFILE = """
import json
import bench_profile
print(json.dumps([bench_profile.measure_row(name, 1) for name in ("XS", "S")]))
"""


@pytest.mark.slow
def test_every_unit_has_its_part_of_a_step():
    """Products, those whose gradients are summed in parts too, say their layer."""
    for row in run_python(PROFILE, PYTHONPATH=os.pathsep.join([str(BENCH), str(TESTS.parent)])):
        parts = {unit["part"] for unit in row["units"]}
        expected = {"delta, layer 2", "bias gradients", "optimizer"}
        for kind in ("forward", "weight gradient"):
            expected |= {f"{kind}, layer 1", f"{kind}, layer 2"}
        assert parts >= expected
        n_in, n_hidden, n_out = row["layer_units"]
        n_products = 2 * n_in * n_hidden + 3 * n_hidden * n_out
        assert (
            sum(unit["flops"] or 0 for unit in row["units"]) == 2 * row["batch_size"] * n_products
        )
