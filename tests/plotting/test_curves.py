"""Loss curves: what is drawn, of which estimators, and what is said where it cannot be."""

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.linear_model import LinearRegression, LogisticRegression

from common import make_problem
from fastnn import LossCurveDisplay, MLPClassifier, MLPRegressor
from figures import labels

plt = pytest.importorskip("matplotlib.pyplot")
THEIRS = sklearn.neural_network.MLPClassifier


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
        "net: training loss",
        "net: validation loss",
        f"net: best epoch ({best})",
    ]


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
        "training loss",
        "validation loss",
        "best epoch",
        "validation accuracy",
    ]


def test_score_in_a_panel_of_its_own(validated):
    _, (left, right) = plt.subplots(1, 2)
    LossCurveDisplay.from_estimator(validated, kind="both", ax=left, score_ax=right)
    assert len(labels(left)) == 3
    assert labels(right) == ["validation accuracy"]


@pytest.mark.parametrize(
    "scoring, expected",
    [
        (None, "R²"),
        ("neg_median_absolute_error", "neg median absolute error"),
        ("loss", "score (negative loss)"),
    ],
)
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
        "a",
        "b",
        "training loss",
        "validation loss",
        "validation accuracy",
        "best epoch",
    ]


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
