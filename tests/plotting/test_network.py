"""The picture of a network: its weights, biases and names."""

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from common import estimator_for, make_problem
from fastnn import (
    LossCurveDisplay,
    MLPClassifier,
    MLPRegressor,
    NetworkDisplay,
    Perceptron,
    WeightsDisplay,
)
from figures import in_pipeline, texts

matplotlib = pytest.importorskip("matplotlib")


# ---- the network -----------------------------------------------------------------


def test_weights_are_lines_and_biases_circles(validated):
    display = NetworkDisplay.from_estimator(validated)
    for lines, coefs in zip(display.lines_, validated.coefs_, strict=True):
        assert sorted(lines.get_array()) == sorted(coefs.ravel())
        widths = lines.get_linewidths()
        assert widths[-1] == max(widths)  # The largest, drawn last.
        assert np.abs(lines.get_array())[-1] == np.abs(coefs).max()
    limits = {lines.get_clim() for lines in display.lines_}
    ((low, high),) = limits
    assert -low == high == max(np.abs(v).max() for v in validated.coefs_ + validated.intercepts_)
    expected = matplotlib.colormaps["RdBu_r"]((validated.intercepts_[0] - low) / (high - low))
    np.testing.assert_allclose(display.units_[1].get_facecolors(), expected, atol=0.01)


def test_ends_of_lines():
    """Each line leads from the unit of its row to that of its column."""
    coefs = [np.array([[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0]])]
    display = NetworkDisplay(coefs=coefs, intercepts=[np.zeros(3)]).plot(colorbar=False)
    assert display.colorbar_ is None
    centres = [[path.vertices.mean(axis=0)[1] for path in u.get_paths()] for u in display.units_]
    lines = display.lines_[0]
    for segment, weight in zip(lines.get_segments(), lines.get_array(), strict=True):
        ((i,), (j,)) = np.nonzero(coefs[0] == weight)
        # The first unit is at the top.
        expected = [sorted(centres[0])[-1 - i], sorted(centres[1])[-1 - j]]
        np.testing.assert_allclose(segment[:, 1], expected, atol=0.05)


def test_names_of_a_frame_through_a_pipeline():
    pytest.importorskip("pandas")
    iris = load_iris(as_frame=True)
    species = iris.target_names[iris.target]
    pipeline = in_pipeline(MLPClassifier((5, 4), max_iter=3), iris.data, species)
    display = NetworkDisplay.from_estimator(pipeline)
    assert display.feature_names == list(iris.data.columns)
    assert display.output_names == list(iris.target_names)
    titles = ["input", "hidden 1", "hidden 2", "output"]
    assert texts(display.ax_) == [*titles, *iris.data.columns, *iris.target_names]


def test_estimators_by_name():
    with pytest.raises(TypeError, match="must be a dict of fitted estimators by name, got list"):
        LossCurveDisplay.from_estimators([])


@pytest.mark.parametrize(
    "before",
    [
        "passthrough",
        FunctionTransformer(),
        FunctionTransformer(feature_names_out=lambda *_: ["a"]),
        make_column_transformer(*2 * [("passthrough", [0, 1])], verbose_feature_names_out=False),
    ],
)
def test_transformers_that_know_no_names(before):
    X, y = make_problem("binary", n_features=4)
    pipeline = make_pipeline(before, MLPClassifier(3, max_iter=2)).fit(X, y)
    assert NetworkDisplay.from_estimator(pipeline).feature_names == ["x0", "x1", "x2", "x3"]


@pytest.mark.parametrize(
    "problem, expected",
    [
        ("binary", ["1"]),
        ("multiclass", ["0", "1", "2", "3"]),
        ("regression", ["y"]),
        ("multioutput", ["y0", "y1", "y2"]),
    ],
)
def test_names_of_outputs(problem, expected):
    estimator = estimator_for(problem, hidden_layer_sizes=3, max_iter=2)
    display = NetworkDisplay.from_estimator(estimator.fit(*make_problem(problem)))
    assert display.output_names == expected
    assert display.feature_names == [f"x{i}" for i in range(7)]


def test_names_given(on_images):
    display = NetworkDisplay.from_estimator(on_images, output_names=["cat"])
    assert "cat" in texts(display.ax_)
    with pytest.raises(ValueError, match="feature_names has 2 names, but the network has 16"):
        NetworkDisplay.from_estimator(on_images, feature_names=["a", "b"])


def test_large_layers_are_elided(on_images):
    display = NetworkDisplay.from_estimator(on_images, max_units=5)
    assert [len(units.get_paths()) for units in display.units_] == [5, 5, 1]
    written = texts(display.ax_)
    assert {"input\n16 units", "hidden 1\n11 units", "output"} <= set(written)
    assert written.count("⋮") == 2
    assert [t for t in written if t.startswith("x")] == ["x0", "x1", "x2", "x14", "x15"]
    drawn = on_images.coefs_[0][np.ix_([0, 1, 2, 14, 15], [0, 1, 2, 9, 10])]
    assert sorted(display.lines_[0].get_array()) == sorted(drawn.ravel())
    assert len(NetworkDisplay.from_estimator(on_images, max_units=16).units_[0].get_paths()) == 16
    for wrong in (1, 2.5):
        with pytest.raises(ValueError, match=f"max_units is an integer of at least 2, not {wrong}"):
            NetworkDisplay.from_estimator(on_images, max_units=wrong)


def test_batch_normalization_is_folded_in():
    """The weights that are drawn predict by themselves, and so do those that were put in place."""
    X, y = make_problem("regression")
    regr = MLPRegressor(hidden_layer_sizes=6, batch_norm=True, max_iter=5, random_state=0).fit(X, y)
    for _ in range(2):
        display = NetworkDisplay.from_estimator(regr)
        (first, second), (bias, last) = display.coefs, display.intercepts
        predicted = np.maximum(X @ first + bias, 0) @ second + last
        np.testing.assert_allclose(predicted.ravel(), regr.predict(X), rtol=1e-6, atol=1e-9)
        weights = WeightsDisplay.from_estimator(regr, image_shape=(1, 7)).weights
        np.testing.assert_array_equal(weights, first.T)
        assert np.abs(first - regr.coefs_[0]).max() > 0.01
        regr.coefs_ = [2 * coef for coef in regr.coefs_]


@pytest.mark.parametrize("Linear", [Perceptron, LogisticRegression])
def test_linear_models(Linear):
    X, y = make_problem("multiclass")
    model = Linear(max_iter=50).fit(X, y)
    display = NetworkDisplay.from_estimator(model)
    np.testing.assert_array_equal(display.coefs[0], model.coef_.T)
    assert display.output_names == ["0", "1", "2", "3"]
    assert WeightsDisplay.from_estimator(model, image_shape=(7, 1)).weights.shape == (4, 7)


def test_neither_network_nor_linear():
    scaler = StandardScaler().fit([[0.0], [1.0]])
    for Display in (NetworkDisplay, WeightsDisplay):
        with pytest.raises(AttributeError, match="StandardScaler has neither coefs_ nor coef_"):
            Display.from_estimator(scaler)
