"""Everything with everything: each pair of settings is in one fit at least."""

import itertools
import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse

from fastnn import MLPClassifier, MLPRegressor, backends
from fastnn.estimators.parameter_table.scikit_learns import regression_losses
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.cpu import pace
from fastnn.kernels.losses import CLASSIFIER_LOSSES
from fastnn.kernels.optimizers import SOLVERS
from fastnn.network.data import Data
from fastnn.network.initializers import INITIALIZERS
from fastnn.network.multilayer import multilayer_perceptron
from fastnn.network.regularization import Regularization
from fastnn.training.schedules import EPOCH_SCHEDULES, STEP_SCHEDULES
from plain_steps import train

FEATURES = {
    "nothing": {},
    "dropout": {"dropout": 0.2, "input_dropout": 0.1},
    "l1": {"l1_ratio": 0.5, "alpha": 0.01},
    "batch_norm": {"batch_norm": True},
    "batch_norm and dropout": {"batch_norm": True, "dropout": [0.1, 0.2]},
    "weight_average": {"weight_average": 0.9},
    "clipping": {"max_grad_norm": 0.5},
    "warmup": {"warmup_fraction": 0.1},
}
# Steps of which each solver can make use.
RATES = {"sgd": 0.02, "adagrad": 0.05, "adadelta": 1.0, "lion": 0.002}
LOSSES = [
    *(("classifier", loss) for loss in sorted(CLASSIFIER_LOSSES)),
    ("multiclass", "hinge"), ("multiclass", "log_loss"), ("multiclass", "squared_error"),
    *(("regressor", loss) for loss in sorted(regression_losses())),
]  # fmt: skip
SETTINGS = {
    "activation": sorted(ACTIVATIONS),
    "loss": LOSSES,
    "solver": SOLVERS,
    "feature": sorted(FEATURES),
    "learning_rate": [*EPOCH_SCHEDULES, *STEP_SCHEDULES],
    "weight_init": ["auto", *(name for name in INITIALIZERS if name not in ("uniform", "normal"))],
    "is_sparse": [False, True],
}


def pairs_of(row):
    return set(itertools.combinations(enumerate(row), 2))


def covering_rows(settings):
    """Rows of settings that have every pair of two values, found greedily."""
    rng = np.random.default_rng(0)
    missing = {
        ((i, a), (j, b))
        for (i, values), (j, others) in itertools.combinations(enumerate(settings), 2)
        for a in values
        for b in others
    }
    rows = []
    while missing:
        # One pair that is missing, and of some completions the one with most others.
        (i, a), (j, b) = min(missing, key=repr)
        candidates = []
        for _ in range(40):
            row = [values[rng.integers(len(values))] for values in settings]
            row[i], row[j] = a, b
            candidates.append(tuple(row))
        best = max(candidates, key=lambda row: len(pairs_of(row) & missing))
        missing -= pairs_of(best)
        rows.append(best)
    return rows


ROWS = covering_rows(list(SETTINGS.values()))


def problem(kind, is_sparse):
    """X (200, 6) and a target that a network can learn."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 6)) * (rng.random((200, 6)) < 0.7)
    score = X[:, 0] + X[:, 1] * X[:, 2] - 0.5 * X[:, 3]
    y = {
        "classifier": lambda: (score > 0).astype(int),
        "multiclass": lambda: np.digitize(score, [-0.7, 0.3]),
        "regressor": lambda: np.exp(score / 3),
    }[kind]()
    return (sparse.csr_array(X) if is_sparse else X), y


def fitted(row, dtype="float64", n_jobs=2, max_iter=30):
    settings = dict(zip(SETTINGS, row, strict=True))
    kind, loss = settings.pop("loss")
    X, y = problem(kind, settings.pop("is_sparse"))
    settings |= FEATURES[settings.pop("feature")]
    cls = MLPRegressor if kind == "regressor" else MLPClassifier
    model = cls(
        hidden_layer_sizes=(20, 8),
        loss=loss,
        dtype=dtype,
        n_jobs=n_jobs,
        max_iter=max_iter,
        learning_rate_init=RATES.get(settings["solver"], 0.005),
        batch_size=40,
        tol=0,
        n_iter_no_change=max_iter,
        random_state=0,
        **settings,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y), X


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(map(str, row)))
@pytest.mark.slow
def test_pairs(row, monkeypatch):
    # Threads, although the work is not worth it.
    monkeypatch.setattr(pace, "TOO_SMALL", 0)
    monkeypatch.setattr(pace, "LARGE", 0)
    model, X = fitted(row)
    losses = model.loss_curve_
    assert np.isfinite(losses).all()
    assert min(losses[-5:]) < losses[0]
    alone, _ = fitted(row, n_jobs=1)
    for ours, theirs in zip(model.coefs_, alone.coefs_, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    short, exact = (fitted(row, dtype, max_iter=2)[0] for dtype in ("float32", "float64"))
    assert short.coefs_[0].dtype == np.float32
    np.testing.assert_allclose(short.loss_curve_, exact.loss_curve_, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(map(str, row)))
def test_gradients(row):
    """The first step's gradient agrees with central differences along some directions, within 1e-7.

    Masks of dropout are those of the first step; batch normalisation is that of training.
    """
    settings = dict(zip(SETTINGS, row, strict=True))
    kind, loss = settings["loss"]
    if kind != "regressor":
        smoothing = 2 * (settings["solver"] == "adam")
        loss = CLASSIFIER_LOSSES[loss][(kind == "multiclass") + smoothing]
    feature = FEATURES[settings["feature"]]
    n_outputs = 3 if kind == "multiclass" else 1
    network = multilayer_perceptron(
        (6, 5, 4, n_outputs), settings["activation"], loss, 0.3, feature.get("batch_norm", False)
    )
    dropout = (feature.get("input_dropout", 0.0), *np.broadcast_to(feature.get("dropout", 0.0), 2))
    regularization = Regularization(
        feature.get("alpha", 0.1), feature.get("l1_ratio", 0.0), tuple(map(float, dropout)), seed=1
    )
    X, y = problem(kind, settings["is_sparse"])
    data = Data(X[:40], y[:40, None], np.linspace(0.5, 2, 40))
    rng = np.random.default_rng(1)
    initial = network.initialize(np.random.RandomState(3), np.float64)
    initial += 0.1 * rng.standard_normal(len(initial))
    moved = initial.copy()
    train(backends.get_backend(), network, data, moved, regularization, rate=1.0)
    n, step = network.n_trained, 1e-5
    gradient = (initial - moved)[:n]
    for _ in range(4):
        direction = rng.standard_normal(n)
        losses = []
        for sign in (1, -1):
            params = initial.copy()
            params[:n] += sign * step * direction
            losses.append(train(backends.get_backend(), network, data, params, regularization))
        slope = (losses[0] - losses[1]) / (2 * step)
        size = np.linalg.norm(gradient) * np.linalg.norm(direction)
        assert abs(slope - gradient @ direction) <= 1e-7 * size


def test_every_pair_is_there():
    covered = set().union(*map(pairs_of, ROWS))
    for (i, values), (j, others) in itertools.combinations(enumerate(SETTINGS.values()), 2):
        assert all(((i, a), (j, b)) in covered for a in values for b in others)
    assert len(ROWS) < 400
