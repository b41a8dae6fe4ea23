"""class_weight, with sample_weight, with partial_fit, and in other tools."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from common import as_array, assert_same_model, left_as_it_was, make_problem, sample_weights
from fastnn import MLPClassifier
from fastnn.estimators.targets import Labels

SMALL = dict(hidden_layer_sizes=(8,), batch_size=16, max_iter=6, random_state=0)
NAMES = np.array(["ape", "bee", "cat", "dog"])
DICT = {"ape": 3.0, "bee": 0.5, "cat": 0.0, "dog": 1.0}


def uneven(problem, n_samples=100):
    X, y = make_problem(problem, n_samples=n_samples, seed=2)
    y[: n_samples // 3] = y[0]
    return X, y


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("problem", ["binary", "multiclass"])
def test_a_dict_is_weights_of_samples(problem, weighted, solver):
    X, y = uneven(problem)
    weight = sample_weights(len(y)) if weighted else None
    settings = SMALL | {"solver": solver}
    if solver == "lbfgs":
        del settings["batch_size"]
    model = MLPClassifier(**settings, class_weight=DICT).fit(X, NAMES[y], weight)
    of_classes = np.array([DICT[name] for name in NAMES[y]])
    product = of_classes if weight is None else weight * of_classes
    assert_same_model(model, MLPClassifier(**settings).fit(X, NAMES[y], product), X)


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel"])
def test_balanced_is_that_of_scikit_learn(problem):
    X, y = uneven(problem)
    model = MLPClassifier(**SMALL, class_weight="balanced").fit(X, y)
    weight = compute_sample_weight("balanced", y)
    assert not np.allclose(weight, 1)
    expected = MLPClassifier(**SMALL).fit(X, y, weight)
    assert_allclose(model.coefs_[0], expected.coefs_[0], rtol=1e-9)
    assert model.loss_curve_ == pytest.approx(expected.loss_curve_, rel=1e-9)


def test_balanced_counts_weights_of_samples():
    """A sample of weight 2 is two samples, for the balance too."""
    X, y = uneven("multiclass")
    weight = np.random.default_rng(0).integers(1, 4, len(y))
    settings = dict(solver="lbfgs", class_weight="balanced", random_state=0, max_iter=5)
    weighted = MLPClassifier(**settings).fit(X, y, weight)
    repeated = MLPClassifier(**settings).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert_allclose(weighted.coefs_[0], repeated.coefs_[0], rtol=1e-6)


def test_multilabel_weights_are_multiplied():
    X, y = uneven("multilabel")
    given = [{0: 1.0, 1: 2.0}, {1: 0.5}, {0: 3.0, 1: 1.0}]
    model = MLPClassifier(**SMALL, class_weight=given).fit(X, y)
    weight = compute_sample_weight([given[0], {0: 1.0, 1: 0.5}, given[2]], as_array(y))
    assert_same_model(model, MLPClassifier(**SMALL).fit(X, y, weight), X)


def test_partial_fit():
    X, y = uneven("multiclass")
    model, expected = MLPClassifier(**SMALL, class_weight=DICT), MLPClassifier(**SMALL)
    of_classes = np.array([DICT[name] for name in NAMES[y]])
    for rows in (slice(0, 50), slice(50, 100)):
        model.partial_fit(X[rows], NAMES[y[rows]], classes=NAMES)
        expected.partial_fit(X[rows], NAMES[y[rows]], of_classes[rows], classes=NAMES)
    assert_same_model(model, expected, X)


def test_a_validation_set_has_the_weights_in_its_loss_only():
    X, y = uneven("binary")
    given = {0: 1.0, 1: 9.0}
    model = MLPClassifier(**SMALL, class_weight=given)
    model.fit(X[:70], y[:70], X_val=X[70:], y_val=y[70:])
    weight = np.array([given[label] for label in y])
    expected = MLPClassifier(**SMALL).fit(
        X[:70], y[:70], weight[:70], X_val=X[70:], y_val=y[70:], sample_weight_val=weight[70:]
    )
    assert model.validation_loss_curve_ == pytest.approx(expected.validation_loss_curve_)
    assert model.best_validation_score_ == model.score(X[70:], y[70:])
    assert model.validation_scores_ != expected.validation_scores_


def test_a_rare_class_is_found():
    """Class weights are for this: without them the rare class is hardly ever predicted."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 2))
    y = (X[:, 0] + rng.standard_normal(2000) > 2.5).astype(int)
    settings = dict(hidden_layer_sizes=(10,), max_iter=60, random_state=0)
    scores = [
        balanced_accuracy_score(y, MLPClassifier(**settings, class_weight=w).fit(X, y).predict(X))
        for w in (None, "balanced")
    ]
    assert scores[1] > scores[0] + 0.1


def test_many_classes_take_no_longer_each():
    """It would take a quarter of an hour if every class were looked for among all others."""
    n_classes = 200_000
    names = np.array([f"class {i}" for i in range(n_classes)])
    labels = Labels("multiclass", np.sort(names))
    encoded = np.arange(n_classes, dtype=np.int32)[:, None]
    given = {name: float(i) for i, name in enumerate(names[:-1])}
    (table,) = labels.class_weights(given, encoded)
    assert table.tolist() == [given.get(name, 1.0) for name in labels.classes.tolist()]
    with pytest.raises(ValueError, match=r"names \['0', '1', .*, ...\], which are no classes") as e:
        labels.class_weights({str(i): 1.0 for i in range(n_classes)}, encoded)
    assert len(str(e.value)) < 1000


@pytest.mark.parametrize("classes", [["0", "1", "2"], [1.0, 2.0, 4.0], [False, True], [-1, 4, 9]])
def test_classes_of_every_kind_have_their_weights(classes):
    rng = np.random.default_rng(0)
    classes = np.array(classes)
    X, y = rng.standard_normal((60, 3)), classes[np.arange(60) % len(classes)]
    given = {label: 0.5 + i for i, label in enumerate(classes.tolist())}
    model = MLPClassifier(**SMALL, class_weight=given).fit(X, y)
    weights = np.array([given[label] for label in y.tolist()])
    assert_same_model(model, MLPClassifier(**SMALL).fit(X, y, weights), X)


def test_in_a_grid():
    X, y = uneven("binary")
    grid = {"class_weight": [None, "balanced", {0: 1, 1: 5}]}
    search = GridSearchCV(MLPClassifier(**SMALL), grid, cv=3, scoring="balanced_accuracy")
    assert np.isfinite(search.fit(X, y).cv_results_["mean_test_score"]).all()


BAD = {
    "a class that is not there": (
        {"ape": 1.0, "yak": 2.0},
        r"names \['yak'\], which are no classes of y; these are",
    ),
    "negative": ({"ape": -1.0}, "finite weights that are not negative"),
    "not a number": ({"ape": np.nan}, "finite weights that are not negative"),
    "all zero": (dict.fromkeys(NAMES, 0.0), "at least one non-zero number.*makes all zero"),
    "list": ([{"ape": 1.0}], "must be a dict or 'balanced', and for multilabel y a list"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_weights(name):
    X, y = make_problem("multiclass")
    model = MLPClassifier(**SMALL).fit(X, NAMES[y])
    given, message = BAD[name]
    with left_as_it_was(model, X, NAMES[y]), pytest.raises(ValueError, match=message):
        try:
            model.set_params(class_weight=given).fit(X, NAMES[y])
        finally:
            model.set_params(class_weight=None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({0: 1.0}, "for multilabel y a list"),
        (["balanced"] * 3, "for multilabel y a list"),
        ([{1: 2.0}], r"elements in class_weight \(1\)"),
    ],
)
def test_bad_weights_of_labels(given, message):
    X, y = make_problem("multilabel")
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**SMALL, class_weight=given).fit(X, y)


def test_partial_fit_cannot_balance():
    X, y = make_problem("binary")
    message = "class_weight 'balanced' is not supported for partial_fit"
    with pytest.raises(ValueError, match=message):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1])
    weights = compute_class_weight("balanced", classes=np.array([0, 1]), y=y)
    model = MLPClassifier(class_weight=dict(enumerate(weights)))
    assert model.partial_fit(X, y, classes=[0, 1]).t_ == len(y)
