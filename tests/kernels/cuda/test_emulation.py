"""A GPU's kernels, run by threads of the system, have the CPU's bits.

See `emulation`: all but a GPU's own instructions is what runs there.
"""

import sys

import numpy as np
import pytest
from scipy import sparse

import golden
from fastnn import backends
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.losses import LOSSES
from fastnn.kernels.optimizers import OPTIMIZERS
from fastnn.network.data import Data
from fastnn.network.multilayer import multilayer_perceptron
from fastnn.network.regularization import Regularization
from fastnn.network.state import OptimizerState, TrainingState

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the emulation is for Linux")
if sys.platform == "linux":
    from emulation import EmulatedBackend

DTYPES = ["float32", pytest.param("float64", marks=pytest.mark.slow)]
# Trainings that together have most of what there is; the others are slow.
SOME = {
    "adam, weighted",
    "dropout, sparse, float32",
    "batch normalisation, float32",
    "muon, float32",
    "L1 and L2",
    "clipped gradients",
    "average that goes on",
    "augmentation, float32",
    "early stopping by a loss",
    "one hidden layer",
    "multilabel",
    "partial_fit with dropout",
}


@pytest.fixture
def emulated(monkeypatch):
    """Has estimators train on an emulated machine."""
    monkeypatch.setattr(backends, "get_backend", lambda *args, **kwargs: EmulatedBackend())


@pytest.mark.parametrize(
    "name",
    [name if name in SOME else pytest.param(name, marks=pytest.mark.slow) for name in golden.CASES],
)
def test_trainings_have_the_recorded_bits(name, emulated):
    assert golden.golden_sum(name) == golden.recorded()[name]


def results(backend, layer_units, dtype, *, rows=100, batch=40, activation="relu", **options):
    """All that a backend makes: two epochs, a state, predictions, losses and gradients."""
    loss, solver = options.pop("loss", "squared_error"), options.pop("solver", "adam")
    rng = np.random.RandomState(3)
    X = rng.uniform(-2, 2, (rows, layer_units[0])).astype(dtype)
    n_targets = 1 if LOSSES[loss].coupled else layer_units[-1]
    y = rng.randint(0, 2, (rows, n_targets)).astype(dtype) + (loss in ("gamma", "poisson"))
    if options.pop("is_sparse", False):
        X[rng.uniform(size=X.shape) < 0.6] = 0
        X = sparse.csr_array(X)
    weights = rng.uniform(0, 2, rows) if options.pop("weighted", False) else None
    network = multilayer_perceptron(layer_units, activation, loss)
    params = network.initialize(np.random.RandomState(0), np.dtype(dtype))
    optimizer = OptimizerState(solver, network.n_params, np.dtype(dtype), learning_rate=0.01)
    state = TrainingState(params.copy(), optimizer)
    data = Data(X, y, weights)
    trainer = backend.trainer(
        network, data, state, regularization=Regularization(0.01, **options), batch_size=batch
    )
    orders = np.random.RandomState(1)
    made = {"losses": [trainer.train_epoch(orders.permutation(rows)) for _ in range(2)]}
    trainer.fetch()
    made |= {"params": state.params, "slots": optimizer.slots}
    made["numbers"] = [optimizer.scalars.tobytes(), optimizer.step_rate.tobytes()]
    made["predictions"] = backend.forward(network, params, X)
    made["raw"] = backend.forward(network, params, X, link=False)
    made["hidden"] = backend.hidden(network, params, X, 0)
    if not sparse.issparse(X):
        by = np.ones((rows, layer_units[-1]), dtype)
        made["input_gradient"] = backend.input_gradient(network, params, X, by)
    evaluate = backend.evaluation(network, data, dtype=np.dtype(dtype))
    made["outputs"], made["row_losses"] = (part.copy() for part in evaluate(params))
    objective = backend.objective(network, data, alpha=0.1, dtype=np.dtype(dtype))
    made["objective"], made["gradient"] = objective(params.astype(float))
    some = backend.objective(
        network, data, alpha=0.1, dtype=np.dtype(dtype), rows=np.arange(0, rows, 3)
    )
    made["objective of some"], made["gradient of some"] = some(params.astype(float))
    return made


def assert_equal_bits(layer_units, dtype, machine=None, **options):
    expected = results(backends.get_backend(n_jobs=1), layer_units, dtype, **options)
    found = results(EmulatedBackend(**(machine or {})), layer_units, dtype, **options)
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key, strict=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation, dtype):
    assert_equal_bits((7, 5, 3), dtype, activation=activation)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_losses(loss, dtype):
    n_outputs = 1 if loss == "binary_log_loss" else 3
    assert_equal_bits((7, 5, n_outputs), dtype, loss=loss)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", [rule for rule in OPTIMIZERS if rule != "nesterov"])
def test_optimizers(rule, dtype):
    assert_equal_bits((7, 5, 4, 3), dtype, solver=rule)


# Sizes around those of tiles and warps; and mini-batches that are summed in parts.
SIZES = [
    {"layer_units": (1, 1, 1), "rows": 3, "batch": 1},
    {"layer_units": (17, 16, 15), "rows": 33, "batch": 32},
    {"layer_units": (31, 33, 2), "rows": 65, "batch": 31},
    {"layer_units": (64, 65, 32, 1), "rows": 50, "batch": 17},
    {"layer_units": (5, 40, 2), "rows": 450, "batch": 210},
]
MACHINES = [
    {"n_blocks": 3, "n_threads": 16},
    pytest.param({"n_blocks": 1, "n_threads": 16}, marks=pytest.mark.slow),
    pytest.param({"n_blocks": 2, "n_threads": 32}, marks=pytest.mark.slow),
    pytest.param({"n_blocks": 1, "n_threads": 64}, marks=pytest.mark.slow),
    {"n_blocks": 2, "n_threads": 16, "wide": True},
    {"n_blocks": 2, "n_threads": 16, "meets": False},
    {"n_threads": 32, "resident": True},
    pytest.param({"n_threads": 16, "resident": True, "fast_bytes": 12000}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("machine", MACHINES, ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: str(sizes["layer_units"]))
def test_sizes(sizes, machine, dtype):
    assert_equal_bits(dtype=dtype, machine=machine, **sizes)


@pytest.mark.parametrize(
    "options",
    [
        {"weighted": True},
        {"is_sparse": True},
        {"dropout": (0.2, 0.4)},
        {"max_grad_norm": 0.05},
        {"l1_ratio": 0.5},
        {"weighted": True, "is_sparse": True, "dropout": (0.3, 0.0)},
        {"solver": "muon", "max_grad_norm": 0.1},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_options(options, dtype):
    assert_equal_bits((9, 20, 3), dtype, **options)


@pytest.mark.parametrize(
    "machine", [{"n_blocks": 3}, {"meets": False}, {"resident": True}, {"delays": True}], ids=str
)
def test_mini_batches_without_weight_are_skipped(machine):
    rng = np.random.RandomState(0)
    X, y = rng.randn(100, 6), rng.randn(100, 2)
    weights = rng.uniform(1, 2, 100)
    weights[20:60], weights[80:] = 0, 0

    def train(backend):
        network = multilayer_perceptron((6, 5, 2), "tanh", "squared_error")
        params = network.initialize(np.random.RandomState(0), np.dtype(float))
        state = TrainingState(params, OptimizerState("adam", network.n_params, float, 0.01))
        trainer = backend.trainer(
            network,
            Data(X, y, weights),
            state,
            regularization=Regularization(0.1, dropout=(0.0, 0.2)),
            batch_size=20,
        )
        losses = [trainer.train_epoch(np.arange(100)) for _ in range(3)]
        return losses, params, float(state.random_steps[0])

    (losses, params, n_steps), expected = (
        train(EmulatedBackend(**machine)),
        train(backends.get_backend()),
    )
    assert losses == expected[0] and n_steps == expected[2]
    np.testing.assert_array_equal(params, expected[1])


@pytest.mark.parametrize("repeat", range(3))
def test_bits_do_not_depend_on_who_is_late(repeat):
    machine = {"n_blocks": 3, "n_threads": 16, "delays": True}
    assert_equal_bits((20, 35, 3), "float32", machine, dropout=(0.1, 0.2), loss="log_loss")


def test_without_barriers_the_bits_are_others():
    """So that what the tests here see are races that barriers prevent."""
    machine = {"n_blocks": 1, "n_threads": 16, "delays": True, "barriers": False}
    with pytest.raises(AssertionError):
        assert_equal_bits((20, 35, 3), "float32", machine, loss="log_loss")
