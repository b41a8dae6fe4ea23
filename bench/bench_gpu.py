"""All checks and measurements that need a GPU, in one command:

    python bench/bench_gpu.py bench/results/gpu.json [stage ...]

The stages are, in this order: ``facts``, of the machine; ``bits``, of every recorded training, and
the seconds of the first; ``sanitizer``, what compute-sanitizer says of a small fit; ``steps``,
microseconds of a step of each row beside PyTorch and JAX, interleaved, the data resident; and
``mnist``, the time to 98 %, where FASTNN_MNIST names the data. The results are written after every
part, so that a run that is cut has kept what it had.

Run it with the tests' helpers on the path: ``PYTHONPATH=.:bench:bench/gpu:tests/helpers``.
"""

import json
import os
import shutil
import subprocess
import sys
import warnings
from functools import partial
from statistics import median
from time import perf_counter

import gpu_peers
import numpy as np

from fastnn import MLPClassifier, backends
from fastnn.network.data import Data
from fastnn.network.multilayer import multilayer_perceptron
from fastnn.network.regularization import Regularization
from fastnn.network.state import OptimizerState, TrainingState

N_RUNS = 7
SMALL_FIT = """
import numpy as np
from fastnn import MLPClassifier
rng = np.random.RandomState(0)
X, y = rng.normal(size=(300, 20)).astype(np.float32), rng.randint(0, 3, 300)
MLPClassifier((32, 16), device="cuda", max_iter=2, batch_size=100, dropout=0.2).fit(X, y)
"""
PEERS = {
    "torch graph": gpu_peers.torch_graph,
    "torch graph tf32": partial(gpu_peers.torch_graph, tf32=True),
    "jax scan": gpu_peers.jax_scan,
    "jax scan tf32": partial(gpu_peers.jax_scan, precision="default"),
}


def facts(keep):
    """The machine, its packages and its GPU."""
    import environment

    keep(
        {
            "packages": {name: environment.version(name) for name in environment.PACKAGES},
            "gpu": backends.get_backend("cuda").device_name,
        }
    )


def bits(keep):
    """Every recorded training on the GPU: whether it has the recorded bits, and its seconds."""
    import golden

    plain, found = golden.fastnn.config_context, {}
    for name in golden.CASES:
        begin = perf_counter()
        try:
            with plain(device="cuda"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                same = golden.golden_sum(name) == golden.recorded()[name]
        except Exception as error:
            same = repr(error)[:500]
        found[name] = {"same": same, "s": round(perf_counter() - begin, 3)}
        keep(found)


def sanitizer(keep):
    """Have compute-sanitizer look for bad addresses, and races in shared memory, in a small fit."""
    found = {}
    program = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    for tool in ("memcheck", "racecheck"):
        command = [program, "--tool", tool, sys.executable, "-c", SMALL_FIT]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=150)
            found[tool] = done.stdout[-1500:] + done.stderr[-500:]
        except (OSError, subprocess.TimeoutExpired) as error:
            found[tool] = repr(error)[:300]
        keep(found)


def fastnn_steps(name, device="cuda"):
    """A run of a row's steps by our trainer, with the peers' data, weights and orders."""
    layer_units, batch_size, n_steps = gpu_peers.ROWS[name]
    X, y, orders, weights = gpu_peers.make_data(layer_units, batch_size)
    loss = "binary_log_loss" if layer_units[-1] == 1 else "log_loss"
    network = multilayer_perceptron(layer_units, "relu", loss)
    biases = [np.zeros(weight.shape[1], np.float32) for weight in weights]
    params = network.pack(weights, biases, np.float32)
    optimizer = OptimizerState("adam", network.n_params, np.dtype(np.float32), learning_rate=1e-4)
    trainer = backends.get_backend(device).trainer(
        network,
        Data(X, y[:, None].astype(np.int32), None),
        TrainingState(params, optimizer),
        regularization=Regularization(0.0),
        batch_size=batch_size,
    )
    repeats = -(-n_steps // len(orders))
    order = np.tile(orders, (repeats, 1))[:n_steps].ravel()

    def run():
        for first in range(0, len(order), len(X)):
            loss = trainer.train_epoch(order[first : first + len(X)])
        return loss

    return run


def steps(keep):
    """Microseconds a step, medians of interleaved runs, and the seconds of the first run."""
    found = {}
    for name, (_, _, n_steps) in gpu_peers.ROWS.items():
        runs, times = {}, {}
        for label, make in {"fastnn": fastnn_steps, **PEERS}.items():
            begin = perf_counter()
            try:
                runs[label] = make(name)
                runs[label]()
                times[label] = {"first_s": round(perf_counter() - begin, 3)}
            except Exception as error:
                runs.pop(label, None)
                times[label] = {"error": repr(error)[:500]}
        own = {label: [] for label in runs}
        for _ in range(N_RUNS):
            for label, run in runs.items():
                begin = perf_counter()
                run()
                own[label].append((perf_counter() - begin) / n_steps * 1e6)
        for label, values in own.items():
            times[label] |= {"us": round(median(values), 2), "best_us": round(min(values), 2)}
        found[name] = times
        keep(found)


def mnist(keep):
    """Seconds to 98 % of MNIST's test set by 784-100-10, whose epochs end on the GPU."""
    with np.load(os.environ["FASTNN_MNIST"]) as file:
        X, y = file["X_train"].reshape(-1, 784) / np.float32(255), file["y_train"]
        X_test, y_test = file["X_test"].reshape(-1, 784) / np.float32(255), file["y_test"]
    settings = {"batch_size": 200, "random_state": 0, "warm_start": True, "max_iter": 1}
    for run in ("cold", "warm"):
        model = MLPClassifier((100,), device="cuda", **settings)
        seconds, epochs = 0.0, 0
        while epochs < 30:
            begin = perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(X, y)
            seconds += perf_counter() - begin
            epochs += 1
            if model.score(X_test, y_test) >= 0.98:
                break
        keep({run: {"s": round(seconds, 3), "epochs": epochs}}, join=True)


STAGES = {"facts": facts, "bits": bits, "sanitizer": sanitizer, "steps": steps, "mnist": mnist}


def main(path, *names):
    results = {}

    def keeper(stage):
        def keep(found, join=False):
            results[stage] = {**results.get(stage, {}), **found} if join else found
            with open(path, "w") as file:
                json.dump(results, file, indent=1)

        return keep

    for name in names or STAGES:
        begin = perf_counter()
        try:
            STAGES[name](keeper(name))
        except Exception as error:
            keeper(name)({"error": repr(error)[:1000]}, join=True)
        print(
            name, round(perf_counter() - begin, 1), "s", json.dumps(results.get(name)), flush=True
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
