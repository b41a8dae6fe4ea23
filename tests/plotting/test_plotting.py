"""The displays: what they draw, of which estimators, and what they say where they cannot."""

import subprocess
import sys

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common import TESTS, child_environment, make_problem, run_python
from fastnn import LossCurveDisplay, MLPClassifier, MLPRegressor, NetworkDisplay, WeightsDisplay
from figures import in_pipeline

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

DISPLAYS = (LossCurveDisplay, NetworkDisplay, WeightsDisplay)
THEIRS = sklearn.neural_network.MLPClassifier


# ---- all of them -----------------------------------------------------------------


def test_import_brings_no_matplotlib():
    code = "import json, sys, fastnn; print(json.dumps('matplotlib' in sys.modules))"
    assert run_python(code) is False


@pytest.mark.parametrize("Display", DISPLAYS)
def test_without_matplotlib(Display, on_images, monkeypatch):
    display = Display.from_estimator(on_images)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=rf"{Display.__name__}\.plot requires matplotlib"):
        display.plot()
    with pytest.raises(ImportError, match=rf"{Display.__name__}\.from_estimator requires matplo"):
        Display.from_estimator(on_images)


@pytest.mark.parametrize("Display", DISPLAYS)
def test_not_fitted(Display):
    for estimator in (MLPClassifier(), make_pipeline(StandardScaler(), MLPClassifier())):
        with pytest.raises(NotFittedError, match="is not fitted"):
            Display.from_estimator(estimator)
    assert plt.get_fignums() == []


@pytest.mark.parametrize("Display", DISPLAYS)
def test_axes_are_those_given_or_new(Display, on_images):
    figure, axes = plt.subplots()
    display = Display.from_estimator(on_images, ax=axes)
    assert display.ax_ is axes and display.figure_ is figure
    assert display.plot() is display
    assert display.ax_ is not axes and display.figure_ is not figure
    display.figure_.canvas.draw()


def in_search(network, X, y):
    pipeline = make_pipeline(StandardScaler(), network)
    return GridSearchCV(pipeline, {f"{pipeline.steps[-1][0]}__alpha": [0.1]}, cv=2).fit(X, y)


def in_transformed_target(network, X, y):
    return TransformedTargetRegressor(make_pipeline(StandardScaler(), network)).fit(X, y)


@pytest.mark.parametrize(
    "nest, problem, Network",
    [
        (in_pipeline, "multiclass", MLPClassifier),
        (in_pipeline, "multiclass", THEIRS),
        (in_search, "multiclass", MLPClassifier),
        (in_search, "regression", sklearn.neural_network.MLPRegressor),
        (in_transformed_target, "regression", MLPRegressor),
    ],
)
def test_inside_other_estimators(nest, problem, Network):
    X, y = make_problem(problem)
    estimator = nest(Network(hidden_layer_sizes=6, max_iter=7, random_state=0), X, y)
    assert len(LossCurveDisplay.from_estimator(estimator).line_.get_xdata()) == 7
    display = NetworkDisplay.from_estimator(estimator)
    sizes = [len(units.get_paths()) for units in display.units_]
    assert sizes == [7, 6, len(display.intercepts[-1])]
    assert WeightsDisplay.from_estimator(estimator, image_shape=(1, 7)).weights.shape == (6, 7)


def test_a_search_without_refit():
    X, y = make_problem("multiclass")
    search = GridSearchCV(MLPClassifier(max_iter=2), {"alpha": [0.1]}, cv=2, refit=False).fit(X, y)
    with pytest.raises(AttributeError, match="no best_estimator_.*Set refit=True"):
        LossCurveDisplay.from_estimator(search)


# ---- examples --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["augmentation", pytest.param("saliency", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_examples_make_their_folder(name, tmp_path):
    """On noise in place of MNIST."""
    X, y = np.random.default_rng(0).random((100, 784)), np.arange(100) // 10
    np.savez(tmp_path / "mnist.npz", X_train=X, y_train=y, X_test=X, y_test=y)
    example, folder = TESTS.parent / f"examples/{name}.py", tmp_path / "new/folder"
    environment = child_environment(FASTNN_MNIST=str(tmp_path / "mnist.npz"))
    subprocess.run([sys.executable, example, folder], env=environment, check=True, timeout=300)
    assert (folder / f"{name}.png").stat().st_size > 10_000
