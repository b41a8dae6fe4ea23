"""The CPU backend against the NumPy oracle, over the registries, and its gradients."""

import itertools
import json

import numpy as np
import pytest
from scipy import sparse

from common import RECORDINGS
from fastnn import backends
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.losses import CLASS_INDICES, LABELS, LOSSES, NOT_NEGATIVE, NUMBERS, POSITIVE
from fastnn.kernels.optimizers import OPTIMIZERS
from fastnn.network.data import Data
from fastnn.network.multilayer import multilayer_perceptron
from fastnn.network.regularization import Regularization
from fastnn.network.state import OptimizerState, TrainingState, WeightAverage
from plain_steps import train
from reference import dropout_masks
from reference_backend import ReferenceBackend

HIDDEN = ((9,), (40, 13), ())
# Outputs by the targets' domain: fewer and more than a vector of any processor holds.
OUTPUTS = {CLASS_INDICES: (2, 4, 19), LABELS: (1, 3), NUMBERS: (1, 5, 33)}
TOLERANCE = {"float32": 2e-4, "float64": 1e-10}
# Where a rounding can turn the gradient of a row round.
KINKED = ("absolute_error", "quantile", "binary_hinge", "multiclass_hinge")
DECAY = Regularization(0.01)
LOSS_PARAMETERS = {"label_smoothing": 0.2, "huber_delta": 0.7, "quantile": 0.3}
# Every activation, loss and optimizer with different others.
COMBINATIONS = sorted(
    {
        *((activation, "log_loss", "adam") for activation in ACTIVATIONS),
        *((activation, "squared_error", "sgd") for activation in ACTIVATIONS),
        *(("relu", loss, "adam") for loss in LOSSES),
        *(("tanh", loss, "nesterov") for loss in LOSSES),
        *(("relu", "binary_log_loss", rule) for rule in OPTIMIZERS),
        *(("logistic", "poisson", rule) for rule in OPTIMIZERS),
    }
)


def make_network(layer_units, activation, loss):
    """A network, with a parameter for the loss where it has one."""
    parameter = LOSSES[loss].parameter
    return multilayer_perceptron(layer_units, activation, loss, LOSS_PARAMETERS.get(parameter, 0.0))


def make_data(network, *, is_sparse=False, weighted=False, n=57, seed=0):
    """Data (n, n_features) whose targets suit the network's loss."""
    rng = np.random.default_rng(seed)
    shape = (n, network.layer_units[-1])
    X = rng.standard_normal((n, network.layer_units[0]))
    if is_sparse:
        X = sparse.csr_array(X * (rng.random(X.shape) < 0.3))
    y = {
        CLASS_INDICES: lambda: rng.integers(0, shape[1], (n, 1)).astype(np.int32),
        LABELS: lambda: rng.integers(0, 2, shape).astype(np.uint8),
        NUMBERS: lambda: rng.standard_normal(shape),
        NOT_NEGATIVE: lambda: rng.poisson(2, shape).astype(float),
        POSITIVE: lambda: rng.gamma(2, size=shape),
    }[LOSSES[network.loss].domain]()
    return Data(X, y, rng.uniform(0, 2, n) if weighted else None)


def make_optimizer(rule, network, dtype):
    return OptimizerState(
        "sgd" if rule == "nesterov" else rule,
        network.n_params,
        np.dtype(dtype),
        0.01,
        nesterovs_momentum=rule == "nesterov",
        decay=0.01,
    )


def everything(backend, network, data, rule, dtype, regularization=DECAY):
    """A backend's results: three epochs, predictions, raw ones of some rows, an objective."""
    initial = network.initialize(np.random.RandomState(0), dtype)
    params = initial.copy()
    optimizer = make_optimizer(rule, network, dtype)
    trainer = backend.trainer(
        network,
        data,
        TrainingState(params, optimizer),
        regularization=Regularization(0.01),
        batch_size=20,
    )
    orders = np.random.RandomState(1)
    losses = [trainer.train_epoch(orders.permutation(len(data.y))) for _ in range(3)]
    objective = backend.objective(network, data, alpha=0.01, dtype=np.dtype(dtype))
    value, gradient = objective(initial.astype(float))
    rows = np.array([3, 1, 1, 5])
    return {
        "params": params,
        "losses": losses,
        "predictions": backend.forward(network, params, data.X),
        "raw": backend.forward(network, params, data.X[rows], link=False),
        "objective": value,
        "gradient": gradient,
        "learning_rate": optimizer.learning_rate,
        "slots": optimizer.slots,
    }


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
@pytest.mark.parametrize("activation, loss, rule", COMBINATIONS)
def test_agrees_with_the_oracle(activation, loss, rule, dtype):
    outputs = OUTPUTS.get(LOSSES[loss].domain, (2,))
    cases = itertools.product(HIDDEN, outputs, [(False, True), (True, False)])
    tolerance = 0.01 if loss in KINKED and dtype == "float32" else TOLERANCE[dtype]
    for hidden, n_outputs, (is_sparse, weighted) in cases:
        network = make_network((7, *hidden, n_outputs), activation, loss)
        data = make_data(network, is_sparse=is_sparse, weighted=weighted)
        expected = everything(ReferenceBackend(), network, data, rule, dtype)
        result = everything(backends.get_backend(), network, data, rule, dtype)
        for key, value in expected.items():
            np.testing.assert_allclose(
                result[key], value, rtol=tolerance, atol=tolerance, err_msg=key
            )


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_agree_with_central_differences(activation, loss, is_sparse):
    """Within 1e-7 relative, in float64, at every parameter together."""
    network = make_network((5, 6, 4, 3), activation, loss)
    data = make_data(network, is_sparse=is_sparse, weighted=True, n=23)
    alpha, step = 0.1, 1e-5
    objective = backends.get_backend().objective(network, data, alpha=alpha, dtype=np.float64)
    params = network.initialize(np.random.RandomState(3), np.float64)
    _, gradient = objective(params)

    def loss_at(i, sign):
        moved = params.copy()
        moved[i] += sign * step
        return objective(moved)[0]

    differences = np.array([loss_at(i, 1) - loss_at(i, -1) for i in range(len(params))])
    differences /= 2 * step
    if LOSSES[loss].mean_over_outputs:
        # scikit-learn's gradient of the data term is that of the sum over the outputs, its loss
        # is the mean: compare what the loss's gradient would be.
        decay = np.zeros_like(params)
        decay[: network.n_weights] = alpha * params[: network.n_weights]
        decay /= data.sample_weight.sum()
        gradient = (gradient - decay) / network.layer_units[-1] + decay
    error = np.linalg.norm(differences - gradient) / np.linalg.norm(gradient)
    assert error <= 1e-7


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_an_activation_for_each_layer(dtype):
    """With gradients that are functions of the output, and of the input, and none."""
    network = make_network((7, 9, 20, 5, 4), ("gelu", "tanh", "identity"), "log_loss")
    data = make_data(network, weighted=True)
    expected = everything(ReferenceBackend(), network, data, "adam", dtype)
    result = everything(backends.get_backend(), network, data, "adam", dtype)
    for key, value in expected.items():
        np.testing.assert_allclose(
            result[key], value, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], err_msg=key
        )


REGULARIZATIONS = {
    "l1": Regularization(0.1, l1_ratio=0.7),
    "clipping": Regularization(0.01, max_grad_norm=0.05),
    "no clipping": Regularization(0.01, max_grad_norm=1e9),
    "dropout": Regularization(0.01, dropout=(0.0, 0.5, 0.2), seed=7),
    "input dropout": Regularization(0.01, dropout=(0.3, 0.0, 0.0), seed=2**31 - 2),
    "all": Regularization(0.1, 0.3, (0.1, 0.4, 0.2), max_grad_norm=0.05, seed=1),
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("rule", ["nesterov", "adam", "adamw", "rmsprop", "lion"])
@pytest.mark.parametrize("name", REGULARIZATIONS)
def test_regularization(name, rule, dtype):
    """With gradients that are functions of the output, of the input, or constant."""
    for is_sparse, activations in itertools.product(
        (False, True), (("relu", "silu"), ("identity", "tanh"))
    ):
        network = make_network((7, 9, 20, 4), activations, "log_loss")
        data = make_data(network, is_sparse=is_sparse, weighted=True)
        expected, result = (
            everything(backend, network, data, rule, dtype, REGULARIZATIONS[name])
            for backend in (ReferenceBackend(), backends.get_backend())
        )
        for key, value in expected.items():
            np.testing.assert_allclose(
                result[key], value, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], err_msg=key
            )


TRAINED = {
    "batch_norm": (True, Regularization(0.1)),
    "dropout": (False, Regularization(0.1, dropout=(0.2, 0.3, 0.0), seed=3)),
    "l1": (False, Regularization(0.1, l1_ratio=0.5)),
    "all": (True, Regularization(0.1, 0.3, (0.1, 0.2, 0.3), seed=4)),
}


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "prelu", "gelu"])
@pytest.mark.parametrize("name", TRAINED)
def test_gradients_in_training_agree_with_central_differences(name, activation, is_sparse):
    """Within 1e-7 relative: of the first step, whose masks are always the same."""
    batch_norm, regularization = TRAINED[name]
    network = multilayer_perceptron((5, 6, 4, 3), activation, "log_loss", batch_norm=batch_norm)
    data = make_data(network, is_sparse=is_sparse, weighted=True, n=23)
    backend, step = backends.get_backend(), 1e-5
    initial = network.initialize(np.random.RandomState(3), np.float64)
    initial += 0.1 * np.random.RandomState(4).standard_normal(len(initial))
    moved = initial.copy()
    train(backend, network, data, moved, regularization, rate=1.0)
    n = network.n_trained
    gradient = (initial - moved)[:n]

    def loss_at(i, sign):
        params = initial.copy()
        params[i] += sign * step
        return train(backend, network, data, params, regularization)

    differences = np.array([loss_at(i, 1) - loss_at(i, -1) for i in range(n)]) / (2 * step)
    assert np.linalg.norm(differences - gradient) <= 1e-7 * np.linalg.norm(gradient)
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "activations", [("relu", "tanh"), ("prelu", "silu"), ("identity", "prelu")]
)
def test_batch_norm_and_learned_slopes(activations, dtype):
    """Against the oracle, and folded predictions against those of running statistics."""
    tolerance = {"rtol": 5 * TOLERANCE[dtype], "atol": 5 * TOLERANCE[dtype]}
    # The gradient of a bias before a batch norm is a rounding, which Adam's makes a step of.
    rules = ("nesterov", "adamw") if dtype == "float64" else ("nesterov",)
    for batch_norm, is_sparse, rule in itertools.product((False, True), (False, True), rules):
        network = multilayer_perceptron(
            (7, 90, 20, 4), activations, "log_loss", batch_norm=batch_norm
        )
        data = make_data(network, is_sparse=is_sparse, weighted=True)
        results = []
        for backend in (ReferenceBackend(), backends.get_backend()):
            params = network.initialize(np.random.RandomState(0), dtype)
            optimizer = make_optimizer(rule, network, dtype)
            trainer = backend.trainer(
                network,
                data,
                TrainingState(params, optimizer),
                regularization=REGULARIZATIONS["all"],
                batch_size=20,
            )
            losses = [trainer.train_epoch(np.arange(57)) for _ in range(3)]
            results.append((params, losses, backend.forward(*network.folded(params), data.X)))
        for expected, result in zip(*results, strict=True):
            np.testing.assert_allclose(result, expected, **tolerance)
        unfolded = ReferenceBackend().forward(network, results[1][0], data.X)
        np.testing.assert_allclose(results[1][2], unfolded, **tolerance)


def test_batch_norm_is_that_of_pytorch():
    """Forward, running statistics, and all gradients, through a network that adds nothing.

    Its layers pass the data on; the losses' gradient is what PyTorch was given from above.
    """
    recorded = json.loads((RECORDINGS / "batch_norm.json").read_text())
    network = multilayer_perceptron((5, 5, 5), "identity", "squared_error", batch_norm=True)
    params = network.pack([np.eye(5)] * 2, [np.zeros(5)] * 2, np.float64)
    scale, shift, mean, variance = (views[0] for views in network.norms(params))
    scale[...], shift[...] = recorded["gamma"], recorded["beta"]
    regularization = Regularization(norm_momentum=recorded["momentum"])
    backend, extras = backends.get_backend(), slice(network.n_weights + 10, network.n_trained)
    for batch in recorded["batches"]:
        X, output = np.array(batch["input"]), np.array(batch["output"])
        upstream = np.array(batch["output_gradient"])
        # The gradient of half the squared error is output - target, and its mean over the rows.
        data, before = Data(X, output - upstream), params.copy()
        train(backend, network, data, params, regularization, rate=1.0)
        gradient = (before - params) * len(X)
        expected = [*batch["gamma_gradient"], *batch["beta_gradient"]]
        np.testing.assert_allclose(gradient[extras], expected, rtol=1e-8, atol=1e-9)
        of_weights = network.coefs(gradient)[0]
        np.testing.assert_allclose(
            of_weights, X.T @ np.array(batch["input_gradient"]), rtol=1e-8, atol=1e-6
        )
        np.testing.assert_allclose(mean, batch["running_mean"], rtol=1e-12)
        np.testing.assert_allclose(variance, batch["running_var"], rtol=1e-12)
        # All but the running statistics as they were.
        params[: network.n_trained] = before[: network.n_trained]
    evaluation = recorded["evaluation"]
    predicted = backend.forward(*network.folded(params), np.array(evaluation["input"]))
    np.testing.assert_allclose(predicted, evaluation["output"], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", ["clipping", "all"])
def test_average_of_the_weights(name, dtype):
    """After t steps the sum of decay**(t - s) w_s over that of decay**(t - s)."""
    network = multilayer_perceptron((7, 9, 20, 4), "relu", "log_loss", batch_norm=True)
    data, decay = make_data(network), 0.8
    params = network.initialize(np.random.RandomState(0), dtype)
    average = WeightAverage(params.size, params.dtype, decay)
    state = TrainingState(params, make_optimizer("adam", network, dtype), average)
    assert not state.has_average
    trainer = backends.get_backend().trainer(
        network, data, state, regularization=REGULARIZATIONS[name], batch_size=57
    )
    steps = []
    for _ in range(5):
        trainer.train_epoch(np.arange(57))
        steps.append(params.astype(np.float64))
    weights = decay ** np.arange(4, -1, -1)
    expected = np.average(steps, axis=0, weights=weights)
    np.testing.assert_allclose(average.values, expected, atol=TOLERANCE[dtype])
    assert state.has_average


def test_dropout_masks():
    """Their rate and scale are right, and they differ between steps, layers and rows."""
    network = multilayer_perceptron((400, 300, 200), "identity", "squared_error")
    regularization = Regularization(dropout=(0.3, 0.5), seed=11)
    masks = [dropout_masks(network, regularization, step, 100) for step in (1, 2)]
    for (first, second), rate in zip(zip(*masks, strict=True), (0.3, 0.5), strict=True):
        kept = first > 0
        assert set(np.unique(first)) == {0.0, 1 / (1 - rate)}
        error = np.sqrt(rate * (1 - rate) / kept.size)
        assert abs(kept.mean() - (1 - rate)) < 4 * error
        assert abs(kept.mean(axis=0) - (1 - rate)).max() < 5 * error * np.sqrt(len(kept[0]))
        agree = (kept == (second > 0)).mean()
        assert abs(agree - rate**2 - (1 - rate) ** 2) < 0.02
        rows = np.corrcoef(kept.astype(float))
        assert abs(rows - np.eye(len(rows))).max() < 0.35


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_a_rate_for_each_mini_batch(rule):
    network = make_network((7, 9, 3), "tanh", "squared_error")
    data = make_data(network, n=50)
    trained = []
    for backend in (ReferenceBackend(), backends.get_backend()):
        params = network.initialize(np.random.RandomState(0), np.float64)
        optimizer = make_optimizer(rule, network, np.float64)
        trainer = backend.trainer(
            network,
            data,
            TrainingState(params, optimizer),
            regularization=Regularization(0.01),
            batch_size=20,
        )
        for rates in ([0.1, 0.0, 0.2], [0.3, 0.2, 0.1]):
            trainer.train_epoch(np.arange(50), np.array(rates))
        assert (optimizer.rate, optimizer.step_rate[0]) == (0.01, 0.1)
        trained.append(params)
    np.testing.assert_allclose(trained[1], trained[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_sparse_and_dense_have_the_same_bits(dtype):
    network = multilayer_perceptron((11, 20, 4), "tanh", "log_loss")
    data = make_data(network, is_sparse=True, weighted=True)
    results = [
        everything(
            backends.get_backend(), network, Data(X, data.y, data.sample_weight), "adam", dtype
        )
        for X in (data.X, data.X.toarray())
    ]
    for key in ("params", "losses", "predictions", "raw"):
        np.testing.assert_array_equal(results[0][key], results[1][key])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("is_sparse", [False, True])
def test_blocks_of_rows_do_not_change_the_objective(monkeypatch, dtype, is_sparse):
    """The gradient adds up over blocks of rows as it would over all rows at once."""
    from fastnn.kernels import passes

    network = multilayer_perceptron((7, 30, 3), "relu", "squared_error")
    data = make_data(network, is_sparse=is_sparse, weighted=True, n=500)
    params = network.initialize(np.random.RandomState(0), np.float64)
    results = []
    for elements in (1 << 20, 1):
        monkeypatch.setattr(passes, "CHUNK_ELEMENTS", elements)
        objective = backends.get_backend().objective(
            network, data, alpha=0.1, dtype=np.dtype(dtype)
        )
        results.append(objective(params))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-12)
    np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.parametrize("n", [203, 400, 617])
def test_gradients_in_parts(dtype, rule, n):
    """Mini-batches of 200 rows or more are summed in parts: the same training, but for roundings.

    With a last mini-batch of 3, 200 and 17 rows.
    """
    from fastnn.kernels import passes

    network = multilayer_perceptron((7, 20, 4), "tanh", "log_loss")
    data = make_data(network, weighted=True, n=n)
    rows = 300 if n == 617 else 200
    assert passes.sums_in_parts(network, data.X, rows)
    trained = []
    for backend in (backends.get_backend(n_jobs=1), ReferenceBackend()):
        params = network.initialize(np.random.RandomState(0), dtype)
        optimizer = make_optimizer(rule, network, dtype)
        trainer = backend.trainer(
            network,
            data,
            TrainingState(params, optimizer),
            regularization=Regularization(0.01),
            batch_size=rows,
        )
        losses = [trainer.train_epoch(np.random.RandomState(i).permutation(n)) for i in range(3)]
        trained.append((params, losses))
    (params, losses), (expected, expected_losses) = trained
    np.testing.assert_allclose(params, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    np.testing.assert_allclose(losses, expected_losses, rtol=TOLERANCE[dtype])


def test_what_decides_on_parts():
    """Shapes alone, for bits that depend on nothing else."""
    from fastnn.kernels.passes import sums_in_parts

    small, large = (multilayer_perceptron((64, n, 10), "relu", "log_loss") for n in (100, 1000))
    X = np.zeros((1000, 64))
    assert sums_in_parts(small, X, 200)
    assert not sums_in_parts(small, X, 100)
    assert not sums_in_parts(small, X, 100_000)
    assert not sums_in_parts(small, sparse.csr_array(X), 200)
    assert not sums_in_parts(large, X, 200)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("link", [True, False])
def test_kept_predictions(dtype, link):
    """A plan that is kept gives the bits of one that is not, for any later X and weights."""
    rng = np.random.default_rng(0)
    network = multilayer_perceptron((70, 45, 6), "relu", "log_loss")
    params = network.initialize(np.random.RandomState(0), np.dtype(dtype))
    backend, plans = backends.get_backend(), {}
    whole = rng.standard_normal((300, 70))
    views = [
        whole[:1], whole[7:8], whole[:3], whole[1:6], whole[::3], whole[10:200, ::-1],
        np.asfortranarray(whole[:4]), whole[:100].astype(np.float32), whole[:101], whole,
    ]  # fmt: skip
    for scale in (1, 2):
        params *= scale
        for X in views:
            expected = backend.forward(network, params, X, link=link)
            for _ in range(2):
                result = backend.forward(network, params, X, link=link, plans=plans)
                np.testing.assert_array_equal(result, expected)
                assert result.base is None
    assert plans


def test_mini_batch_without_weight_is_skipped():
    """A mini-batch whose weights are all zero changes nothing, not even the optimizer."""
    network = multilayer_perceptron((7, 6, 1), "relu", "squared_error")
    data = make_data(network, n=40)
    weights = np.ones(40)
    weights[20:] = 0
    trained = []
    for rows, sample_weight in ((40, weights), (20, None)):
        params = network.initialize(np.random.RandomState(0), np.float64)
        optimizer = make_optimizer("adam", network, np.float64)
        trainer = backends.get_backend().trainer(
            network,
            Data(data.X, data.y, sample_weight),
            TrainingState(params, optimizer),
            regularization=Regularization(0.1),
            batch_size=20,
        )
        trainer.train_epoch(np.arange(rows))
        trained.append((params, optimizer.slots, optimizer.learning_rate))
    for left, right in zip(*trained, strict=True):
        np.testing.assert_array_equal(left, right)


def test_unknown_device():
    with pytest.raises(
        ValueError, match=r"device must be one of \('cpu', 'cuda', 'auto'\), got 'tpu'"
    ):
        backends.get_backend("tpu")
