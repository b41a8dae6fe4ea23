"""Defaults of estimators: who sees what is configured, and who wins."""

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from joblib import parallel_backend
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn
from common import ESTIMATORS, estimator_for, make_problem, run_python
from fastnn import config_context, get_config, set_config

INITIAL = {"device": "cpu", "dtype": "auto", "n_jobs": "auto"}
X, y = make_problem("binary")


@pytest.fixture(autouse=True)
def _restore():
    """Every test begins and ends with the initial configuration."""
    assert get_config() == INITIAL
    yield
    set_config(**INITIAL)


def precision(model, X=X):
    return model.fit(X, y).coefs_[0].dtype


def model(**params):
    return estimator_for("binary", hidden_layer_sizes=(4,), max_iter=2, random_state=0, **params)


def test_set_config_leaves_what_is_none():
    set_config(dtype="float32")
    set_config(n_jobs=-1)
    assert get_config() == {**INITIAL, "dtype": "float32", "n_jobs": -1}
    set_config(**INITIAL)
    assert get_config() == INITIAL


def test_get_config_is_a_copy():
    get_config()["dtype"] = "float32"
    assert get_config() == INITIAL


def test_contexts_nest_and_restore():
    with config_context(dtype="float32"):
        with config_context(n_jobs=2, dtype="float64"):
            assert get_config() == {**INITIAL, "dtype": "float64", "n_jobs": 2}
            set_config(n_jobs=1)
            assert get_config()["n_jobs"] == 1
        assert get_config() == {**INITIAL, "dtype": "float32"}
        with pytest.raises(KeyError), config_context(n_jobs=1):
            raise KeyError
        assert get_config() == {**INITIAL, "dtype": "float32"}
    assert get_config() == INITIAL


@pytest.mark.parametrize("configure", [set_config, lambda **kw: config_context(**kw).__enter__()])
@pytest.mark.parametrize(
    "setting, message",
    [
        ({"dtype": "float16"}, "'dtype' parameter of .* must be a str among .*Got 'float16'"),
        ({"device": "tpu"}, "'device' parameter of .* must be a str among .*Got 'tpu'"),
        ({"n_jobs": 0}, "'n_jobs' parameter of .* must be an int .*Got 0"),
        ({"n_jobs": "all"}, "'n_jobs' parameter of .*Got 'all'"),
    ],
)
def test_bad_settings(configure, setting, message):
    with pytest.raises(ValueError, match=message):
        configure(**setting)
    assert get_config() == INITIAL


@pytest.mark.parametrize("Estimator", ESTIMATORS)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_precision_of_a_fit(Estimator, solver):
    """The configured one, unless the estimator was given another; the same bits as if given."""
    params = {"solver": solver, "max_iter": 3, "random_state": 0}
    given = Estimator(dtype="float32", **params).fit(X, y)
    with config_context(dtype="float32"):
        configured = Estimator(**params).fit(X, y)
        assert precision(Estimator(dtype="float64", **params)) == np.float64
    assert configured.coefs_[0].dtype == np.float32
    assert configured.get_params()["dtype"] == "auto"
    for a, b in zip(configured.coefs_, given.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    assert precision(Estimator(**params)) == np.float64


def test_set_config_counts_for_fits():
    set_config(dtype="float32")
    assert precision(model()) == np.float32
    set_config(dtype="auto")
    assert precision(model()) == np.float64


def test_integers_come_in_the_configured_precision():
    with config_context(dtype="float32"):
        assert precision(model(), (10 * X).astype(int)) == np.float32


def test_a_trained_model_keeps_its_precision():
    with config_context(dtype="float32"):
        narrow = model().fit(X, y)
    wide = model().fit(X, y)
    said = wide.predict_proba(X)
    with config_context(dtype="float32", n_jobs=1):
        np.testing.assert_array_equal(wide.predict_proba(X), said)
        assert wide.partial_fit(X, y).coefs_[0].dtype == np.float64
    assert narrow.partial_fit(X, y).coefs_[0].dtype == np.float32


def test_threads(monkeypatch):
    """n_jobs reaches the backend, of fits and of predictions, unless the estimator has its own."""
    from fastnn import backends

    seen = []
    get_backend = backends.get_backend

    def recording(device, n_jobs, **which):
        seen.append((device, n_jobs))
        return get_backend(device, n_jobs, **which)

    monkeypatch.setattr(backends, "get_backend", recording)
    with config_context(n_jobs=2):
        fitted = model().fit(X, y)
        fitted.predict(X)
        assert set(seen) == {("cpu", 2)}
        seen.clear()
        model(n_jobs=1, device="cpu").fit(X, y)
        assert set(seen) == {("cpu", 1)}
    seen.clear()
    fitted.predict(X)
    assert seen == [("cpu", None)]


# ---- threads -----------------------------------------------------------------------


def test_other_threads_see_the_main_threads_context():
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(get_config).result() == INITIAL
        with config_context(dtype="float32"):
            assert pool.submit(get_config).result()["dtype"] == "float32"
        assert pool.submit(get_config).result() == INITIAL


def test_a_threads_own_context_is_its_own():
    entered, leave = threading.Event(), threading.Event()

    def work():
        with config_context(dtype="float32"):
            entered.set()
            leave.wait(60)
            return get_config()["dtype"]

    with ThreadPoolExecutor(1) as pool:
        inside = pool.submit(work)
        assert entered.wait(60)
        assert get_config() == INITIAL
        with config_context(dtype="float64"):
            leave.set()
            assert inside.result() == "float32"
            assert pool.submit(get_config).result()["dtype"] == "float64"


def test_tasks_of_an_event_loop():
    """Blocks of two tasks that end in the order in which they began."""
    import asyncio

    async def task(dtype, entered, may_leave):
        with config_context(dtype=dtype):
            entered.set()
            await may_leave.wait()
            return get_config()["dtype"]

    async def main():
        one, two, go = asyncio.Event(), asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(task("float32", one, two))
        await one.wait()
        second = asyncio.create_task(task("float64", two, go))
        found = await first
        go.set()
        return found, await second

    assert asyncio.run(main()) == ("float32", "float64")
    assert get_config() == INITIAL
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(get_config).result() == INITIAL


# ---- joblib ------------------------------------------------------------------------


class Precision:
    """A scorer: whether the model is in float32."""

    def __call__(self, search_model, X, y):
        return float(search_model[-1].coefs_[0].dtype == np.float32)


@pytest.mark.parametrize("backend", ["threading", "loky", "multiprocessing"])
def test_grid_search(backend):
    """All fits of a grid search in a block, in threads or processes, and none after it."""
    search = GridSearchCV(
        make_pipeline(StandardScaler(), model(n_jobs=1)),
        {"mlpclassifier__alpha": [0.1, 0.01, 0.001, 0.0001]},
        scoring=Precision(),
        cv=3,
        n_jobs=2,
    )
    with parallel_backend(backend):
        with config_context(dtype="float32"):
            search.fit(X, y)
        assert (search.cv_results_["mean_test_score"] == 1).all()
        assert search.best_estimator_[-1].coefs_[0].dtype == np.float32
        # In workers that were configured before.
        assert (search.fit(X, y).cv_results_["mean_test_score"] == 0).all()


def test_models_cloned_in_workers():
    """An ensemble clones its estimator in the worker."""
    ensemble = BaggingClassifier(model(), n_estimators=4, n_jobs=2)
    with parallel_backend("loky"), config_context(dtype="float32"):
        ensemble.fit(X, y)
    assert {member.coefs_[0].dtype for member in ensemble.estimators_} == {np.dtype(np.float32)}


def test_copies_carry_nothing_along():
    """Neither clones nor pickles made in a block keep its settings in this process."""
    with config_context(dtype="float32"):
        copies = [clone(model()), pickle.loads(pickle.dumps(model()))]
        pickled = pickle.dumps(model())
    for copied in (*copies, pickle.loads(pickled)):
        assert precision(copied) == np.float64
    assert get_config() == INITIAL


def test_files_configure_no_process(tmp_path):
    """A process that loads a model from a file is not the worker of the one that wrote it."""
    path = tmp_path / "model.pickle"
    with config_context(dtype="float32"):
        path.write_bytes(pickle.dumps(model()))
    code = "import fastnn, json, pickle, sys; pickle.load(open(sys.argv[1], 'rb'));"
    assert run_python(code + "print(json.dumps(fastnn.get_config()))", path) == INITIAL


def test_hashes_depend_on_the_settings_in_force_only():
    """So that joblib.Memory finds its results in the next run, and in a block none from outside."""
    code = """
import fastnn, joblib, json
model = fastnn.MLPClassifier()
hashes = [joblib.hash(model)]
with fastnn.config_context(dtype="float32"):
    hashes.append(joblib.hash(model))
print(json.dumps([*hashes, joblib.hash(model)]))
"""
    hashes = run_python(code)
    assert hashes[0] == hashes[2] != hashes[1]
    with config_context(dtype="float32"):
        assert joblib.hash(fastnn.MLPClassifier()) == hashes[1]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_copies_and_pickles_of_every_protocol(protocol):
    with config_context(dtype="float32"):
        fitted = model().fit(X, y)
        copies = [copy.copy(fitted), pickle.loads(pickle.dumps(fitted, protocol))]
    for copied in copies:
        np.testing.assert_array_equal(copied.predict_proba(X), fitted.predict_proba(X))


def test_public_names():
    assert {"config_context", "get_config", "set_config"} <= set(fastnn.__all__)
