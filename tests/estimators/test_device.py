"""Estimators with device="cuda" and device="auto", on an emulated GPU and without one."""

import pickle
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn
from fastnn import MLPClassifier, MLPRegressor, backends
from fastnn.kernels.cuda import backend as cuda_backend
from fastnn.kernels.cuda.reckoning import RESERVE

if sys.platform == "linux":
    from emulated_cuda import emulated_cuda

needs_emulation = pytest.mark.skipif(sys.platform != "linux", reason="the emulation is for Linux")
rng = np.random.RandomState(0)
X = rng.randn(90, 6)
Y = X @ rng.randn(6) + 0.1 * rng.randn(90)
CLASSES = np.digitize(Y, [-1, 1])
SMALL = {"hidden_layer_sizes": (9,), "max_iter": 3, "random_state": 0, "batch_size": 20}


def weights(model):
    return [*model.coefs_, *model.intercepts_]


def assert_same(one, other):
    for mine, theirs in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(mine, theirs, strict=True)


@pytest.fixture
def no_gpu(monkeypatch):
    def fail(cpu):
        raise RuntimeError("there is no GPU")

    backends.why_no_cuda.cache_clear()
    monkeypatch.setattr(backends, "_cuda_backend", fail)
    yield
    backends.why_no_cuda.cache_clear()


@needs_emulation
@pytest.mark.parametrize("cls, y", [(MLPClassifier, CLASSES), (MLPRegressor, Y)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dtype": "float32"},
        {"solver": "lbfgs"},
        {"early_stopping": True},
        {"batch_norm": True, "weight_average": 0.9},
        {"max_time": 1e-9},
    ],
    ids=str,
)
def test_weights_are_those_of_the_cpu(cls, y, options):
    on_cpu = cls(**SMALL, **options).fit(X, y)
    with emulated_cuda() as device:
        model = cls(device="cuda", **SMALL, **options).fit(X, y)
        assert device.n_launches > 0
    assert_same(model, on_cpu)
    assert model.loss_ == on_cpu.loss_


@needs_emulation
def test_predictions_are_those_of_the_cpu(monkeypatch):
    on_cpu = MLPClassifier(**SMALL).fit(X, CLASSES)
    with emulated_cuda() as device:
        model = MLPClassifier(device="cuda", **SMALL).fit(X, CLASSES)
        n_launches = device.n_launches
        model.predict_proba(X)
        # The CPU has it faster.
        assert device.n_launches == n_launches
        monkeypatch.setattr(cuda_backend, "FLOPS_OF_A_LARGE_PREDICTION", 0)
        np.testing.assert_array_equal(model.predict_proba(X), on_cpu.predict_proba(X))
        assert device.n_launches > n_launches
        # An edit counts in the next prediction.
        for one in (model, on_cpu):
            one.coefs_[0][:] = 0.5
        np.testing.assert_array_equal(model.predict_proba(X), on_cpu.predict_proba(X))
        np.testing.assert_array_equal(model.hidden_activations(X), on_cpu.hidden_activations(X))
        np.testing.assert_array_equal(model.input_gradient(X), on_cpu.input_gradient(X))


@needs_emulation
def test_partial_fits_and_warm_starts_go_on_as_on_the_cpu():
    def train(device):
        model = MLPClassifier(device=device, warm_start=True, **SMALL).fit(X, CLASSES)
        model = pickle.loads(pickle.dumps(clone(model).fit(X, CLASSES)))
        return model.partial_fit(X, CLASSES).partial_fit(X, CLASSES).fit(X, CLASSES)

    with emulated_cuda():
        assert_same(train("cuda"), train("cpu"))


@needs_emulation
def test_begun_on_one_device_and_gone_on_with_on_the_other():
    on_cpu = MLPRegressor(**SMALL)
    for _ in range(3):
        on_cpu.partial_fit(X, Y)
    with emulated_cuda():
        model = MLPRegressor(**SMALL)
        for device in ("cuda", "cpu", "cuda"):
            model.set_params(device=device).partial_fit(X, Y)
    assert_same(model, on_cpu)


@needs_emulation
def test_memory_of_the_device_is_given_back():
    with emulated_cuda() as device:
        MLPRegressor(device="cuda", **SMALL).fit(X, Y)
        assert not device.allocated


@needs_emulation
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", [{}, {"dtype": "float32", "dropout": 0.2}, {"solver": "lbfgs"}])
def test_an_X_that_is_larger_than_the_memory_is_gathered_by_the_host(options, monkeypatch):
    X = rng.randn(300, 200)
    Y = X[:, 0] - X[:, 1]
    on_cpu = MLPRegressor(**SMALL, **options).fit(X, Y)
    monkeypatch.setattr(cuda_backend, "FLOPS_OF_A_LARGE_PREDICTION", 0)
    with emulated_cuda() as device:
        # X does not fit, but everything else does.
        device.free = RESERVE + X.nbytes - 1
        model = MLPRegressor(device="cuda", **SMALL, **options)
        assert_same(model.fit(X, Y), on_cpu)
        np.testing.assert_array_equal(model.predict(X), on_cpu.predict(X))


@needs_emulation
def test_too_little_memory_is_said_before_the_fit():
    with emulated_cuda() as device:
        device.free = 1 << 20
        model = MLPRegressor(device="cuda", **SMALL)
        with pytest.raises(MemoryError, match=r"needs 0.00 GB .* and 0.00 GB are free"):
            model.fit(X, Y)
        assert not device.allocated and not hasattr(model, "coefs_")


@needs_emulation
def test_in_a_pipeline_and_a_search():
    def search(device):
        model = MLPClassifier(device=device, **SMALL)
        grid = {"mlpclassifier__alpha": [1e-4, 1.0]}
        return GridSearchCV(make_pipeline(StandardScaler(), model), grid, cv=2).fit(X, CLASSES)

    with emulated_cuda():
        on_gpu = search("cuda")
    np.testing.assert_array_equal(
        on_gpu.cv_results_["mean_test_score"], search("cpu").cv_results_["mean_test_score"]
    )


def test_without_a_gpu_a_fit_says_why_and_changes_nothing(no_gpu):
    model = MLPRegressor(**SMALL).fit(X, Y).set_params(device="cuda")
    before = vars(model).copy()
    with pytest.raises(RuntimeError, match="there is no GPU"):
        model.fit(X, Y)
    assert vars(model) == before


def test_without_a_gpu_a_model_that_was_trained_on_one_predicts(no_gpu):
    model = MLPRegressor(**SMALL).fit(X, Y)
    expected = model.predict(X)
    np.testing.assert_array_equal(model.set_params(device="cuda").predict(X), expected)


@pytest.mark.filterwarnings("error")
def test_auto_is_the_cpu_without_a_word_where_there_is_no_gpu(no_gpu, capsys):
    assert_same(
        MLPRegressor(device="auto", tol=1e9, n_iter_no_change=1, **SMALL).fit(X, Y),
        MLPRegressor(tol=1e9, n_iter_no_change=1, **SMALL).fit(X, Y),
    )
    assert capsys.readouterr() == ("", "")


@needs_emulation
def test_auto_gives_what_gains_by_it_to_the_gpu(monkeypatch):
    with emulated_cuda() as device:
        model = MLPRegressor(device="auto", **SMALL).fit(X, Y)
        assert device.n_launches == 0
        monkeypatch.setattr(backends, "WORTH_SECONDS", -1e9)
        assert_same(MLPRegressor(device="auto", **SMALL).fit(X, Y), model)
        assert device.n_launches > 0


@needs_emulation
def test_versions_tell_of_the_gpu(capsys):
    with emulated_cuda():
        fastnn.show_versions()
    assert "GPU: an emulated GPU (compute capability 9.0)" in capsys.readouterr().out


def test_versions_tell_why_there_is_no_gpu(no_gpu, capsys):
    fastnn.show_versions()
    assert "GPU: there is no GPU" in capsys.readouterr().out
