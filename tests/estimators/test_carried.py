"""Registered functions in pickles and on the way to workers."""

import copy
import io
import math
import multiprocessing
import os
import pickle
import subprocess
import sys
import types
from math import exp
from pathlib import Path

import joblib
import numba
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import fastnn
from common import child_environment, make_problem, run_python
from fastnn import MLPClassifier, MLPRegressor, register_activation, register_loss
from fastnn.estimators import carried, registration
from fastnn.exceptions import AdviceWarning
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.losses import LOSSES

SMALL = dict(hidden_layer_sizes=(6, 4), max_iter=3, random_state=0)
settings = types.ModuleType("settings")
settings.inner = types.ModuleType("settings.inner")
settings.inner.WEIGHTS = np.array([0.25, 0.5])
settings.SLOPE = 0.5


def bell(x):
    return exp(-x * x)


def bell_gradient(x):
    return -2 * x * exp(-x * x)


def half_square(x, y):
    return 0.5 * (x - y) * (x - y)


def difference(x, y):
    return x - y


@pytest.fixture(autouse=True)
def only_fastnns_own():
    """Whatever a test registers is forgotten after it."""
    kept = [(registry, dict(registry)) for registry in (ACTIVATIONS, LOSSES, registration._adopted)]
    yield
    for registry, entries in kept:
        registry.clear()
        registry.update(entries)


def fitted(activation="relu", **params):
    X, y = make_problem("regression")
    return MLPRegressor(**SMALL | {"activation": activation} | params).fit(X, y)


def names_in(data):
    """The modules and names that an unpickler looks up."""
    found = set()

    class Unpickler(pickle.Unpickler):
        def find_class(self, module, name):
            found.add((module, name))
            return super().find_class(module, name)

    Unpickler(io.BytesIO(data)).load()
    return found


# ---- what pickles carry ----------------------------------------------------------------------


def test_an_estimator_carries_what_it_uses_and_no_more():
    plain, unfitted = fitted(), MLPClassifier()
    sizes = [len(pickle.dumps(model)) for model in (plain, unfitted)]
    for n in range(2000):
        register_activation(f"mine_{n}", lambda x: x, lambda x: 1.0)
    assert [len(pickle.dumps(model)) for model in (plain, unfitted)] == sizes
    assert len(pickle.dumps(fitted("mine_7"))) < sizes[0] + 3000


def test_parameters_and_the_fitted_network_name_what_is_used():
    for name in ("a", "b", "c"):
        register_activation(name, bell, bell_gradient)
    for name in ("p", "q"):
        register_loss(name, half_square, difference)
    model = fitted(("a", "relu"), loss="p").set_params(activation="b", loss="q")
    assert {entry.name for entry in carried_by(model)} == {"b", "p", "q"}


@pytest.mark.parametrize(
    ("activation", "names"),
    [
        ("c", {"c"}),
        (["relu", "c"], {"c"}),
        (np.array(["c", "d"]), {"c"}),
        (None, set()),
        (3, set()),
        ([[], 3], set()),
        ("relu", set()),
    ],
)
def test_parameters_that_nobody_has_checked(activation, names):
    register_activation("c", bell, bell_gradient)
    model = MLPRegressor(activation=activation)
    assert {entry.name for entry in carried_by(model)} == names


def carried_by(model):
    found = model.__getstate__().get("_registered")
    return [] if found is None else found.entries


def test_functions_that_can_be_imported_are_pickled_as_names():
    register_activation("bell", bell, bell_gradient)
    register_loss("mine", half_square, difference)
    data = pickle.dumps(fitted("bell", loss="mine"))
    names = {name for module, name in names_in(data) if module == __name__}
    assert names == {"bell", "bell_gradient", "half_square", "difference"}
    assert not any(module in ("types", "importlib", "builtins") for module, _ in names_in(data))


@numba.njit
def jitted(x):
    return settings.SLOPE * x


def everything(x):
    """All kinds of what a function may use."""

    def inner(t):
        return t * settings.inner.WEIGHTS[1]

    return inner(math.tanh(x)) + jitted(bell(x)) + np.float64(max(x, 0.0))


UNPICKLE = """
import importlib.util, json, pickle, sys
model = pickle.load(open(sys.argv[1], "rb"))
assert importlib.util.find_spec("test_carried") is None
print(json.dumps(model.predict([[0.5] * 7]).tolist()))
"""


def elsewhere(model, tmp_path):
    """Unpickle in another process, which cannot import this module; return what it prints."""
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps(model))
    return run_python(UNPICKLE, path, PYTHONPATH=str(Path(fastnn.__file__).parent.parent))


def as_in_a_script(*functions):
    """Copies of functions that cannot be imported, as those of a script."""
    return [
        types.FunctionType(
            f.__code__, f.__globals__ | {"__name__": "__main__"}, f.__name__, f.__defaults__
        )
        for f in functions
    ]


def test_other_functions_are_pickled_with_all_that_they_use(tmp_path):
    functions = as_in_a_script(bell, bell_gradient, everything)
    for function in functions:
        function.__globals__["bell"] = functions[0]
    register_activation("bell", functions[0], functions[1])
    register_activation("everything", functions[2], functions[1])
    model = fitted(("bell", "everything"))
    expected = model.predict([[0.5] * 7]).tolist()
    assert elsewhere(model, tmp_path) == expected


def test_a_model_from_another_version_of_python_loads_and_says_what_it_lacks():
    register_activation("mine", *as_in_a_script(bell, bell_gradient))
    model = fitted("mine")
    state = model.__getstate__()
    arrived = pickle.loads(pickle.dumps(state["_registered"]))
    arrived.environment = ("cpython-30", "3.0", "1.0")
    loaded = MLPRegressor.__new__(MLPRegressor)
    del ACTIVATIONS["mine"]
    loaded.__setstate__(state | {"_registered": arrived})
    np.testing.assert_array_equal(loaded.coefs_[0], model.coefs_[0])
    with pytest.raises(ValueError, match="'mine' of this model is not registered in this process"):
        loaded.predict([[0.5] * 7])


def test_a_name_that_is_fastnns_is_not_taken():
    register_activation("mine", bell, bell_gradient)
    arrived = pickle.loads(pickle.dumps(carried.taken_along("mine", None)))
    for name in ("relu", "../../elsewhere", "not a name"):
        entry = copy.copy(arrived.marked[0][0])
        vars(entry)["name"] = name
        before = dict(ACTIVATIONS)
        carried.take_over(carried.Arrived(((entry, None),), carried.ENVIRONMENT))
        assert before == ACTIVATIONS


def test_copies_use_what_is_registered():
    register_activation("mine", *as_in_a_script(bell, bell_gradient))
    entry, model = ACTIVATIONS["mine"], fitted("mine")
    for duplicate in (copy.copy(model), copy.deepcopy(model), clone(model)):
        assert duplicate.activation == "mine"
        assert ACTIVATIONS["mine"] is entry


def test_joblibs_hash_tells_what_functions_mean(monkeypatch):
    register_activation("mine", lambda x: settings.SLOPE * x, lambda x: settings.SLOPE)
    model = MLPRegressor(activation="mine")
    before = joblib.hash(model)
    assert joblib.hash(clone(model)) == before
    monkeypatch.setattr(settings, "SLOPE", 0.75)
    assert joblib.hash(model) != before


def test_a_function_that_means_nothing_any_more_stays_behind(monkeypatch):
    register_activation("mine", lambda x: settings.SLOPE * x, lambda x: settings.SLOPE)
    model = fitted("mine")
    monkeypatch.setattr(settings, "SLOPE", [0.5])
    loaded = pickle.loads(pickle.dumps(model))
    assert loaded.activation == "mine"
    with pytest.raises(TypeError, match="uses 'settings.SLOPE', an object of type list"):
        fitted("mine")


# ---- unpicklers that allow some names --------------------------------------------------------


class Refused(Exception):
    """The unpickler below raises this."""


class AllowListing(pickle.Unpickler):
    """An unpickler as careful programs have it."""

    def find_class(self, module, name):
        if module.partition(".")[0] not in ("fastnn", "numpy", "sklearn"):
            raise Refused(f"{module}.{name}")
        return super().find_class(module, name)


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("problem", ["multiclass", "binary", "regression"])
def test_ordinary_models_need_names_of_fastnn_and_numpy_only(problem, protocol):
    X, y = make_problem(problem)
    if problem == "regression":
        model = MLPRegressor(**SMALL)
    else:
        model = MLPClassifier(**SMALL, early_stopping=True, batch_norm=True)
    model.fit(X, y)
    loaded = AllowListing(io.BytesIO(pickle.dumps(model, protocol))).load()
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


@pytest.mark.parametrize("by_value", [False, True])
def test_an_unpickler_sees_every_name_that_functions_need(by_value, monkeypatch):
    functions = as_in_a_script(bell, bell_gradient) if by_value else (bell, bell_gradient)
    register_activation("mine", *functions)
    data = pickle.dumps(fitted("mine"))
    del ACTIVATIONS["mine"]
    name = "builtins.getattr" if by_value else f"{__name__}.bell"
    with pytest.raises(Refused, match=name):
        AllowListing(io.BytesIO(data)).load()
    assert "mine" not in ACTIVATIONS


def test_nothing_is_unpickled_inside(monkeypatch):
    functions = as_in_a_script(bell, bell_gradient, everything)
    register_activation("mine", functions[0], functions[1])
    register_activation("everything", functions[2], functions[1])
    data = pickle.dumps(fitted(("mine", "everything")))
    load = pickle.Unpickler(io.BytesIO(data)).load

    def never(*args, **kwargs):
        raise AssertionError("unpickled inside")

    for name in ("load", "loads", "Unpickler", "_load", "_loads", "_Unpickler"):
        monkeypatch.setattr(pickle, name, never)
    monkeypatch.setattr("numba.cloudpickle.loads", never)
    assert load().activation == ("mine", "everything")


# ---- which meaning counts --------------------------------------------------------------------


def arrived(slope):
    """Pickle an activation of this slope, forget it, and return what the pickle brings."""
    function = eval(f"lambda x: {slope} * x")
    register_activation("moved", function, function)
    data = pickle.dumps(carried.taken_along("moved", None))
    del ACTIVATIONS["moved"]
    return pickle.loads(data)


def test_what_came_from_elsewhere_gives_way():
    """Where an estimator brought an activation, a later one may bring it with a new meaning."""
    first, second = arrived(1.0), arrived(3.0)
    carried.take_over(first)
    assert ACTIVATIONS["moved"].forward(1.0) == 1.0
    with pytest.warns(AdviceWarning, match="'moved'.*takes the place of another"):
        carried.take_over(second)
    assert ACTIVATIONS["moved"].forward(1.0) == 3.0
    carried.take_over(first, from_parent=True)
    assert ACTIVATIONS["moved"].forward(1.0) == 1.0


def test_what_a_process_has_registered_itself_stays():
    first = arrived(1.0)
    register_activation("moved", lambda x: 5 * x, lambda x: 5.0)
    with pytest.warns(AdviceWarning, match="'moved'.*means something else here"):
        carried.take_over(first)
    assert ACTIVATIONS["moved"].forward(1.0) == 5.0


def test_a_constant_that_differs_where_a_model_is_loaded_is_told(monkeypatch):
    monkeypatch.setitem(globals(), "slope", 0.5)
    register_activation("by_global", by_global, by_global)
    data = pickle.dumps(MLPRegressor(activation="by_global"))
    monkeypatch.setitem(globals(), "slope", 0.25)
    with pytest.warns(AdviceWarning, match="'by_global'.*means something else here"):
        pickle.loads(data)


slope = 0.5


def by_global(x):
    return slope * x


# ---- workers ---------------------------------------------------------------------------------

GRID = {"activation": ["by_name", ("by_value", "relu"), "tanh"]}


def register_two():
    register_activation("by_name", bell, bell_gradient)
    register_activation("by_value", *as_in_a_script(bell, bell_gradient))


# Its workers get what an estimator uses, and what the process had when they were forked.
MULTIPROCESSING = pytest.param(
    "multiprocessing",
    marks=pytest.mark.skipif(
        multiprocessing.get_all_start_methods()[0] != "fork", reason="needs fork"
    ),
)


@pytest.mark.parametrize("backend", ["loky", "threading", MULTIPROCESSING])
@pytest.mark.slow
def test_workers_know_names_that_only_a_grid_has(backend):
    register_two()
    X, y = make_problem("binary")
    with joblib.parallel_config(backend):
        search = GridSearchCV(MLPClassifier(**SMALL), GRID, cv=2, n_jobs=2).fit(X, y)
    expected = GridSearchCV(MLPClassifier(**SMALL), GRID, cv=2).fit(X, y)
    for key in ("mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(search.cv_results_[key], expected.cv_results_[key])


def forward_of_moved(model):
    return ACTIVATIONS["moved"].forward(1.0)


def test_workers_that_live_on_learn_of_new_meanings():
    with joblib.Parallel(n_jobs=2, backend="loky") as parallel:
        for slope in (1.0, 3.0, 5.0):
            function = eval(f"lambda x: {slope} * x")
            register_activation("moved", function, function)
            calls = [joblib.delayed(forward_of_moved)(MLPRegressor()) for _ in range(4)]
            assert parallel(calls) == [slope] * 4


def test_functions_mean_in_workers_what_they_mean_here(monkeypatch):
    """Also those of modules that the workers could import, or could not."""
    register_activation("moved", by_global, by_global)
    for value in (0.25, 0.125):
        monkeypatch.setitem(globals(), "slope", value)
        with joblib.parallel_config("loky"):
            calls = [joblib.delayed(forward_of_moved)(MLPRegressor(activation="moved"))] * 2
            assert joblib.Parallel(n_jobs=2)(calls) == [value] * 2
    module = types.ModuleType("module_of_no_file")
    exec("SLOPE = 7.0\ndef f(x): return SLOPE * x", vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    register_activation("moved", module.f, module.f)
    with joblib.parallel_config("loky"):
        assert joblib.Parallel(n_jobs=2)(calls) == [7.0] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.slow
def test_forked_children_learn_of_new_meanings():
    code = """
import json, multiprocessing, fastnn
from fastnn.kernels.activations import ACTIVATIONS
def register(slope):
    f = eval(f"lambda x: {slope} * x")
    fastnn.register_activation("moved", f, f)
def forward(model):
    return ACTIVATIONS["moved"].forward(1.0)
register(1.0)
with multiprocessing.get_context("fork").Pool(1) as pool:
    register(3.0)
    print(json.dumps(pool.apply(forward, (fastnn.MLPRegressor(),))))
"""
    assert run_python(code) == 3.0


SPAWNED = """
import json, multiprocessing, fastnn, sys
from fastnn.kernels.activations import ACTIVATIONS
SLOPE = 1.0
def f(x):
    return SLOPE * x
def forward(model):
    return ACTIVATIONS["moved"].forward(1.0)
if __name__ == "__main__":
    SLOPE = 3.0
    fastnn.register_activation("moved", f, f)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(json.dumps(pool.apply(forward, (fastnn.MLPRegressor(),))))
"""


@pytest.mark.slow
def test_spawned_children_know_what_is_registered(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SPAWNED)
    process = subprocess.run(
        [sys.executable, script], env=child_environment(), capture_output=True, text=True
    )
    assert process.stdout.strip() == "3.0", process.stderr
