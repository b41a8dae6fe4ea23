"""Trainings whose bits are recorded, and the record.

    python tests/helpers/golden.py            # compare this machine's sums with the record
    python tests/helpers/golden.py --record   # write them anew, where bits are meant to change

The data are drawn by operations that are exact on every machine, so that the sums are, too. What
belongs to LAPACK (orthogonal weights) or to SciPy (L-BFGS) has no place here.
"""

import argparse
import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse

import fastnn

RECORD = Path(__file__).parents[1] / "recordings" / "golden.json"
N_SAMPLES, N_FEATURES = 150, 12
BASE = {"hidden_layer_sizes": (20, 9), "max_iter": 4, "batch_size": 32, "random_state": 0}


def draw(problem):
    """X (150, 12) with a third of it zero, and y."""
    rng = np.random.RandomState(7)
    X = rng.uniform(-2.0, 2.0, (N_SAMPLES, N_FEATURES))
    X[rng.uniform(size=X.shape) < 1 / 3] = 0.0
    total = X[:, 0] + X[:, 1] * X[:, 2] - X[:, 3]
    targets = {
        "binary": (total > 0).astype(int),
        "multiclass": np.digitize(total, [-1.0, 0.0, 1.0]),
        "multilabel": np.stack([total > 0, X[:, 4] > X[:, 5], X[:, 6] > 0.5], axis=1).astype(int),
        "regression": total,
        "multioutput": np.stack([total, X[:, 7] * X[:, 8]], axis=1),
        "counts": np.floor(np.abs(total)) + 1.0,
    }
    return X, targets[problem]


def weights():
    """Positive weights of the samples, (150,)."""
    return np.random.RandomState(8).uniform(0.25, 2.0, N_SAMPLES)


def case(
    problem="multiclass", *, go_on=None, is_sparse=False, weighted=False, held_out=False, **params
):
    """A training: of which estimator, on what, and how it goes on."""
    return {
        "problem": problem,
        "go_on": go_on,
        "is_sparse": is_sparse,
        "weighted": weighted,
        "held_out": held_out,
        "params": params,
    }


REGRESSION, POISSON = "regression", {"problem": "counts", "loss": "poisson"}
SGD = {"solver": "sgd", "learning_rate_init": 0.05}
IMAGES = fastnn.ImageAugmenter(
    (3, 4),
    shift=1,
    rotate=20,
    scale=0.1,
    skew=0.1,
    reflect="horizontal",
    contrast=0.1,
    elastic=2.0,
    random_state=3,
)
CASES = {
    "adam": case(),
    "adam, float32": case(dtype="float32"),
    "adam, sparse": case(is_sparse=True),
    "adam, sparse, float32": case(is_sparse=True, dtype="float32"),
    "adam, weighted": case(weighted=True),
    "sgd, Nesterov": case(**SGD),
    "sgd, momentum": case(**SGD, nesterovs_momentum=False),
    "sgd, adaptive": case(**SGD, learning_rate="adaptive", tol=0.5, n_iter_no_change=1),
    "sgd, not shuffled": case(**SGD, shuffle=False),
    "adamw": case(solver="adamw", alpha=0.1),
    "nadam": case(solver="nadam"),
    "rmsprop": case(solver="rmsprop"),
    "adagrad": case(solver="adagrad", learning_rate_init=0.01),
    "adadelta": case(solver="adadelta", learning_rate_init=1.0),
    "lion": case(solver="lion", alpha=0.01),
    "muon": case(solver="muon"),
    "muon, float32": case(solver="muon", dtype="float32"),
    "cosine, warm-up": case(learning_rate="cosine", warmup_fraction=0.3),
    "one cycle": case(learning_rate="one_cycle", **SGD),
    "one activation each": case(activation=("tanh", "prelu")),
    "logistic": case(activation="logistic"),
    "softplus": case(activation="softplus"),
    "leaky ReLU": case(activation="leaky_relu"),
    "elu": case(activation="elu"),
    "selu": case(activation="selu"),
    "gelu": case(activation="gelu"),
    "silu": case(activation="silu"),
    "mish, float32": case(activation="mish", dtype="float32"),
    "no hidden layer": case(hidden_layer_sizes=()),
    "one hidden layer": case(hidden_layer_sizes=(70,), batch_size=145),
    "binary": case("binary"),
    "binary, hinge": case("binary", loss="hinge"),
    "multilabel": case("multilabel"),
    "squared error of classes": case(loss="squared_error"),
    "label smoothing": case(label_smoothing=0.1),
    "class weights": case(class_weight="balanced"),
    "regression": case(REGRESSION),
    "several outputs, sparse": case("multioutput", is_sparse=True),
    "huber": case(REGRESSION, loss="huber", huber_delta=0.5),
    "quantile": case(REGRESSION, loss="quantile", quantile=0.3),
    "absolute error": case(REGRESSION, loss="absolute_error"),
    "poisson": case(**POISSON),
    "gamma, float32": case("counts", loss="gamma", dtype="float32"),
    "dropout": case(dropout=0.3, input_dropout=0.1),
    "dropout, sparse, float32": case(dropout=0.3, input_dropout=0.1, is_sparse=True,
                                     dtype="float32"),
    "batch normalisation": case(batch_norm=True),
    "batch normalisation, float32": case(batch_norm=True, activation="prelu", dtype="float32"),
    "L1 and L2": case(alpha=0.01, l1_ratio=0.4),
    "clipped gradients": case(max_grad_norm=0.1, **SGD),
    "average": case(weight_average=0.9),
    "average that goes on": case(weight_average=0.9, go_on="partial_fit"),
    "augmentation": case(augment=IMAGES),
    "augmentation, float32": case(augment=IMAGES, dtype="float32"),
    "He's weights": case(weight_init="he_normal"),
    "early stopping": case(early_stopping=True, max_iter=9, n_iter_no_change=2),
    "early stopping by a loss": case(early_stopping=True, scoring="loss", weighted=True),
    "validation set": case(held_out=True, early_stopping=True, go_on="fit"),
    "partial_fit": case(go_on="partial_fit"),
    "partial_fit with dropout": case(go_on="partial_fit", dropout=0.3),
    "partial_fit, sgd": case(go_on="partial_fit", **SGD),
    "warm start": case(go_on="fit"),
    "warm start, early stopping": case(go_on="fit", early_stopping=True),
}  # fmt: skip


def train(name, n_jobs=None):
    """Train as a case says; returns the estimator and its X."""
    what = CASES[name]
    X, y = draw(what["problem"])
    X = sparse.csr_array(X) if what["is_sparse"] else X
    params = {**BASE, **what["params"], "n_jobs": n_jobs}
    regresses = what["problem"] in (REGRESSION, "multioutput", "counts")
    cls = fastnn.MLPRegressor if regresses else fastnn.MLPClassifier
    model = cls(**params, warm_start=what["go_on"] == "fit")
    more = {"sample_weight": weights()} if what["weighted"] else {}
    if what["held_out"]:
        more |= {"X_val": X[100:], "y_val": y[100:]}
        X, y = X[:100], y[:100]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y, **more)
        if what["go_on"] == "partial_fit":
            for rows in (slice(0, 90), slice(40, 150)):
                model.partial_fit(X[rows], y[rows])
        elif what["go_on"] == "fit":
            model.fit(X, y, **more).fit(X, y, **more)
    return model, X


def golden_sum(name, n_jobs=None):
    """SHA-256 of the trained parameters, the losses and the predictions, in hexadecimal."""
    model, X = train(name, n_jobs)
    hashed = hashlib.sha256()
    arrays = [*model.coefs_, *model.intercepts_]
    for of_layers in (
        model.activation_params_,
        model.batch_norm_scale_,
        model.batch_norm_shift_,
        model.batch_norm_mean_,
        model.batch_norm_var_,
    ):
        arrays += [array for array in of_layers if array is not None]
    methods = ("predict_proba", "decision_function", "predict")
    say = next(getattr(model, name) for name in methods if hasattr(model, name))
    arrays += [model.loss_curve_, say(X)]
    for array in arrays:
        hashed.update(np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()


def golden_sums(n_jobs=None):
    """The sums of all cases by name."""
    return {name: golden_sum(name, n_jobs) for name in CASES}


def recorded():
    """The sums as they were recorded."""
    return json.loads(RECORD.read_text())


def main():
    parser = argparse.ArgumentParser(description="Compare, or record, the bits of trainings.")
    parser.add_argument("--record", action="store_true", help="write the record anew")
    arguments = parser.parse_args()
    sums = golden_sums()
    if arguments.record:
        RECORD.write_text(json.dumps(sums, indent=1) + "\n")
        return
    others = [name for name, value in sums.items() if recorded().get(name) != value]
    print(f"{len(sums) - len(others)} of {len(sums)} are as recorded.", *others, sep="\n")


if __name__ == "__main__":
    main()
