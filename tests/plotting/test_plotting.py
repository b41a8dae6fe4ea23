"""The displays: what they draw, of which estimators, and what they say where they cannot."""

import subprocess
import sys

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from common import TESTS, child_environment, estimator_for, make_problem, run_python
from fastnn import (
    LossCurveDisplay,
    MLPClassifier,
    MLPRegressor,
    NetworkDisplay,
    Perceptron,
    WeightsDisplay,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

DISPLAYS = (LossCurveDisplay, NetworkDisplay, WeightsDisplay)
THEIRS = sklearn.neural_network.MLPClassifier


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def validated():
    """A classifier (7-9-4 units) with a validation set of its own."""
    X, y = make_problem("multiclass", n_samples=120)
    clf = MLPClassifier(9, max_iter=12, learning_rate_init=0.01, random_state=0)
    return clf.fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:])


@pytest.fixture(scope="module")
def on_images():
    """A classifier of images of 4 x 4 pixels, with 11 hidden units."""
    X, y = make_problem("binary", n_features=16)
    return MLPClassifier(11, max_iter=5, random_state=0).fit(X, y)


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def texts(axes):
    return [text.get_text() for text in axes.texts]


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


def in_pipeline(network, X, y):
    return make_pipeline(StandardScaler(), network).fit(X, y)


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


# ---- loss curves -----------------------------------------------------------------


def test_training_loss_alone():
    X, y = make_problem("regression")
    regr = MLPRegressor(hidden_layer_sizes=5, max_iter=6, random_state=0).fit(X, y)
    display = LossCurveDisplay.from_estimator(regr)
    assert list(display.line_.get_xdata()) == [1, 2, 3, 4, 5, 6]
    assert list(display.line_.get_ydata()) == regr.loss_curve_
    assert display.validation_line_ is display.score_line_ is display.score_ax_ is None
    assert display.best_marks_ == []
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("Epoch", "Loss")
    assert labels(display.ax_) == ["training loss"]
    # A single epoch is seen, too.
    assert LossCurveDisplay(loss_curve=[1.0]).plot().line_.get_marker() == "."


def test_validation_loss_and_best_epoch(validated):
    display = LossCurveDisplay.from_estimator(validated, name="net", color="C3", lw=3)
    assert list(display.validation_line_.get_ydata()) == validated.validation_loss_curve_
    assert display.validation_line_.get_color() == display.line_.get_color() == "C3"
    assert display.line_.get_linewidth() == 3
    (mark,), best = display.best_marks_, validated.best_epoch_
    loss = validated.validation_loss_curve_[best - 1]
    assert [list(xy) for xy in mark.get_data()] == [[best], [loss]]
    assert labels(display.ax_) == [
        "net: training loss", "net: validation loss", f"net: best epoch ({best})",
    ]  # fmt: skip


def test_score_on_a_second_axis(validated):
    display = LossCurveDisplay.from_estimator(validated, kind="both")
    assert display.score_ax_ is not display.ax_
    assert display.score_ax_.yaxis.get_label_position() == "right"
    np.testing.assert_array_equal(display.score_line_.get_ydata(), validated.validation_scores_)
    assert display.score_ax_.get_ylabel() == "Validation accuracy"
    assert len(display.best_marks_) == 2
    # One legend names all, on the axes that lie on top.
    assert display.ax_.get_legend() is None
    assert [label.split(" (")[0] for label in labels(display.score_ax_)] == [
        "training loss", "validation loss", "best epoch", "validation accuracy",
    ]  # fmt: skip


def test_score_in_a_panel_of_its_own(validated):
    _, (left, right) = plt.subplots(1, 2)
    LossCurveDisplay.from_estimator(validated, kind="both", ax=left, score_ax=right)
    assert len(labels(left)) == 3
    assert labels(right) == ["validation accuracy"]


@pytest.mark.parametrize(
    "scoring, expected",
    [(None, "R²"), ("neg_median_absolute_error", "neg median absolute error"),
     ("loss", "score (negative loss)")],
)  # fmt: skip
def test_name_of_the_score(scoring, expected):
    X, y = make_problem("regression")
    regr = MLPRegressor(hidden_layer_sizes=5, max_iter=6, early_stopping=True, scoring=scoring)
    display = LossCurveDisplay.from_estimator(regr.fit(X, y), kind="score")
    assert display.ax_ is display.score_ax_ and display.line_ is None
    assert display.ax_.get_ylabel() == f"Validation {expected}"


def test_best_epoch_of_scikit_learn():
    X, y = make_problem("multiclass", n_samples=200)
    clf = THEIRS(9, max_iter=15, early_stopping=True, random_state=0).fit(X, y)
    display = LossCurveDisplay.from_estimator(clf, kind="both")
    assert clf.validation_scores_[display.best_epoch - 1] == clf.best_validation_score_
    assert display.validation_line_ is None and len(display.best_marks_) == 2
    # Nor has a model that was taken from it a validation loss.
    axes = LossCurveDisplay.from_estimator(MLPClassifier.from_sklearn(clf)).ax_
    assert labels(axes) == ["training loss", f"best epoch ({display.best_epoch})"]


def test_best_epoch_without_a_validation_loss():
    """It is marked on the training loss where training went on from scikit-learn's."""
    curves = {"loss_curve": [3, 2, 1], "validation_loss_curve": [np.nan, 4, 5]}
    display = LossCurveDisplay(**curves, best_epoch=1).plot()
    assert [list(xy) for xy in display.best_marks_[0].get_data()] == [[1], [3]]


def test_lbfgs():
    X, y = make_problem("multiclass")
    with pytest.raises(AttributeError, match="MLPClassifier has no loss_curve_.*'lbfgs'.*'adam'"):
        LossCurveDisplay.from_estimator(THEIRS(5, solver="lbfgs", max_iter=4).fit(X, y))
    display = LossCurveDisplay.from_estimator(MLPClassifier(5, solver="lbfgs").fit(X, y))
    assert display.ax_.get_xlabel() == "Iteration"


def test_shorter_validation_curves_are_of_the_last_epochs():
    """As after fits with warm_start of which only the last had validation data."""
    curves = {"loss_curve": [5, 4, 3, 2, 1], "validation_loss_curve": [3, 2]}
    display = LossCurveDisplay(**curves, best_epoch=5).plot()
    np.testing.assert_array_equal(display.validation_line_.get_xdata(), [4, 5])
    assert [list(xy) for xy in display.best_marks_[0].get_data()] == [[5], [2]]


def test_several_estimators(validated):
    X, y = make_problem("multiclass")
    other = MLPClassifier(3, max_iter=8, early_stopping=True, random_state=0).fit(X, y)
    displays = LossCurveDisplay.from_estimators({"a": validated, "b": other}, kind="both")
    a, b = displays["a"], displays["b"]
    assert a.ax_ is b.ax_ and a.score_ax_ is b.score_ax_ and len(a.figure_.axes) == 2
    colors = [{d.line_.get_color(), d.score_line_.get_color()} for d in (a, b)]
    assert len(colors[0]) == len(colors[1]) == 1 and colors[0] != colors[1]
    assert labels(a.score_ax_) == [
        "a", "b", "training loss", "validation loss", "validation accuracy", "best epoch",
    ]  # fmt: skip


def test_several_of_different_kinds(validated):
    X, y = make_problem("regression")
    regr = MLPRegressor(hidden_layer_sizes=3, max_iter=5, early_stopping=True).fit(X, y)
    displays = LossCurveDisplay.from_estimators({"a": validated, "b": regr}, kind="score", c="k")
    axes = displays["b"].ax_
    assert axes.get_ylabel() == "Validation score"
    assert displays["a"].score_line_.get_color() == "k"
    lbfgs = regr.set_params(solver="lbfgs", early_stopping=False).fit(X, y)
    display = LossCurveDisplay.from_estimators({"a": validated, "b": lbfgs})["b"]
    assert display.ax_.get_xlabel() == "Epoch or iteration"


def test_overlay_on_the_axes_of_another_display(validated):
    first = LossCurveDisplay.from_estimator(validated, name="a")
    second = LossCurveDisplay.from_estimator(validated, name="b", ax=first.ax_)
    assert second.ax_ is first.ax_ and len(labels(first.ax_)) == 6
    assert len({line.get_color() for line in (first.line_, second.line_)}) == 2


def test_no_scores(validated):
    X, y = make_problem("multiclass")
    plain = MLPClassifier(3, max_iter=3).fit(X, y)
    with pytest.raises(ValueError, match="no validation scores.*early_stopping=True.*X_val"):
        LossCurveDisplay.from_estimator(plain, kind="both")
    with pytest.raises(ValueError, match="'plain' has no validation scores"):
        LossCurveDisplay.from_estimators({"good": validated, "plain": plain}, kind="score")
    assert plt.get_fignums() == []


def test_bad_use_of_loss_curves(validated):
    with pytest.raises(ValueError, match="kind is 'loss', 'score' or 'both', not 'losses'"):
        LossCurveDisplay.from_estimator(validated, kind="losses")
    with pytest.raises(ValueError, match="score_ax is for kind='both'"):
        LossCurveDisplay.from_estimator(validated, score_ax=plt.figure().gca())
    with pytest.raises(ValueError, match="estimators is empty"):
        LossCurveDisplay.from_estimators({})
    for Linear in (LinearRegression, LogisticRegression):  # The latter's solver is 'lbfgs'.
        with pytest.raises(AttributeError, match=f"{Linear.__name__} has no loss_curve_. LossCur"):
            LossCurveDisplay.from_estimator(Linear().fit([[0.0], [1.0]], [0, 1]))


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
    ["passthrough", FunctionTransformer(), FunctionTransformer(feature_names_out=lambda *_: ["a"]),
     make_column_transformer(*2 * [("passthrough", [0, 1])], verbose_feature_names_out=False)],
)  # fmt: skip
def test_transformers_that_know_no_names(before):
    X, y = make_problem("binary", n_features=4)
    pipeline = make_pipeline(before, MLPClassifier(3, max_iter=2)).fit(X, y)
    assert NetworkDisplay.from_estimator(pipeline).feature_names == ["x0", "x1", "x2", "x3"]


@pytest.mark.parametrize(
    "problem, expected",
    [("binary", ["1"]), ("multiclass", ["0", "1", "2", "3"]), ("regression", ["y"]),
     ("multioutput", ["y0", "y1", "y2"])],
)  # fmt: skip
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


# ---- first-layer weights ---------------------------------------------------------


def test_images_of_weights(on_images):
    display = WeightsDisplay.from_estimator(on_images, n_columns=4)
    mosaic = np.ma.filled(display.image_.get_array(), np.nan)
    assert mosaic.shape == (3 * 4 + 2, 4 * 4 + 3)
    for unit in range(11):
        row, column = 5 * (unit // 4), 5 * (unit % 4)
        image = mosaic[row : row + 4, column : column + 4]
        np.testing.assert_array_equal(image, on_images.coefs_[0][:, unit].reshape(4, 4))
    assert np.isnan(mosaic).sum() == mosaic.size - 11 * 16
    limit = np.abs(on_images.coefs_[0]).max()
    assert display.image_.get_clim() == (-limit, limit)
    assert WeightsDisplay.from_estimator(on_images, vmax=2.0).image_.get_clim() == (-limit, 2.0)


def test_which_units(on_images):
    norms = np.linalg.norm(on_images.coefs_[0], axis=0)
    assert list(WeightsDisplay.from_estimator(on_images, units=3).units) == [0, 1, 2]
    display = WeightsDisplay.from_estimator(on_images, units=3, largest=True, number=True)
    assert list(display.units) == list(np.argsort(-norms)[:3])
    assert texts(display.ax_) == [str(unit) for unit in display.units]
    display = WeightsDisplay.from_estimator(on_images, units=[7, -1])
    assert display.units.tolist() == [7, 10]
    np.testing.assert_array_equal(display.weights, on_images.coefs_[0].T[[7, 10]])


def test_colour_images():
    X, y = make_problem("binary", n_features=18)
    clf = MLPClassifier(2, max_iter=3, random_state=0).fit(X, y)
    display = WeightsDisplay.from_estimator(clf, image_shape=(2, 3, 3), n_columns=1)
    image = np.ma.filled(display.image_.get_array(), np.nan)[:2]
    limit = np.abs(clf.coefs_[0]).max()
    weights = clf.coefs_[0][:, 0].reshape(2, 3, 3)
    np.testing.assert_allclose(image, 0.5 + weights / (2 * limit))
    assert display.colorbar_ is None
    display.figure_.canvas.draw()


def test_shape_of_grey_images(on_images, validated):
    with pytest.raises(ValueError, match="7 features cannot be guessed.*Pass image_shape="):
        WeightsDisplay.from_estimator(validated)
    display = WeightsDisplay.from_estimator(on_images, image_shape=(4, 4, 1))
    assert display.image_shape == (4, 4) and display.colorbar_ is not None


def test_norm_has_limits_of_its_own(on_images):
    norm = matplotlib.colors.TwoSlopeNorm(0, -3, 1)
    display = WeightsDisplay.from_estimator(on_images, norm=norm)
    assert display.image_.norm is norm and display.image_.get_clim() == (-3, 1)
    limit = np.abs(on_images.coefs_[0]).max()
    assert display.plot(norm=None).image_.get_clim() == (-limit, limit)


NO_SHAPE = "image_shape must be .* integers of at least 1; got"


@pytest.mark.parametrize(
    "name, wrong, message",
    [
        *(("image_shape", shape, "does not fit 16 features") for shape in ((4, 5), (2, 2, 4))),
        *(("image_shape", shape, NO_SHAPE) for shape in ((16,), (-4, -4), (4, 4.0), 16)),
        ("units", [0, 11], "numbers that the 11 units do not have"),
        *(("units", units, "a number of units or a list of") for units in ([0.5], [[0, 1]], [])),
        *(("units", n, f"units is an integer of at least 1, not {n}") for n in (0, 2.5, None)),
        *(("n_columns", n, f"n_columns is an integer of at least 1, not {n}") for n in (0, 1.5)),
    ],
)
def test_bad_use_of_weights(on_images, name, wrong, message):
    with pytest.raises(ValueError, match=message):
        WeightsDisplay.from_estimator(on_images, **{name: wrong})
    assert plt.get_fignums() == []


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
