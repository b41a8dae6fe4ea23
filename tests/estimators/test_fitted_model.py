"""A fitted model: what a failed fit leaves, its parameters as views, its pickles."""

import contextlib
import copy
import pickle
import warnings

import joblib
import numpy as np
import pytest
import sklearn.exceptions
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import LabelBinarizer

import fastnn
from common import assert_same_model, estimator_for, left_as_it_was, make_problem, predictions
from fastnn import MLPClassifier, MLPRegressor, Perceptron, backends
from fastnn.estimators.pickles import InconsistentVersionWarning
from fastnn.exceptions import AdviceWarning
from reference_backend import Recorder, ReferenceBackend, use_backend

SMALL = dict(hidden_layer_sizes=(6, 4), max_iter=5, random_state=0)

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore:Got `batch_size` less"
)


# ---- a fit that fails ------------------------------------------------------------------


@pytest.mark.parametrize("error", [MemoryError("no room"), SystemExit(3)], ids=repr)
@pytest.mark.parametrize("how", ["fit", "warm_start", "partial_fit", "lbfgs"])
@pytest.mark.parametrize("problem", ["multiclass", "multioutput"])
def test_failure_while_training_leaves_a_model_as_it_was(problem, how, error, monkeypatch):
    X, y = make_problem(problem)
    model = estimator_for(problem, **SMALL, warm_start=how == "warm_start").fit(X, y)
    with left_as_it_was(model, X, y):
        with pytest.MonkeyPatch.context() as patch:
            failing = Recorder(error, epoch=1 if how == "partial_fit" else 3)
            patch.setattr(backends, "get_backend", lambda *args, **kwargs: failing)
            model.set_params(solver="lbfgs" if how == "lbfgs" else "adam")
            with pytest.raises(type(error)):
                (model.partial_fit if how == "partial_fit" else model.fit)(X, y)
        assert len(failing.orders) == failing.epoch
        model.set_params(solver="adam")


@pytest.mark.parametrize("how", ["fit", "partial_fit"])
def test_failure_of_a_first_fit_leaves_nothing(how, monkeypatch):
    X, y = make_problem("binary")
    use_backend(monkeypatch, Recorder(MemoryError(), epoch=1))
    model = MLPClassifier(**SMALL)
    with pytest.raises(MemoryError):
        model.fit(X, y) if how == "fit" else model.partial_fit(X, y, classes=[0, 1])
    assert set(vars(model)) == set(model.get_params())


@contextlib.contextmanager
def raised_as_error(category):
    with warnings.catch_warnings():
        warnings.simplefilter("error", category)
        with pytest.raises(category):
            yield


def test_advice_as_error_leaves_a_model_as_it_was():
    X, y = make_problem("binary")
    model = MLPClassifier(**SMALL, shuffle=False).fit(X, y)
    model.set_params(solver="lbfgs")
    with left_as_it_was(model, X, y), raised_as_error(AdviceWarning):
        model.fit(X[:30], y[:30])


@pytest.mark.parametrize("Estimator", [MLPClassifier, Perceptron])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_warning_of_the_end_as_error_leaves_the_trained_model(solver, Estimator):
    X, y = make_problem("binary")
    params = SMALL | {"solver": solver}
    if Estimator is Perceptron:
        params, y = {"max_iter": 2, "random_state": 0}, np.arange(len(y)) % 2
    else:
        params["max_iter"] = 2
    model, other = Estimator(**params), Estimator(**params)
    with raised_as_error(ConvergenceWarning):
        model.fit(X, y)
    with pytest.warns(ConvergenceWarning):
        other.fit(X, y)
    assert model.n_iter_ == 2
    assert_array_equal(model.predict(X), other.predict(X))
    assert set(vars(model)) == set(vars(other))


# ---- a fit that is interrupted ---------------------------------------------------------


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("problem", ["multiclass", "regression"])
def test_interrupted_fit_is_that_of_the_epochs_before(problem, solver, monkeypatch):
    X, y = make_problem(problem)
    use_backend(monkeypatch, Recorder(KeyboardInterrupt(), epoch=4))
    model = estimator_for(problem, **SMALL, solver=solver)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(X, y)
    n_iter = model.n_iter_
    assert np.isfinite(model.score(X, y)) and np.isfinite(model.loss_)
    if solver == "lbfgs":
        assert 0 < n_iter < 4
    else:
        assert n_iter == len(model.loss_curve_) == 3
        assert model.t_ == 3 * len(X)
        use_backend(monkeypatch, ReferenceBackend())
        shorter = estimator_for(problem, **SMALL, solver=solver).set_params(max_iter=3)
        assert model.loss_curve_ == shorter.fit(X, y).loss_curve_


# ---- coefs_ and intercepts_ are views --------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parameters_are_views_of_one_vector(dtype):
    X, y = make_problem("multiclass")
    model = MLPClassifier(**SMALL, dtype=dtype).fit(X, y)
    views = [*model.coefs_, *model.intercepts_]
    assert [view.shape for view in views] == [(7, 6), (6, 4), (4, 4), (6,), (4,), (4,)]
    assert all(np.shares_memory(view, model._trained.params) for view in views)
    assert all(view.dtype == dtype and view.flags.writeable for view in views)
    assert_array_equal(np.concatenate([view.ravel() for view in views]), model._trained.params)


def test_edit_in_place_counts():
    X, y = make_problem("regression")
    model = MLPRegressor(**SMALL).fit(X, y)
    before = model.predict(X)
    model.intercepts_[-1] += 1.5
    assert_allclose(model.predict(X), before + 1.5, rtol=1e-12)
    model.coefs_[-1][:] = 0
    assert_allclose(model.predict(X), np.full(len(X), model.intercepts_[-1][0]))


@pytest.mark.parametrize("order", ["C", "F"])
def test_replaced_entries_count(order):
    X, y = make_problem("regression")
    model = MLPRegressor(**SMALL).fit(X, y)
    other = MLPRegressor(**{**SMALL, "random_state": 1}).fit(X, y)
    for i in range(3):
        model.coefs_[i] = other.coefs_[i].copy(order=order)
    model.intercepts_ = [intercept.copy() for intercept in other.intercepts_]
    assert_array_equal(model.predict(X), other.predict(X))
    model.intercepts_[-1][:] += 1
    assert_allclose(model.predict(X), other.predict(X) + 1, rtol=1e-12)
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(loaded.predict(X), model.predict(X))
    # Training takes them over, and leaves the user's arrays alone.
    mine = model.coefs_[0]
    kept = mine.copy()
    model.partial_fit(X, y)
    assert_array_equal(mine, kept)
    assert np.shares_memory(model.coefs_[0], model._trained.params)
    assert not np.array_equal(model.coefs_[0], kept)


def test_replaced_by_another_network():
    """Other hidden sizes, and lists and integers: what makes a network is taken."""
    X, y = make_problem("regression")
    model = MLPRegressor(**SMALL).fit(X, y)
    model.coefs_ = [np.ones((7, 2), dtype=int), [[1.0], [-1.0]]]
    model.intercepts_ = [np.array([0, 1]), [0.25]]
    hidden = np.maximum(X.sum(axis=1), 0), np.maximum(X.sum(axis=1) + 1, 0)
    assert_allclose(model.predict(X), hidden[0] - hidden[1] + 0.25, rtol=1e-12)
    assert model.predict(X).dtype == np.float64
    model.set_params(hidden_layer_sizes=2).partial_fit(X, y)
    assert [coef.shape for coef in model.coefs_] == [(7, 2), (2, 1)]


@pytest.mark.parametrize(
    "break_it",
    [
        lambda model: model.coefs_.pop(),
        lambda model: model.intercepts_.pop(),
        lambda model: model.coefs_.__setitem__(0, np.zeros((7, 5))),
        lambda model: model.coefs_.__setitem__(1, np.zeros(6)),
        lambda model: model.intercepts_.__setitem__(1, np.zeros(5)),
        lambda model: (model.coefs_.clear(), model.intercepts_.clear()),
    ],
)
def test_what_makes_no_network_is_refused(break_it):
    X, y = make_problem("regression")
    model = MLPRegressor(**SMALL).fit(X, y)
    break_it(model)
    for method in (model.predict, lambda X: model.partial_fit(X, y)):
        with pytest.raises(ValueError, match="do not make a network"):
            method(X)


def test_network_of_another_width_is_refused():
    X, y = make_problem("regression")
    model = MLPRegressor(**SMALL).fit(X, y)
    model.coefs_[0] = np.zeros((9, 6))
    with pytest.raises(ValueError, match="expecting 9 features"):
        model.predict(X)
    with pytest.raises(ValueError, match="X has 7 features.*has 9"):
        model.partial_fit(X, y)


def test_training_leaves_views_handed_out_before_alone():
    X, y = make_problem("regression")
    model = MLPRegressor(**SMALL, warm_start=True).fit(X, y)
    views = [*model.coefs_, *model.intercepts_]
    kept = copy.deepcopy(views)
    model.fit(X, y).partial_fit(X, y)
    for view, copied in zip(views, kept, strict=True):
        assert_array_equal(view, copied)


def test_prediction_changes_no_attribute():
    X, y = make_problem("binary")
    model = MLPClassifier(**SMALL).fit(X, y)
    model.coefs_[0] = model.coefs_[0] * 2
    before = vars(model).copy()
    predictions(model, X)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())


# ---- pickles ---------------------------------------------------------------------------


@pytest.mark.parametrize(("solver", "copies"), [("lbfgs", 1), ("sgd", 2), ("adam", 3)])
def test_pickle_holds_the_parameters_once(solver, copies):
    """One vector, and as many again as the optimizer needs to train on."""
    X, y = make_problem("binary", n_features=100)
    model = MLPClassifier((200,), solver=solver, max_iter=2, random_state=0).fit(X, y)
    size = len(pickle.dumps(model))
    assert size < copies * model._trained.params.nbytes + 10_000


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_duplicates_are_independent_and_whole(duplicate):
    X, y = make_problem("multiclass")
    model = MLPClassifier(**SMALL).fit(X, y)
    twin = duplicate(model)
    assert_same_model(twin, model, X)
    assert all(np.shares_memory(view, twin._trained.params) for view in twin.coefs_)
    before = predictions(model, X)
    twin.coefs_[0][:] = 0
    twin.partial_fit(X, y)
    np.testing.assert_equal(predictions(model, X), before)


@pytest.mark.parametrize("problem", ["binary", "regression"])
def test_loaded_training_goes_on_as_if_never_stored(problem):
    X, y = make_problem(problem)
    model = estimator_for(problem, **SMALL, solver="sgd").fit(X, y)
    loaded = pickle.loads(pickle.dumps(model))
    for _ in range(3):
        assert_same_model(loaded.partial_fit(X, y), model.partial_fit(X, y), X)


class KeepsItsDict(MLPClassifier):
    """A subclass that pickles as Python's documentation shows it."""

    def __getstate__(self):
        state = self.__dict__.copy()
        state.pop("scratch", None)
        return state


class UpdatesItsDict(MLPRegressor):
    def __setstate__(self, state):
        self.__dict__.update(state)
        self.scratch = None


@pytest.mark.parametrize("cls", [KeepsItsDict, UpdatesItsDict])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_subclasses_that_pickle_in_their_own_way(cls, duplicate, batch_norm):
    X, y = make_problem("binary" if cls is KeepsItsDict else "regression")
    model = cls(**SMALL, batch_norm=batch_norm)
    assert clone(duplicate(model)).get_params() == model.get_params()
    model.fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = duplicate(model)
    # Their state, not the loaded model, has or lacks what the two forget and add.
    for one in (model, loaded):
        one.scratch = None
    assert_array_equal(loaded.predict(X), model.predict(X))
    loaded.partial_fit(X, y)
    model.partial_fit(X, y)
    assert_array_equal(loaded.predict(X), model.predict(X))
    loaded.coefs_[0][...] = 0
    assert np.ptp(loaded.predict(X)) == 0


def test_memory_mapped_model_trains_on(tmp_path):
    """joblib gives read-only arrays; they are not written to."""
    X, y = make_problem("regression", n_features=50)
    model = MLPRegressor(hidden_layer_sizes=300, max_iter=2, random_state=0).fit(X, y)
    joblib.dump(model, tmp_path / "model")
    mapped = joblib.load(tmp_path / "model", mmap_mode="r")
    assert not mapped.coefs_[0].flags.writeable
    assert_same_model(mapped.partial_fit(X, y), model.partial_fit(X, y), X)


# ---- what is in a pickle, and whether it is trusted ------------------------------------


def state_of(problem="binary", **params):
    X, y = make_problem(problem)
    model = estimator_for(problem, **SMALL, **params).fit(X, y)
    return model, X, model.__getstate__()


def types_in(value, found):
    """Add the types of a value, and of all that is in it, to a set."""
    found.add(type(value))
    if isinstance(value, dict):
        for key, item in value.items():
            types_in(key, found)
            types_in(item, found)
    elif isinstance(value, list | tuple):
        for item in value:
            types_in(item, found)
    return found


@pytest.mark.parametrize("solver", ["adam", "sgd", "muon", "lbfgs"])
def test_state_is_of_plain_types(solver):
    """Nothing of fastnn's own but the estimator and its configuration is named in a pickle."""
    _, _, state = state_of(solver=solver, weight_average=0.9 if solver == "adam" else None)
    plain = {dict, list, tuple, str, bytes, int, float, bool, type(None), np.ndarray, np.float64}
    others = types_in({k: v for k, v in state.items() if k != "_config"}, set()) - plain
    assert others == {LabelBinarizer, np.random.RandomState}


def replaced(state, place, change):
    """A copy of the state in which what lies at a place, a path of keys, is changed."""
    state = copy.deepcopy(state)
    inside = state
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = change(inside[place[-1]])
    return state


PARAMS, UNITS = ("_trained", "params"), ("_trained", "network", "layer_units")
TRAINING, OPTIMIZER = ("_training_state",), ("_training_state", "optimizer")
SLOT = (*OPTIMIZER, "slots", "mu")
ACTIVATION = ("_trained", "network", "activation")


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (PARAMS, lambda a: a[:-1], r"params must be an array of shape \(81,\)"),
        (PARAMS, lambda a: a[None], r"params .* got an array of shape \(1, 81\)"),
        (PARAMS, lambda a: a.astype(int), "params .* dtype float32 or float64, got .* int64"),
        (PARAMS, lambda a: a.astype(object), "params .* dtype"),
        (PARAMS, lambda a: a.tolist(), "params .* got <class 'list'>"),
        (UNITS, lambda units: (7, 60, 4, 1), r"params must be an array of shape \("),
        (UNITS, lambda units: (7,), "describes no network"),
        (UNITS, lambda units: (7, -1, 1), "describes no network"),
        (ACTIVATION, lambda name: ("relu",), "describes no network"),
        (SLOT, lambda a: a[:40], r"mu must be an array of shape \(81,\)"),
        (SLOT, lambda a: a.astype("f2"), "mu .* dtype float32 or float64, got .* float16"),
        ((*OPTIMIZER, "slots"), lambda slots: {"mu": slots["mu"]}, r"slots must have \['mu', 'nu'"),
        ((*OPTIMIZER, "settings"), lambda settings: {}, "settings must have"),
        ((*OPTIMIZER, "scalars", "power_1"), str, "power_1 must be a number"),
        ((*OPTIMIZER, "rule"), lambda name: "magic", "no optimizer 'magic'"),
        ((*OPTIMIZER, "schedule"), lambda name: print, "no schedule <built-in"),
        ((*OPTIMIZER, "power_t"), str, "power_t must be a number, got '0.5'"),
        ((*OPTIMIZER, "initial_rate"), lambda rate: None, "must be a number, got None"),
        (OPTIMIZER, lambda values: {**values, "more": 1}, "the optimizer must have"),
        (OPTIMIZER, lambda values: {}, r"the optimizer must have .* got \[\]"),
        ((*TRAINING, "average"), lambda _: {"values": 1}, "the average must have"),
        ((*TRAINING, "params"), lambda _: np.zeros(3), "params must be an array"),
        ((*TRAINING, "random_steps"), str, "random_steps must be a number"),
        (TRAINING, lambda values: {}, "the training must have"),
        (("_trained",), lambda values: {"network": {}}, "the network must have"),
        (("_trained", "network"), lambda values: {}, "describes no network"),
        (("_trained", "network", "link"), lambda link: "magic", "describes no network"),
        (UNITS, lambda units: (7, 6.5, 4, 1), "describes no network"),
    ],
)
def test_state_that_compiled_code_could_not_read_is_refused(place, change, message):
    model, X, state = state_of()
    said = model.predict(X)
    with pytest.raises(ValueError, match=message):
        model.__setstate__(replaced(state, place, change))
    assert_array_equal(model.predict(X), said)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
        lambda a: a.astype(a.dtype.newbyteorder(">")),
        lambda a: np.asfortranarray(a),
        lambda a: a[..., ::-1][..., ::-1],
    ],
)
def test_state_in_another_order_is_brought_into_ours(change):
    model, X, state = state_of()
    for place in (PARAMS, SLOT):
        state = replaced(state, place, change)
    again = type(model)()
    again.__setstate__(state)
    X, y = make_problem("binary")
    assert_same_model(again, model, X)
    assert_same_model(again.partial_fit(X, y), model.partial_fit(X, y), X)


def test_what_makes_no_network_is_copied_as_it_is():
    model, X, _ = state_of()
    model.coefs_ = [np.ones((3, 2)), np.ones((3, 2))]
    again = pickle.loads(pickle.dumps(model))
    with pytest.raises(ValueError, match="do not make a network"):
        again.predict(X)
    assert again.coefs_[0].shape == (3, 2)
    model.set_params(activation=None)
    assert pickle.loads(pickle.dumps(model)).activation is None


def test_last_weights_of_a_validated_fit_are_checked():
    X, y = make_problem("binary")
    params = SMALL | {"warm_start": True, "max_iter": 30, "learning_rate_init": 0.1}
    model = MLPClassifier(**params).fit(X, y, X_val=X[:9], y_val=y[:9])
    state = model.__getstate__()
    place = ("_training_state", "params")
    assert state["_training_state"]["params"] is not None
    bad = replaced(state, place, lambda last: last[:3])
    with pytest.raises(ValueError, match="params must be an array of shape"):
        model.__setstate__(bad)


def test_another_version_warns(monkeypatch):
    """As scikit-learn does, by a warning of its category that names both versions."""
    model, X, _ = state_of()
    pickled = pickle.dumps(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pickle.loads(pickled)
    version = fastnn.__version__
    monkeypatch.setattr(fastnn._version, "__version__", "9.9")
    message = f"MLPClassifier from fastnn {version} when using version 9.9"
    with pytest.warns(sklearn.exceptions.InconsistentVersionWarning, match=message) as caught:
        again = pickle.loads(pickled)
    assert isinstance(caught[0].message, InconsistentVersionWarning)
    assert_array_equal(again.predict(X), model.predict(X))
