"""The code of a GPU's kernels, made and assembled without a GPU.

It has no instruction that rounds otherwise than the CPU's, no memory of a thread's own, and no
register is spilled. Needs numba-cuda; see the extras.
"""

import re

import numpy as np
import pytest
from scipy import sparse

pytest.importorskip("numba_cuda", reason="needs an extra, cuda12 or cuda13")

from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.losses import LOSSES
from fastnn.kernels.optimizers import OPTIMIZERS
from fastnn.network.data import Data
from fastnn.network.multilayer import multilayer_perceptron
from fastnn.network.regularization import Regularization
from fastnn.network.state import OptimizerState, TrainingState, WeightAverage
from offline_gpu import N_THREADS, OfflineBackend, assemble, objections, resources

DTYPES = ["float32", "float64"]
# The newest compiler keeps a few addresses of this one in memory, outside of its main loop.
MOST_SPILLED = {("weight_gradient_128x128_float32", (10, 0)): 32}


def units_of(cc, dtype, *, layer_units=(20, 32, 5), activation="relu", loss="log_loss", **options):
    """The compiled units of all that a training and its validation make plans of."""
    backend = OfflineBackend(cc)
    before = len(backend.machine.compiler.units)
    network = multilayer_perceptron(
        layer_units, activation, loss, batch_norm=options.pop("batch_norm", False)
    )
    rows, batch = options.pop("rows", 400), options.pop("batch", 200)
    X = np.ones((rows, layer_units[0]), dtype)
    if options.pop("is_sparse", False):
        X = sparse.csr_array(X)
    n_targets = 1 if LOSSES[loss].coupled else layer_units[-1]
    weights = np.ones(rows) if options.pop("weighted", False) else None
    data = Data(X, np.ones((rows, n_targets), dtype), weights)
    decay = options.pop("average", None)
    state = TrainingState(
        np.zeros(network.n_params, dtype),
        OptimizerState(options.pop("solver", "adam"), network.n_params, np.dtype(dtype), 0.01),
        None if decay is None else WeightAverage(network.n_params, np.dtype(dtype), decay),
    )
    regularization = Regularization(0.01, **options)
    backend.trainer(network, data, state, regularization=regularization, batch_size=batch)
    if not network.batch_norm:
        backend.objective(network, data, alpha=0.1, dtype=np.dtype(dtype))
        backend.evaluation(network, data, dtype=np.dtype(dtype))
    return backend.machine.compiler.units[before:], backend


def check(units, cc):
    """Look at the text of each unit, and at what the assembler makes of it.

    Units that another test has looked at are not among these.
    """
    if not units:
        return
    assert {unit.name: objections(unit.text) for unit in units if objections(unit.text)} == {}
    kernel, log = assemble(units, cc)
    assert objections(kernel) == []
    found = resources(log)
    assert set(found) == {unit.name for unit in units}
    spilled = {name: numbers[:3] for name, numbers in found.items() if any(numbers[:3])}
    assert {
        name: sizes
        for name, sizes in spilled.items()
        if max(sizes) > MOST_SPILLED.get((name, cc), 0)
    } == {}
    assert max(numbers[3] for numbers in found.values()) * N_THREADS <= 65536


@pytest.mark.parametrize("cc", [(7, 5), (8, 0), (9, 0), (10, 0)], ids=str)
def test_default_training(cc):
    check(units_of(cc, "float32")[0], cc)


@pytest.mark.parametrize("cc", [(8, 0), (9, 0), (10, 0)], ids=str)
def test_wide_products(cc):
    units, _ = units_of(cc, "float32", layer_units=(2048, 2048, 10), rows=1024, batch=1024)
    assert any("128x128" in unit.name for unit in units)
    check(units, cc)


def test_rounding_is_said():
    """What the tests here look for would be found: this unit has products and sums to contract."""
    _, backend = units_of((9, 0), "float32")
    texts = {unit.name: unit.text for unit in backend.machine.compiler.units}
    update = texts["update_adam_float32"]
    assert "mul.rn.f32" in update and "add.rn.f32" in update and "fma" not in update
    assert objections(update.replace("mul.rn.f32", "mul.f32"))
    assert "fma.rn.f32" in texts["multiply_rows_32x32_float32"]


def main_loop(cc, layer_units, rows):
    """Instructions of the main loop of the forward product, in PTX: all, and the fma's."""
    _, backend = units_of(cc, "float32", layer_units=layer_units, rows=rows, batch=rows)
    texts = [
        unit.text for unit in backend.machine.compiler.units if "multiply_rows_128" in unit.name
    ]
    (text,) = texts
    loops = re.split(r"\n\$L__BB", text)
    most = max(loops, key=lambda block: block.count("fma.rn.f32"))
    lines = [line for line in most.split("\n") if line.strip().endswith(";")]
    return len(lines), most.count("fma.rn.f32")


def test_the_main_loop_of_a_wide_product_is_fmas():
    n_instructions, n_fmas = main_loop((9, 0), (2048, 2048, 10), 1024)
    assert n_fmas >= 0.85 * n_instructions


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation, dtype):
    units, _ = units_of((9, 0), dtype, activation=activation)
    check(units, (9, 0))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_losses(loss, dtype):
    n_outputs = 1 if loss == "binary_log_loss" else 5
    units, _ = units_of((9, 0), dtype, loss=loss, layer_units=(20, 32, n_outputs))
    check(units, (9, 0))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("solver", [rule for rule in OPTIMIZERS if rule != "nesterov"])
def test_solvers(solver, dtype):
    units, _ = units_of((9, 0), dtype, solver=solver)
    check(units, (9, 0))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "options",
    [
        {"batch_norm": True},
        {"average": 0.9},
        {"weighted": True},
        {"dropout": (0.2, 0.2)},
        {"is_sparse": True, "dropout": (0.2, 0.2)},
        {"max_grad_norm": 1.0, "l1_ratio": 0.5},
        {"layer_units": (2048, 2048, 10), "rows": 1024, "batch": 1024},
    ],
    ids=str,
)
def test_options(options, dtype):
    units, _ = units_of((9, 0), dtype, **options)
    check(units, (9, 0))
