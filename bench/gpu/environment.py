"""Which versions a GPU machine has, and whether Numba compiles for its GPU as they are."""

import json
import platform
import subprocess
import sys
from importlib import metadata
from time import perf_counter

PACKAGES = (
    "numpy", "numba", "llvmlite", "numba-cuda", "cuda-core", "cuda-bindings", "cuda-pathfinder",
    "nvidia-nvjitlink", "nvidia-cuda-nvrtc", "nvidia-nvvm", "nvidia-cuda-nvcc", "torch", "jax",
    "cupy-cuda13x", "scikit-learn", "scipy", "platformdirs",
)  # fmt: skip


def version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def try_numba():
    """Compile and run one kernel; what failed, or the seconds that it took."""
    import numpy as np

    needed_row_stack = not hasattr(np, "row_stack")
    if needed_row_stack:
        np.row_stack = np.vstack
    from numba import cuda

    def double(x):
        i = cuda.grid(1)
        if i < x.shape[0]:
            x[i] *= np.float32(2)

    begin = perf_counter()
    x = cuda.to_device(np.arange(1000, dtype=np.float32))
    copied = perf_counter()
    cuda.jit(double)[4, 256](x)
    cuda.synchronize()
    compiled = perf_counter()
    right = bool((x.copy_to_host() == 2 * np.arange(1000)).all())
    return {
        "row_stack was missing": needed_row_stack,
        "first copy s": copied - begin,
        "compile and run s": compiled - copied,
        "right": right,
    }


def main(path):
    facts = {"python": sys.version, "processor": platform.processor()}
    facts["packages"] = {package: version(package) for package in PACKAGES}
    query = "name,driver_version,clocks.max.sm,clocks.sm,power.limit,compute_cap"
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv"]
    facts["gpu"] = subprocess.run(command, capture_output=True, text=True).stdout
    with open("/proc/cpuinfo") as file:
        facts["cpu"] = next(line for line in file if "model name" in line).strip()
    try:
        facts["numba"] = try_numba()
    except Exception as error:
        facts["numba"] = repr(error)
    with open(path, "w") as file:
        json.dump(facts, file, indent=1)
    print(json.dumps(facts, indent=1), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
