"""What a launch, a barrier of the whole grid and a copy cost on a GPU, by Numba's kernels.

``python bench/gpu/launches.py out.json`` measures launches by Numba's dispatcher and by cuda.core,
barriers made by hand, by cooperative groups and of a cluster, and copies to and from the device.
"""

import json
import re
import sys
from time import perf_counter

import numpy as np
import seam
from numba import cuda
from numba import types as nb

N_BARRIERS = 2000


def nothing(n):
    if n < 0:
        cuda.syncthreads()


def by_hand(counter_at, n):
    # One thread of each block adds to one word and waits until all have.
    blocks = np.int32(cuda.gridDim.x)
    for i in range(n):
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            seam.add_release(counter_at, np.int32(1))
            while seam.load_acquire(counter_at) < blocks * np.int32(i + 1):
                pass
        cuda.syncthreads()


def by_groups(counter_at, n):
    grid = cuda.cg.this_grid()
    for _ in range(n):
        grid.sync()


def by_cluster(counter_at, n):
    for _ in range(n):
        seam.cluster_arrive()
        seam.cluster_wait()


def of_block(counter_at, n):
    for _ in range(n):
        cuda.syncthreads()


def core_kernel(function, signature):
    """The kernel loaded by cuda.core, and a stream of its own."""
    from cuda.core import Device, Program, ProgramOptions

    text, _ = cuda.compile_ptx(function, signature, cc=(9, 0))
    gpu = Device()
    gpu.set_current()
    code = Program(text, "ptx", ProgramOptions(arch="sm_90")).compile("cubin")
    return code.get_kernel(re.search(r"\.entry (\w+)", text).group(1)), gpu.create_stream()


def launches():
    """Microseconds of a launch, back to back and alone with a wait for its end."""
    kernel = seam.kernel(nothing)
    kernel[1, 32](1)
    configured = kernel[1, 32]
    typed = seam.kernel("void(int64)")(nothing)[1, 32]
    typed(1)
    cuda.synchronize()
    results = {}
    for name, call in (
        ("kernel[1, 32](n)", lambda: kernel[1, 32](1)),
        ("configured(n)", lambda: configured(1)),
        ("configured(n) of one signature", lambda: typed(np.int64(1))),
    ):
        begin = perf_counter()
        for _ in range(2000):
            call()
        cuda.synchronize()
        results[name] = (perf_counter() - begin) / 2000 * 1e6
        times = []
        for _ in range(200):
            begin = perf_counter()
            call()
            cuda.synchronize()
            times.append(perf_counter() - begin)
        results[f"{name}, waited for"] = float(np.median(times) * 1e6)
    return results


def core_launches():
    from cuda.core import LaunchConfig, launch

    kernel, stream = core_kernel(nothing, nb.void(nb.int64))
    config, n = LaunchConfig(grid=1, block=32), np.int64(1)
    launch(stream, config, kernel, n)
    stream.sync()
    begin = perf_counter()
    for _ in range(2000):
        launch(stream, config, kernel, n)
    stream.sync()
    return {"cuda.core.launch": (perf_counter() - begin) / 2000 * 1e6}


def barriers():
    """Microseconds of one barrier, for numbers of blocks and threads."""
    results = {}
    counter = cuda.to_device(np.zeros(1, np.int32))
    hand, groups, block = map(seam.kernel, (by_hand, by_groups, of_block))
    for n_blocks, n_threads in (
        (132, 256),
        (132, 512),
        (66, 256),
        (32, 256),
        (16, 256),
        (264, 256),
    ):
        at = (n_blocks, n_threads)

        def run_by_hand(at=at):
            counter.copy_to_device(np.zeros(1, np.int32))
            hand[at](seam.address(counter), N_BARRIERS)

        results[f"by hand {at}"] = seam.timed(run_by_hand, N_BARRIERS) * 1e3
        results[f"cooperative groups {at}"] = (
            seam.timed(lambda at=at: groups[at](0, N_BARRIERS), N_BARRIERS) * 1e3
        )
    results["syncthreads 256"] = (
        seam.timed(lambda: block[132, 256](0, N_BARRIERS), N_BARRIERS) * 1e3
    )
    results["syncthreads 1024"] = (
        seam.timed(lambda: block[132, 1024](0, N_BARRIERS), N_BARRIERS) * 1e3
    )
    return results


def cluster_barriers():
    from cuda.core import LaunchConfig, launch

    kernel, stream = core_kernel(by_cluster, nb.void(nb.int64, nb.int64))
    results = {}
    for size in (2, 4, 8):
        config = LaunchConfig(grid=size, cluster=size, block=256)
        times = []
        for _ in range(7):
            begin = perf_counter()
            launch(stream, config, kernel, np.int64(0), np.int64(100_000))
            stream.sync()
            times.append(perf_counter() - begin)
        results[f"cluster of {size}"] = float(np.median(times[1:]) / 100_000 * 1e6)
    return results


def copies():
    """GB/s of copies to the device and back, pageable and pinned; microseconds of a small one."""
    results = {}
    host = np.ones(1 << 26, np.float32)
    pinned = cuda.pinned_array(1 << 26, np.float32)
    pinned[:] = 1
    target = cuda.device_array(1 << 26, np.float32)
    for name, array in (("pageable", host), ("pinned", pinned)):
        for way, copy in (
            ("to device", lambda a=array: target.copy_to_device(a)),
            ("to host", lambda a=array: target.copy_to_host(a)),
        ):
            copy()
            begin = perf_counter()
            copy()
            cuda.synchronize()
            results[f"{name} {way} GB/s"] = array.nbytes / (perf_counter() - begin) / 1e9
    small = cuda.device_array(16, np.float64)
    back = cuda.pinned_array(16, np.float64)
    times = []
    for _ in range(200):
        begin = perf_counter()
        small.copy_to_host(back)
        times.append(perf_counter() - begin)
    results["128 bytes to host us"] = float(np.median(times) * 1e6)
    return results


def main(path):
    results = {}
    for stage in (launches, core_launches, barriers, cluster_barriers, copies):
        try:
            results |= {key: round(value, 3) for key, value in stage().items()}
        except Exception as error:
            results[stage.__name__] = repr(error)[:500]
        with open(path, "w") as file:
            json.dump(results, file, indent=1)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
