"""The estimators' promises beyond scikit-learn's: see each section's heading."""

import inspect
import warnings

import numpy as np
import pytest
import sklearn.neural_network
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import fastnn
from common import (
    ESTIMATORS,
    OWN_OF_EACH,
    PEER_PROBLEMS,
    PEER_WEIGHTED,
    SCIKIT_LEARN,
    assert_same_model,
    estimator_for,
    fit_twin,
    fitted_attributes,
    make_problem,
    needs_sklearn,
    run_python,
)
from fastnn import MLPClassifier, MLPRegressor
from fastnn.estimators.parameters import USED_WITH, ignored_parameters
from fastnn.exceptions import AdviceWarning
from reference_backend import Recorder, use_backend

SMALL = dict(hidden_layer_sizes=(6, 4), max_iter=5, random_state=0)

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore:Got `batch_size` less"
)


# ---- parameters that a solver does not use ---------------------------------------------

CHANGED = {
    "batch_size": 10,
    "learning_rate": "adaptive",
    "learning_rate_init": 0.01,
    "power_t": 0.3,
    "shuffle": False,
    "momentum": 0.5,
    "nesterovs_momentum": False,
    "early_stopping": True,
    "validation_fraction": 0.3,
    "beta_1": 0.8,
    "beta_2": 0.9,
    "epsilon": 1e-6,
    "n_iter_no_change": 5,
    "max_fun": 100,
    "l1_ratio": 0.5,
    "dropout": [0.5],
    "input_dropout": 0.1,
    "batch_norm_momentum": 0.5,
    "max_grad_norm": 1.0,
    "weight_average": 0.9,
    "warmup_fraction": 0.2,
}
ALWAYS = {"power_t", "validation_fraction", "max_fun", "batch_norm_momentum"}
IGNORED = {
    "lbfgs": set(CHANGED) - {"max_fun"},
    "sgd": ALWAYS | {"beta_1", "beta_2", "epsilon"},
    "adam": ALWAYS | {"momentum", "nesterovs_momentum", "learning_rate"},
    "adamw": ALWAYS | {"momentum", "nesterovs_momentum"},
    "nadam": ALWAYS | {"momentum", "nesterovs_momentum"},
    "lion": ALWAYS | {"momentum", "nesterovs_momentum", "epsilon"},
    "muon": ALWAYS,
    "rmsprop": ALWAYS | {"momentum", "nesterovs_momentum", "beta_1"},
    "adadelta": ALWAYS | {"momentum", "nesterovs_momentum", "beta_1"},
    "adagrad": ALWAYS | {"momentum", "nesterovs_momentum", "beta_1", "beta_2"},
}


def advice(fit, *args):
    """Messages of the advice that a fit gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(*args)
    return [str(w.message) for w in caught if w.category is AdviceWarning]


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize("solver", IGNORED)
def test_ignored_parameter_warns_once(solver, name):
    X, y = make_problem("binary")
    model = MLPClassifier(solver=solver, max_iter=1, random_state=0, **{name: CHANGED[name]})
    messages = advice(model.fit, X, y)
    if name not in IGNORED[solver]:
        assert messages == []
        return
    (message,) = messages
    for part in (f"{name}={CHANGED[name]!r}", USED_WITH[name][0]):
        assert part in message


@pytest.mark.parametrize(
    "params", [dict(activation="tanh"), dict(dropout=0.5), dict(batch_norm=True)]
)
def test_what_only_hidden_layers_have(params):
    X, y = make_problem("binary")
    model = MLPClassifier((), max_iter=1, random_state=0, **params)
    (message,) = advice(model.fit, X, y)
    name = next(iter(params))
    assert f"{name}=" in message and "is only used with hidden layers" in message
    assert advice(MLPClassifier((), max_iter=1, dropout=[], activation=()).fit, X, y) == []


def test_ignored_parameters_share_a_warning():
    X, y = make_problem("regression")
    model = MLPRegressor(solver="lbfgs", max_iter=1, nesterovs_momentum=False, momentum=0.5)
    (message,) = advice(model.fit, X, y)
    assert "nesterovs_momentum=False" in message and "momentum=0.5" in message


@pytest.mark.parametrize("solver", IGNORED)
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_defaults_are_never_ignored(Estimator, solver):
    assert ignored_parameters(Estimator(solver=solver)) == []


@pytest.mark.parametrize(
    "params",
    [
        dict(solver="sgd", learning_rate="invscaling", power_t=0.3),
        dict(solver="adam", early_stopping=True, validation_fraction=0.3),
    ],
    ids=str,
)
def test_parameters_of_a_chosen_option_are_used(params):
    assert ignored_parameters(MLPClassifier(**params)) == []


def test_partial_fit_warns_in_its_first_call_only():
    X, y = make_problem("regression")
    model = MLPRegressor(momentum=0.5, random_state=0)
    assert len(advice(model.partial_fit, X, y)) == 1
    assert advice(model.partial_fit, X, y) == []


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_other_hidden_layers_in_a_later_fit_warn(method):
    X, y = make_problem("regression")
    model = MLPRegressor(**SMALL, warm_start=True).fit(X, y)
    model.set_params(hidden_layer_sizes=(9,))
    (message,) = advice(getattr(model, method), X, y)
    assert "hidden_layer_sizes=(9,) has no effect" in message and "(6, 4)" in message
    assert [coef.shape for coef in model.coefs_] == [(7, 6), (6, 4), (4, 1)]


# ---- log-probabilities -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel"])
def test_log_probabilities_are_those_of_probabilities(problem, dtype):
    """Minus infinity where a probability is 0, with NumPy's warning of it, as in scikit-learn."""
    X, y = make_problem(problem)
    model = MLPClassifier(**SMALL, dtype=dtype, activation="identity").fit(X, y)
    model.coefs_[-1] *= 1e4
    probabilities = model.predict_proba(X)
    assert (probabilities == 0).any()
    with pytest.warns(RuntimeWarning, match="divide by zero encountered in log"):
        log_probabilities = model.predict_log_proba(X)
    with np.errstate(divide="ignore"):
        assert_array_equal(log_probabilities, np.log(probabilities))
    assert log_probabilities.dtype == dtype


# ---- early stopping --------------------------------------------------------------------


@pytest.mark.parametrize("problem", ["regression", "poisson", "multioutput"])
@pytest.mark.parametrize(
    ("scores", "restored"),
    [([0, np.nan, np.nan], 1), ([np.nan, 0, np.nan], 2), ([np.nan] * 3, 0)],
    ids=str,
)
def test_nan_scores_leave_defined_weights(scores, restored, problem, monkeypatch):
    """The weights of the best score; without any, those that the training began with."""
    X, y = make_problem(problem)
    snapshots = []

    class Snapshots(Recorder):
        def raw_outputs(self, network, params, X, rows=None):
            if rows is not None:
                snapshots.append(params.copy())
            return super().raw_outputs(network, params, X, rows)

    backend = use_backend(monkeypatch, Snapshots(scores=iter(scores)))
    model = estimator_for(problem, **SMALL, early_stopping=True).set_params(max_iter=3)
    model.fit(X, y)
    assert_array_equal(np.isnan(model.validation_scores_), np.isnan(scores))
    assert all(isinstance(score, float) for score in model.validation_scores_)
    fitted = np.concatenate([a.ravel() for a in model.coefs_ + model.intercepts_])
    initial = model._trained.network.initialize(np.random.RandomState(0), np.float64)
    assert_array_equal(fitted, [initial, *snapshots][restored])
    assert (model.best_validation_score_ == -np.inf) == (restored == 0)
    assert len(backend.rows) == 6


@pytest.mark.parametrize("problem", ["binary", "multiclass"])
@pytest.mark.parametrize("scale", [1e130, 1e200])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_outputs_that_are_not_numbers_have_labels(solver, scale, problem):
    """So early stopping chooses among their scores, as scikit-learn's does, or fails as it does."""
    X, y = make_problem(problem)
    params = dict(solver=solver, learning_rate_init=1e150, early_stopping=True, random_state=0)
    model = MLPClassifier(3, **params)
    theirs = sklearn.neural_network.MLPClassifier(3, **params)
    with np.errstate(all="ignore"):
        try:
            theirs.fit(X * scale, y)
        except ValueError as error:
            with pytest.raises(ValueError, match=str(error)):
                model.fit(X * scale, y)
        else:
            model.fit(X * scale, y)
            assert model.best_validation_score_ == theirs.best_validation_score_
            assert_allclose(model.coefs_[0], theirs.coefs_[0])


def test_divergence_with_early_stopping_warns():
    X, y = make_problem("regression")
    model = MLPRegressor(
        activation="identity", solver="sgd", learning_rate_init=100.0, early_stopping=True,
        random_state=0,
    )  # fmt: skip
    with pytest.warns(ConvergenceWarning, match="Training diverged in iteration"):
        model.fit(X * 100, y)
    assert np.isfinite(model.predict(X)).all()
    assert model.n_iter_ < model.max_iter


def test_a_warm_start_that_diverges_is_an_error():
    """It ends with its last weights, as in scikit-learn, and the estimator is as it was."""
    X, y = make_problem("regression")
    model = MLPRegressor(solver="sgd", early_stopping=True, warm_start=True, random_state=0)
    model.fit(X, y)
    theirs = fit_twin(model, X, y)
    before = fitted_attributes(model)
    for estimator in (model, theirs):
        estimator.set_params(learning_rate_init=1e6)
        with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
            warnings.simplefilter("always")
            with pytest.raises(ValueError, match="non-finite parameter"):
                estimator.fit(X, y)
        # There are no weights that the model could keep.
        assert not any("Training diverged" in str(w.message) for w in caught)
    np.testing.assert_equal(fitted_attributes(model), before)


@pytest.mark.parametrize("problem", PEER_PROBLEMS)
@pytest.mark.parametrize("weighted", PEER_WEIGHTED)
def test_split_is_that_of_scikit_learn(problem, weighted, monkeypatch):
    """The same rows train and validate, and X reaches the backend whole and uncopied."""
    X, y = make_problem(problem)
    weight = np.arange(1.0, len(X) + 1) if weighted else None
    recorder = use_backend(monkeypatch, Recorder())
    model = estimator_for(problem, **SMALL, early_stopping=True, shuffle=False)
    model.fit(X, y, weight)
    assert recorder.data.X is X
    theirs = sklearn.neural_network._multilayer_perceptron
    seen = {}
    split = theirs.train_test_split

    def record(X, *args, **kwargs):
        seen["parts"] = split(X, *args, **kwargs)
        return seen["parts"]

    monkeypatch.setattr(theirs, "train_test_split", record)
    twin = fit_twin(model, X, y, weight)
    assert_array_equal(X[recorder.orders[0]], seen["parts"][0])
    assert_array_equal(X[recorder.rows], seen["parts"][1])
    assert_allclose(model.validation_scores_, twin.validation_scores_)


@pytest.mark.parametrize("first", [False, True])
def test_early_stopping_switched_between_warm_starts(first):
    X, y = make_problem("regression")
    model = MLPRegressor(**SMALL, warm_start=True, early_stopping=first).fit(X, y)
    model.set_params(early_stopping=not first).fit(X, y)
    assert len(model.loss_curve_) == 10
    assert (model.best_loss_ is None) == (model.validation_scores_ is not None) == (not first)


@pytest.mark.parametrize("solvers", [("lbfgs", "adam"), ("adam", "lbfgs"), ("sgd", "adam")])
@pytest.mark.parametrize("how", ["fit", "warm_start", "partial_fit"])
def test_solver_changed_between_fits(how, solvers):
    X, y = make_problem("binary")
    model = MLPClassifier(**SMALL, warm_start=how == "warm_start", solver=solvers[0]).fit(X, y)
    model.set_params(solver=solvers[1])
    if how == "partial_fit" and solvers[1] == "lbfgs":
        assert not hasattr(model, "partial_fit")
        return
    (model.partial_fit if how == "partial_fit" else model.fit)(X, y)
    assert np.isfinite(model.loss_)
    if how == "fit":
        fresh = MLPClassifier(**SMALL, solver=solvers[1]).fit(X, y)
        assert_same_model(model, fresh, X)
        np.testing.assert_equal(fitted_attributes(model), fitted_attributes(fresh))


# ---- what reaches the backend ----------------------------------------------------------


@pytest.mark.parametrize("dtype", ["auto", "float32", "float64"])
@pytest.mark.parametrize("given", [np.float32, np.float64])
@pytest.mark.parametrize("layout", ["C", "F", "strided", "csr"])
def test_X_is_never_copied(layout, given, dtype, monkeypatch):
    X, y = make_problem("binary")
    X = np.asarray(X, dtype=given, order="F" if layout == "F" else "C")
    if layout == "strided":
        X = np.repeat(np.repeat(X, 2, axis=1), 2, axis=0)[::-2, 1::2]
    X = sparse.csr_array(X) if layout == "csr" else X
    recorder = use_backend(monkeypatch, Recorder())
    model = MLPClassifier(**SMALL, dtype=dtype).fit(X, y)
    parts = ("data", "indices", "indptr") if layout == "csr" else ("T",)
    assert recorder.data.X.dtype == given
    for part in parts:
        assert np.shares_memory(getattr(recorder.data.X, part), getattr(X, part))
    expected = given if dtype == "auto" else dtype
    assert recorder.params.dtype == model.coefs_[0].dtype == expected


def test_untidy_sparse_matrix_is_tidied_on_a_copy(monkeypatch):
    """Unsorted and repeated indices."""
    untidy = sparse.csr_matrix(
        ([1.0, 2.0, 3.0, 4.0, 5.0], [2, 0, 2, 1, 1], [0, 3, 5]), shape=(2, 3)
    )
    parts = [part.copy() for part in (untidy.data, untidy.indices, untidy.indptr)]
    recorder = use_backend(monkeypatch, Recorder())
    model = MLPRegressor(**SMALL).fit(untidy, [0.0, 1.0])
    tidy = recorder.data.X
    assert tidy.has_canonical_format and tidy.format == "csr"
    assert_array_equal(tidy.toarray(), [[2.0, 0.0, 4.0], [0.0, 9.0, 0.0]])
    assert_allclose(model.predict(untidy), model.predict(tidy.toarray()))
    for part, kept in zip((untidy.data, untidy.indices, untidy.indptr), parts, strict=True):
        assert_array_equal(part, kept)


@pytest.mark.parametrize("bad", [-1, 7, 2**30])
def test_sparse_index_out_of_range_is_refused(bad):
    """Compiled code would read memory that is not the weights'."""
    X, y = make_problem("binary", is_sparse=True)
    model = MLPClassifier(**SMALL).fit(X, y)
    X.indices[3] = bad
    for method in (model.fit, model.partial_fit, lambda X, y: model.predict(X)):
        with pytest.raises(ValueError, match="column indices outside"):
            method(X, y)


@pytest.mark.parametrize("broken", [[0, 3, 2], [0, 2, 9], [1, 2, 3]])
def test_sparse_index_pointer_that_is_inconsistent_is_refused(broken):
    X = sparse.csr_array(np.eye(2, 3))
    X.indptr = np.array(broken, dtype=X.indptr.dtype)
    with pytest.raises(ValueError):
        MLPRegressor(**SMALL).fit(X, [0.0, 1.0])


@pytest.mark.parametrize(
    ("problem", "dtype", "width"),
    [
        ("binary", np.uint8, 1),
        ("multiclass", np.int32, 1),
        ("multilabel", np.uint8, 3),
        ("regression", np.float64, 1),
        ("multioutput", np.float64, 3),
        ("poisson", np.float64, 1),
    ],
)
def test_encoded_target(problem, dtype, width, monkeypatch):
    X, y = make_problem(problem)
    recorder = use_backend(monkeypatch, Recorder())
    estimator_for(problem, **SMALL).fit(X, np.asfortranarray(y))
    encoded = recorder.data.y
    assert encoded.dtype == dtype and encoded.flags.c_contiguous
    assert encoded.shape == (len(X), width)
    assert_array_equal(encoded, np.asarray(y).reshape(len(X), -1))


@pytest.mark.parametrize("dtype", ["auto", "float32", "float64"])
def test_integers_are_converted_once(dtype, monkeypatch):
    """To the precision of the network."""
    recorder = use_backend(monkeypatch, Recorder())
    MLPRegressor(**SMALL, dtype=dtype).fit([[1, 2], [3, 4]], [5, 6])
    assert recorder.data.X.dtype == (np.float32 if dtype == "float32" else np.float64)
    assert recorder.data.y.dtype == np.float64


def test_lbfgs_begins_from_rounded_weights_in_float64(monkeypatch):
    """As scikit-learn does in effect with float32 X."""
    X, y = make_problem("regression")
    use_backend(monkeypatch, Recorder())
    ours = MLPRegressor(**SMALL, solver="lbfgs").fit(X.astype(np.float32), y)
    theirs = sklearn.neural_network.MLPRegressor(**SMALL, solver="lbfgs")
    theirs.fit(X.astype(np.float32), y)
    assert all(coef.dtype == np.float64 for coef in ours.coefs_)
    for a, b in zip(ours.coefs_, theirs.coefs_, strict=True):
        assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    explicit = MLPRegressor(**SMALL, solver="lbfgs", dtype="float32").fit(X, y)
    assert all(coef.dtype == np.float32 for coef in explicit.coefs_)


# ---- the package and its documentation -------------------------------------------------


@needs_sklearn("1.7")
@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_signature_is_that_of_scikit_learn(Estimator):
    """scikit-learn's parameters first, then our own, by keyword only."""
    ours = list(inspect.signature(Estimator).parameters.values())
    theirs = list(inspect.signature(SCIKIT_LEARN[Estimator]).parameters.values())
    assert ours[: len(theirs)] == theirs
    assert {p.name: p.default for p in ours[len(theirs) :]} == OWN_OF_EACH[Estimator]
    assert all(p.kind is p.KEYWORD_ONLY for p in ours[len(theirs) :])
    for name in ("fit", "partial_fit", "predict", "predict_proba", "score"):
        if hasattr(Estimator, name):
            ours = list(inspect.signature(getattr(Estimator, name)).parameters.values())
            theirs = inspect.signature(getattr(SCIKIT_LEARN[Estimator], name)).parameters
            assert ours[: len(theirs)] == list(theirs.values())
            own = ["X_val", "y_val", "sample_weight_val"] if "fit" in name else []
            assert [p.name for p in ours[len(theirs) :]] == own
            assert all(p.kind is p.KEYWORD_ONLY for p in ours[len(theirs) :])


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_properties_in_the_place_of_attributes(Estimator):
    """A search tunes the two numbers; what training makes goes through the other property."""

    class Layered(Estimator):
        def __init__(self, n_layers=2, n_units=3, max_iter=2, random_state=0):
            self.n_layers, self.n_units = n_layers, n_units
            super().__init__(max_iter=max_iter, random_state=random_state)

        @property
        def hidden_layer_sizes(self):
            return (self.n_units,) * self.n_layers

        @hidden_layer_sizes.setter
        def hidden_layer_sizes(self, default):
            """Nothing is taken from the base class."""

        @property
        def coefs_(self):
            return self.weights

        @coefs_.setter
        def coefs_(self, coefs):
            self.weights = coefs

    X, y = make_problem("binary")
    model = clone(Layered()).set_params(n_units=4).fit(X, y)
    assert [w.shape for w in model.weights] == [(7, 4), (4, 4), (4, 1)]
    expected = Estimator(hidden_layer_sizes=(4, 4), max_iter=2, random_state=0).fit(X, y)
    assert_array_equal(model.predict(X), expected.predict(X))
    model.partial_fit(X, y)
    assert_array_equal(model.predict(X), expected.partial_fit(X, y).predict(X))


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_losses_have_the_type_of_scikit_learns(solver):
    X, y = make_problem("regression")
    model = fastnn.MLPRegressor(**SMALL, solver=solver).fit(X, y)
    theirs = fit_twin(model, X, y)
    losses = [model.loss_, model.best_loss_, *model.loss_curve_]
    assert {type(loss) for loss in losses} == {type(theirs.loss_)} == {np.float64}


@pytest.mark.parametrize("Estimator", ESTIMATORS)
def test_docstring_is_complete(Estimator):
    X, y = make_problem("binary")
    model = Estimator(**SMALL, early_stopping=True).fit(X, y)
    doc = inspect.getdoc(Estimator)
    assert not {"{parameters}", "{attributes}", "{references}", "{metric}"} & set(doc.split())
    assert "{stratified}" not in doc and "({metric})" not in doc
    for name in [*model.get_params(), *fitted_attributes(model)]:
        assert f"\n{name} : " in doc, name
    for name in ("fit", "partial_fit", "predict", "score", "set_params"):
        assert getattr(Estimator, name).__doc__


def test_import_brings_no_compiler():
    loaded = run_python("import json, sys, fastnn; print(json.dumps(list(sys.modules)))")
    assert not {"numba", "llvmlite", "fastnn.kernels.cpu"} & set(loaded)


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'MLP'"):
        _ = fastnn.MLP
    assert set(fastnn.__all__) <= set(dir(fastnn))
    assert all(getattr(fastnn, name) is not None for name in fastnn.__all__)
