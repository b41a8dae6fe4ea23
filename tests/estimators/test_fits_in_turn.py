"""Fits, one after another, by one estimator: by other solvers, on other data, with callbacks."""

import copy
import pickle

import numpy as np
import pytest

import fastnn
from common import needs_sklearn
from fastnn import MLPClassifier, MLPRegressor, Perceptron
from fastnn.estimators.concurrency import FITS_OWN

rng = np.random.RandomState(0)
X = rng.randn(60, 4)
Y = X @ [1, 2, -1, 0.5] + 0.1 * rng.randn(60)
CLASSES = (Y > 0).astype(int)
SMALL = {"hidden_layer_sizes": (5,), "random_state": 0}


class Noting:
    """A callback that notes what a function makes of the estimators that each epoch shows."""

    def __init__(self, function):
        self.function, self.noted = function, []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch":
            self.noted.append(self.function(estimator, fitted_estimator))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "change", [lambda model: X[:, :3], lambda model: model.set_params(hidden_layer_sizes=7) and X]
)
def test_lbfgs_on_a_network_of_another_size_leaves_no_state_of_the_old_one(change):
    model = MLPRegressor(max_iter=3, **SMALL).fit(X, Y)
    data = change(model.set_params(solver="lbfgs"))
    model.fit(data, Y)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin.predict(data), model.predict(data))
        twin.set_params(solver="adam").partial_fit(data, Y)


@needs_sklearn("1.9")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("keep", [lambda model: model, copy.deepcopy], ids=["itself", "a copy"])
@pytest.mark.parametrize("options", [{}, {"weight_average": 0.9}], ids=str)
def test_an_estimator_that_a_callback_keeps_goes_on_as_if_its_fit_had_ended_there(options, keep):
    settings = {"batch_size": 16, **SMALL, **options}
    callback = Noting(lambda _, fitted: keep(fitted))
    MLPRegressor(max_iter=5, **settings).set_callbacks(callback).fit(X, Y)
    shown = callback.noted[2].set_callbacks()
    ended = MLPRegressor(max_iter=3, **settings).fit(X, Y)
    for model in (shown, ended):
        model.partial_fit(X, Y).partial_fit(X, Y)
    assert shown.loss_ == ended.loss_
    np.testing.assert_array_equal(shown.coefs_[0], ended.coefs_[0])


@needs_sklearn("1.9")
@pytest.mark.filterwarnings("ignore")
def test_attributes_that_a_callback_sets_stay():
    def count(model, _):
        for name in ("seen", "_seen"):
            setattr(model, name, getattr(model, name, 0) + 1)

    model = MLPRegressor(max_iter=3, **SMALL).set_callbacks(Noting(count))
    for n_fits in (1, 2, 3):
        model.fit(X, Y)
        assert model.seen == model._seen == 3 * n_fits


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"solver": "lbfgs"}], ids=str)
def test_private_attributes_of_fits_are_known_as_theirs(options):
    """So that another fit's do not stay where an estimator takes over those of one."""
    classifier = MLPClassifier(max_iter=3, class_weight="balanced", **SMALL, **options)
    for model in (classifier.fit(X, CLASSES), MLPRegressor(max_iter=3, **SMALL).fit(X, Y)):
        assert {name for name in vars(model) if name.startswith("_")} <= FITS_OWN


@pytest.mark.filterwarnings("ignore")
def test_a_partial_fit_that_changes_nothing_changes_nothing():
    model = MLPClassifier(early_stopping=True, n_iter_no_change=1, tol=10.0, **SMALL)
    for _ in range(6):
        model.partial_fit(X, CLASSES, classes=[0, 1], X_val=X, y_val=CLASSES)
    before = vars(model).copy()
    model.set_params(label_smoothing=0.1).partial_fit(X, CLASSES, X_val=X, y_val=CLASSES)
    after = vars(model) | {"label_smoothing": before["label_smoothing"]}
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("solver", ["lbfgs", "sgd"])
def test_a_fit_without_a_validation_set_leaves_no_mark_of_an_earlier_one(solver):
    model = MLPRegressor(max_iter=3, warm_start=True, **SMALL).fit(X, Y, X_val=X, y_val=Y)
    model.set_params(solver=solver, max_iter=20).fit(X, Y)
    assert model.best_epoch_ is None and model.best_validation_score_ is None
    score, n_epochs = model.score(X, Y), len(model.loss_curve_)
    model.set_params(solver="sgd", learning_rate_init=1e-9, max_iter=1)
    model.fit(X, Y, X_val=X, y_val=Y)
    assert model.best_epoch_ >= n_epochs
    assert model.best_validation_score_ == pytest.approx(score, abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_lbfgs_keeps_a_precision_that_was_configured():
    with fastnn.config_context(dtype="float32"):
        model = MLPRegressor(max_iter=3, solver="lbfgs", warm_start=True, **SMALL).fit(X, Y)
        assert model.fit(X, Y).coefs_[0].dtype == np.float32
    assert model.fit(X, Y).coefs_[0].dtype == np.float32


def test_a_perceptron_goes_on_from_weights_that_were_set_by_hand():
    model = Perceptron(warm_start=True, max_iter=3)
    model.coef_, model.intercept_ = np.ones((1, 4)), np.zeros(1)
    model.classes_, model.n_features_in_ = np.array([0, 1]), 4
    model.fit(X, CLASSES)
    assert model.t_ == 60 * model.n_iter_ and len(model.error_curve_) == model.n_iter_
