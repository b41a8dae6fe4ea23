"""scikit-learn's private names that programs use do here what they do there."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer
from sklearn.preprocessing import LabelBinarizer

import fastnn
from common import ESTIMATORS, SCIKIT_LEARN, estimator_for, fit_twin, make_problem, needs_sklearn
from fastnn.estimators.private_names import NEVER_CALLED

SMALL = dict(hidden_layer_sizes=(6, 4), max_iter=5, random_state=0)
PROBLEMS = ("binary", "multiclass", "multilabel", "multioutput")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def pair(problem, **params):
    """Our fitted estimator, scikit-learn's with the same network, and the data."""
    X, y = make_problem(problem)
    ours = estimator_for(problem, **{**SMALL, **params}).fit(X, y)
    return ours, fit_twin(ours, X, y), X, y


def assert_same_layers(ours, theirs):
    for a, b in zip(
        [*ours.coefs_, *ours.intercepts_], [*theirs.coefs_, *theirs.intercepts_], strict=True
    ):
        assert_allclose(a, b, rtol=1e-6, atol=1e-9)
        assert a.dtype == b.dtype


# ---- initial weights -----------------------------------------------------------------------


def with_init_coef(base):
    class Scaled(base):
        def _init_coef(self, fan_in, fan_out, dtype):
            coef, intercept = super()._init_coef(fan_in, fan_out, dtype)
            self.n_calls = getattr(self, "n_calls", 0) + 1
            return coef * 0.5, np.full_like(intercept, 0.25)

    return Scaled


def with_initialize(base):
    class Begun(base):
        def _initialize(self, y, layer_units, dtype):
            super()._initialize(y, layer_units, dtype)
            self.seen = y.shape, np.asarray(y).dtype.kind
            self.coefs_[0] = self.coefs_[0] + dtype.type(0.125)
            self.intercepts_ = [np.ones_like(b) for b in self.intercepts_]

    return Begun


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("derive", [with_init_coef, with_initialize])
def test_overridden_beginning(derive, problem, solver, dtype):
    X, y = make_problem(problem)
    X = X.astype(dtype)
    cls = type(estimator_for(problem))
    # In float32, roundings soon lead line searches apart.
    params = SMALL | dict(solver=solver, max_iter=5 if dtype == "f8" else 1)
    ours = derive(cls)(**params).fit(X, y)
    theirs = derive(SCIKIT_LEARN[cls])(**params).fit(X, y)
    for a, b in zip(ours.coefs_, theirs.coefs_, strict=True):
        tolerance = 1e-6 if dtype == "f8" else 1e-3
        assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    for name in ("n_calls", "seen"):
        assert getattr(ours, name, None) == getattr(theirs, name, None)


def test_beginning_of_an_instance():
    """An instance's own function is called, too."""
    X, y = make_problem("regression")
    model = fastnn.MLPRegressor(**SMALL, solver="sgd", learning_rate_init=1e-12)
    model._init_coef = lambda fan_in, fan_out, dtype: (
        np.full((fan_in, fan_out), 0.5, dtype),
        np.zeros(fan_out, dtype),
    )
    model.fit(X, y)
    assert_allclose(model.coefs_[0], 0.5, atol=1e-6)


def test_beginning_with_another_output_activation_is_refused():
    class Begun(fastnn.MLPRegressor):
        def _initialize(self, y, layer_units, dtype):
            super()._initialize(y, layer_units, dtype)
            self.out_activation_ = "relu"

    X, y = make_problem("regression")
    with pytest.raises(ValueError, match="out_activation_='relu' was set by hand"):
        Begun(**SMALL).fit(X, y)


def test_beginning_of_another_shape_is_refused():
    class Wide(fastnn.MLPRegressor):
        def _initialize(self, y, layer_units, dtype):
            super()._initialize(y, [9, *layer_units[1:]], dtype)

    X, y = make_problem("regression")
    model = Wide()
    with pytest.raises(ValueError, match="_initialize of Wide has made a network of .9, 100, 1"):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_network_without_a_fit(problem):
    """Programs begin with random weights by ``_initialize``, and train them on."""
    X, y = make_problem(problem)
    cls = type(estimator_for(problem))
    models = []
    for model in (cls(**SMALL), SCIKIT_LEARN[cls](**SMALL)):
        model._random_state = np.random.RandomState(3)
        targets = y.reshape(len(y), -1)
        if problem != "multioutput":
            model._label_binarizer = LabelBinarizer().fit(y)
            model.classes_ = model._label_binarizer.classes_
            targets = model._label_binarizer.transform(y)
        model._initialize(targets, [X.shape[1], 6, 4, targets.shape[1]], np.dtype(float))
        models.append(model)
    ours, theirs = models
    assert_same_layers(ours, theirs)
    for name in ("n_iter_", "t_", "n_outputs_", "n_layers_", "out_activation_", "loss_curve_"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert_array_equal(ours.predict(X), ours._predict(X))
    assert_allclose(ours._forward_pass_fast(X), theirs._forward_pass_fast(X), rtol=1e-9)
    assert_same_layers(ours.partial_fit(X, y), theirs.partial_fit(X, y))


# ---- predictions and data ------------------------------------------------------------------


@pytest.mark.parametrize("check_input", [True, False])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_forward_passes(problem, check_input):
    ours, theirs, X, y = pair(problem)
    assert_allclose(
        ours._forward_pass_fast(X, check_input=check_input),
        theirs._forward_pass_fast(X, check_input=check_input),
        rtol=1e-6,
    )
    said = ours._predict(X, check_input=check_input)
    expected = theirs._predict(X, check_input=check_input)
    assert_allclose(said, expected, rtol=1e-6)
    passes = []
    for model in (ours, theirs):
        activations = [X] + [None] * (model.n_layers_ - 1)
        assert model._forward_pass(activations) is activations
        passes.append(activations)
    assert len(passes[0]) == 4
    for a, b in zip(*passes, strict=True):
        assert_allclose(a, b, rtol=1e-6, atol=1e-9)
    assert ours._score(X, y) == pytest.approx(theirs._score(X, y), rel=1e-6)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_validate_input(problem):
    X, y = make_problem(problem)
    ours = estimator_for(problem)
    theirs = SCIKIT_LEARN[type(ours)]()
    for reset, incremental in ((True, False), (False, True)):
        (X_ours, y_ours), (X_theirs, y_theirs) = (
            model._validate_input(X.tolist(), y, incremental, reset) for model in (ours, theirs)
        )
        assert_array_equal(X_ours, X_theirs)
        assert_array_equal(y_ours, y_theirs)
        assert y_ours.dtype == y_theirs.dtype and X_ours.dtype == X_theirs.dtype
    assert ours.n_features_in_ == theirs.n_features_in_ == 7


def with_forward_pass(base):
    class Shifted(base):
        def _forward_pass_fast(self, X, check_input=True):
            return super()._forward_pass_fast(X, check_input=check_input) - 0.25

    return Shifted


def with_score(base):
    class Negative(base):
        def _score(self, X, y, sample_weight=None):
            return -super()._score(X, y, sample_weight=sample_weight)

    return Negative


@pytest.mark.parametrize("problem", ["binary", "regression"])
def test_overridden_forward_pass_counts_in_predictions(problem):
    X, y = make_problem(problem)
    cls = type(estimator_for(problem))
    ours = with_forward_pass(cls)(**SMALL).fit(X, y)
    theirs = with_forward_pass(SCIKIT_LEARN[cls])(**SMALL).fit(X, y)
    assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6)
    if problem == "binary":
        assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6)


@pytest.mark.parametrize(
    "derive", [with_forward_pass, pytest.param(with_score, marks=needs_sklearn("1.7"))]
)
@pytest.mark.parametrize("problem", ["binary", "regression"])
def test_overridden_scores_decide_early_stopping(problem, derive):
    X, y = make_problem(problem, n_samples=200)
    cls = type(estimator_for(problem))
    params = SMALL | dict(early_stopping=True, max_iter=30, n_iter_no_change=3)
    ours = derive(cls)(**params).fit(X, y)
    theirs = derive(SCIKIT_LEARN[cls])(**params).fit(X, y)
    assert_allclose(ours.validation_scores_, theirs.validation_scores_, rtol=1e-6)
    assert_same_layers(ours, theirs)


def with_notes(base):
    class Noting(base):
        def _score(self, X, y, sample_weight=None):
            self.n_scores_ = getattr(self, "n_scores_", 0) + 1
            self.names_ = list(self.feature_names_in_)
            self.n_scores_before_ = len(self.validation_scores_)
            self._optimizer.learning_rate_init *= 0.5
            return super()._score(X, y, sample_weight)

    return Noting


@needs_sklearn("1.7")
def test_an_overridden_score_sees_the_fit_and_leaves_notes():
    X, y = make_problem("binary", n_samples=200)
    X = pd.DataFrame(X).add_prefix("x")
    params = SMALL | dict(early_stopping=True)
    ours = with_notes(fastnn.MLPClassifier)(**params).fit(X, y)
    theirs = with_notes(SCIKIT_LEARN[fastnn.MLPClassifier])(**params).fit(X, y)
    for name in ("n_scores_", "names_", "n_scores_before_"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-6)


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_a_score_of_an_instance_decides_early_stopping(Estimator):
    X, y = make_problem("binary", n_samples=200)
    scores = [0.5, 0.75, 0.25, 0.25, 0.25]
    left = iter(scores)
    model = Estimator(**SMALL, early_stopping=True)
    model._score = lambda X, y, sample_weight=None: next(left)
    model.fit(X, y)
    assert model.validation_scores_ == scores
    assert model.best_validation_score_ == 0.75


def test_an_error_of_an_overridden_score_is_the_users():
    X, y = make_problem("binary")
    model = fastnn.MLPClassifier(**SMALL, early_stopping=True)
    model._score = lambda X, y, sample_weight=None: int("no number")
    with pytest.raises(ValueError, match=r"^invalid literal for int\(\) with base 10"):
        model.fit(X, y)


# ---- the optimizer -------------------------------------------------------------------------


def test_optimizer_of_adam():
    ours, theirs, X, y = pair("multiclass")
    assert ours._optimizer.t == theirs._optimizer.t
    for name in ("ms", "vs"):
        for a, b in zip(
            getattr(ours._optimizer, name), getattr(theirs._optimizer, name), strict=True
        ):
            assert_allclose(a, b, rtol=1e-5, atol=1e-12)
    assert ours._optimizer.learning_rate_init == theirs._optimizer.learning_rate_init == 0.001
    assert ours._optimizer.learning_rate == pytest.approx(theirs._optimizer.learning_rate)
    assert not hasattr(ours._optimizer, "velocities")


def test_optimizer_of_sgd():
    ours, theirs, X, y = pair("multiclass", solver="sgd")
    for a, b in zip(ours._optimizer.velocities, theirs._optimizer.velocities, strict=True):
        assert_allclose(a, b, rtol=1e-5, atol=1e-12)
    assert not hasattr(ours._optimizer, "ms")


def slow_down(model):
    model._optimizer.learning_rate_init = 1e-5


def begin_steps_anew(model):
    model._optimizer.t = 0


def forget_moments(model):
    model._optimizer.ms = [np.zeros_like(m) for m in model._optimizer.ms]
    for v in model._optimizer.vs:
        v *= 0.5


def begin_anew(model):
    del model._optimizer


@pytest.mark.parametrize("change", [slow_down, begin_steps_anew, forget_moments, begin_anew])
def test_changes_of_the_optimizer_count(change):
    ours, theirs, X, y = pair("multiclass")
    for model in (ours, theirs):
        change(model)
        for _ in range(3):
            model.partial_fit(X, y)
    assert_same_layers(ours, theirs)


def test_a_rate_set_for_sgd():
    ours, theirs, X, y = pair("regression", solver="sgd")
    for model in (ours, theirs):
        model._optimizer.learning_rate = 1e-5
        model.partial_fit(X, y)
    assert_same_layers(ours, theirs)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_an_optimizer_that_is_kept_steers_training_on(solver):
    ours, theirs, X, y = pair("regression", solver=solver)
    kept = [model._optimizer for model in (ours, theirs)]
    for rate in (1e-2, 1e-3, 1e-4):
        for model, optimizer in zip((ours, theirs), kept, strict=True):
            optimizer.learning_rate_init = optimizer.learning_rate = rate
            model.partial_fit(X, y)
    assert_same_layers(ours, theirs)


def test_an_optimizer_from_elsewhere():
    """partial_fit goes on with another estimator's optimizer, a copy of one, or scikit-learn's."""
    ours, theirs, X, y = pair("multiclass")
    begun = [fastnn.MLPClassifier(**SMALL).fit(X, y) for _ in range(3)]
    begun[0]._optimizer = ours._optimizer
    begun[1]._optimizer = copy.deepcopy(ours._optimizer)
    begun[2]._optimizer = theirs._optimizer
    assert isinstance(theirs._optimizer, AdamOptimizer)
    expected = copy.deepcopy(ours).partial_fit(X, y)
    for model in begun:
        assert_same_layers(model.partial_fit(X, y), expected)
    again = pickle.loads(pickle.dumps(ours))
    assert again._optimizer.t == ours._optimizer.t


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_there_is_no_optimizer_before_a_fit_or_after_lbfgs(Estimator):
    X, y = make_problem("binary")
    model = Estimator(**SMALL, solver="lbfgs")
    assert not hasattr(model, "_optimizer")
    assert not hasattr(model.fit(X, y), "_optimizer")


# ---- what cannot be honoured ---------------------------------------------------------------


@pytest.mark.parametrize("name", NEVER_CALLED)
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_overriding_what_training_never_calls_is_an_error(Estimator, name):
    mixin = type("Mixin", (), {name: lambda self, *args: None})
    for bases, methods in (
        ((Estimator,), {name: lambda self, *args: None}),
        ((mixin, Estimator), {}),
    ):
        with pytest.raises(TypeError, match=f"Mine overrides {name}, which .* never calls"):
            type("Mine", bases, methods)
    assert type("Mine", (Estimator,), {"_begin_with": None})


@pytest.mark.parametrize("name", set(NEVER_CALLED) - {"_fit", "_fit_lbfgs", "_fit_stochastic"})
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_setting_what_training_never_calls_on_an_instance_is_an_error(method, name):
    X, y = make_problem("regression")
    model = fastnn.MLPRegressor(**SMALL)
    setattr(model, name, lambda *args: None)
    with pytest.raises(TypeError, match=f"MLPRegressor overrides {name}, which .* never calls"):
        getattr(model, method)(X, y)


def test_the_names_exist():
    """Every private method that scikit-learn's classes define, but for those of its insides."""
    inside = {
        "_compute_loss_grad", "_backprop", "_unpack", "_update_no_improvement_count",
        "_check_solver", "_fit_lbfgs", "_fit_stochastic",
    }  # fmt: skip
    for ours, theirs in SCIKIT_LEARN.items():
        names = {
            name
            for cls in theirs.__mro__
            if cls.__module__ == "sklearn.neural_network._multilayer_perceptron"
            for name in vars(cls)
            if name.startswith("_") and not name.startswith(("__", "_abc"))
        }
        assert {n for n in names if not hasattr(ours, n)} <= inside
