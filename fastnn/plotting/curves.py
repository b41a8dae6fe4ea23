"""The display of loss curves, and what all displays share.

Displays after scikit-learn's: the constructor stores what is drawn, `from_estimator` takes it from
a fitted network, `plot` draws it. matplotlib is imported by what draws, not before.
"""

from collections.abc import Mapping
from itertools import cycle

import numpy as np
from sklearn.base import is_classifier, is_regressor
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted


def network_in(estimator):
    """The fitted network in an estimator, and the transformers before it (None without)."""
    check_is_fitted(estimator)
    before = None
    while True:
        # By what they have, not by type: importing their modules would make `import fastnn` slower.
        if hasattr(estimator, "steps"):
            before = estimator[:-1] if len(estimator.steps) > 1 else None
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif hasattr(estimator, "regressor_"):  # TransformedTargetRegressor
            estimator = estimator.regressor_
        elif hasattr(estimator, "cv_results_"):
            raise AttributeError(
                f"{type(estimator).__name__} has no best_estimator_: it was not told to refit. "
                "Set refit=True, or fit the estimator that you mean."
            )
        else:
            return estimator, before


def figure_axes(display, ax):
    """The axes to draw on, those of a new figure where there are none, and their figure."""
    check_matplotlib_support(f"{type(display).__name__}.plot")
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    return ax, ax.figure


def normalized(kwargs, artist):
    """Keyword arguments by their full names, so that `lw` is known to be `linewidth`."""
    from matplotlib.cbook import normalize_kwargs

    return normalize_kwargs(kwargs, artist)


def _score_name(network):
    """The name of a network's validation score."""
    scoring = getattr(network, "scoring", None)
    if scoring == "loss":
        return "score (negative loss)"
    if isinstance(scoring, str):
        return scoring.replace("_", " ")
    if scoring is None and is_classifier(network):
        return "accuracy"
    return "R²" if scoring is None and is_regressor(network) else "score"


def _has_numbers(curve):
    """Whether there is something to draw."""
    return curve is not None and np.isfinite(curve).any()


class LossCurveDisplay:
    """Loss and validation score of each epoch of training.

    Made by `from_estimator`, or by `from_estimators` for several networks in one picture.

    Parameters
    ----------
    loss_curve : array-like of shape (n_epochs,)
        The training loss after each epoch.

    validation_loss_curve : array-like of shape (n_validated,), default=None
        The loss on validation data. A shorter curve is that of the last epochs.

    validation_scores : array-like of shape (n_validated,), default=None
        The scores on validation data, likewise.

    best_epoch : int, default=None
        The epoch, counted from 1, whose weights the network has.

    score_name : str, default='score'
        What the score is.

    step_name : str, default='epoch'
        What is counted along the x axis.

    name : str, default=None
        Name of the network in the legend.

    Attributes
    ----------
    line_ : matplotlib Line2D or None
        The training loss.

    validation_line_ : matplotlib Line2D or None
        The validation loss.

    score_line_ : matplotlib Line2D or None
        The validation score.

    best_marks_ : list of matplotlib Line2D
        The marks of the best epoch.

    ax_ : matplotlib Axes
        Axes with the loss; with the score where kind='score'.

    score_ax_ : matplotlib Axes or None
        Axes with the score, where there are some.

    figure_ : matplotlib Figure
        The figure of the axes.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from fastnn import LossCurveDisplay, MLPClassifier
    >>> X, y = make_moons(200, noise=0.2, random_state=0)
    >>> clf = MLPClassifier(early_stopping=True, max_iter=20, random_state=0).fit(X, y)
    >>> display = LossCurveDisplay.from_estimator(clf, kind="both")
    >>> display.score_ax_.get_ylabel()
    'Validation accuracy'
    """

    def __init__(
        self,
        *,
        loss_curve,
        validation_loss_curve=None,
        validation_scores=None,
        best_epoch=None,
        score_name="score",
        step_name="epoch",
        name=None,
    ):
        self.loss_curve = loss_curve
        self.validation_loss_curve = validation_loss_curve
        self.validation_scores = validation_scores
        self.best_epoch = best_epoch
        self.score_name = score_name
        self.step_name = step_name
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, *, kind="loss", name=None, ax=None, score_ax=None, **kwargs):
        """Draw the curves of a fitted network, fastnn's or scikit-learn's.

        Parameters
        ----------
        estimator : estimator instance
            A fitted network, or a Pipeline whose last step is one, or a search over these.

        kind, name, ax, score_ax, **kwargs
            As for `plot`.

        Returns
        -------
        display : LossCurveDisplay
            The display, drawn.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        display = cls._of(estimator, name)
        return display.plot(ax=ax, kind=kind, score_ax=score_ax, **kwargs)

    @classmethod
    def from_estimators(cls, estimators, *, kind="loss", ax=None, score_ax=None, **kwargs):
        """Draw the curves of several fitted networks, each in one colour.

        Parameters
        ----------
        estimators : dict of str to estimator
            The fitted networks by the names that they have in the legend.

        kind, ax, score_ax, **kwargs
            As for `plot`.

        Returns
        -------
        displays : dict of str to LossCurveDisplay
            The displays, drawn.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimators")
        import matplotlib.pyplot as plt
        from matplotlib.lines import Line2D

        kwargs = normalized(kwargs, Line2D)
        if not isinstance(estimators, Mapping):
            raise TypeError(
                "estimators must be a dict of fitted estimators by name, got "
                f"{type(estimators).__name__}."
            )
        displays = {name: cls._of(estimator, name) for name, estimator in estimators.items()}
        if not displays:
            raise ValueError("There are no estimators to draw: estimators is empty.")
        for display in displays.values():
            display._check_kind(kind, score_ax)
        colors = cycle(plt.rcParams["axes.prop_cycle"].by_key().get("color", ["C0"]))
        for display, color in zip(displays.values(), colors, strict=False):
            display.plot(ax=ax, kind=kind, score_ax=score_ax, **{"color": color, **kwargs})
            ax, score_ax = display.ax_, display.score_ax_ if kind == "both" else None
        for axes, sources in display._legends():
            _shared_legend(axes, sources, displays.values())
        for drawn in {display.ax_, display.score_ax_} - {None}:
            drawn.set_xlabel(_steps(displays.values()).capitalize())
        if kind != "loss" and len({display.score_name for display in displays.values()}) > 1:
            display.score_ax_.set_ylabel("Validation score")
        return displays

    @classmethod
    def _of(cls, estimator, name):
        network, _ = network_in(estimator)
        what = type(network).__name__
        if getattr(network, "loss_curve_", None) is None:
            if hasattr(network, "coefs_") and getattr(network, "solver", None) == "lbfgs":
                raise AttributeError(
                    f"{what} has no loss_curve_: its solver='lbfgs' recorded no losses. Fit "
                    "fastnn's estimators, which record them, or another solver, such as 'adam'."
                )
            raise AttributeError(
                f"{what} has no loss_curve_. LossCurveDisplay draws MLPClassifier and "
                "MLPRegressor, fastnn's or scikit-learn's."
            )
        scores = getattr(network, "validation_scores_", None)
        best_epoch = getattr(network, "best_epoch_", None)
        if best_epoch is None and _has_numbers(scores):
            # scikit-learn's networks keep the weights of the best score, but not when it was.
            best_epoch = len(network.loss_curve_) - len(scores) + int(np.nanargmax(scores)) + 1
        # In a model that was taken from scikit-learn, values that it does not record are NaN.
        validation_loss = getattr(network, "validation_loss_curve_", None)
        return cls(
            loss_curve=network.loss_curve_,
            validation_loss_curve=validation_loss if _has_numbers(validation_loss) else None,
            validation_scores=scores,
            best_epoch=best_epoch,
            score_name=_score_name(network),
            step_name="iteration" if getattr(network, "solver", None) == "lbfgs" else "epoch",
            name=name,
        )

    def _check_kind(self, kind, score_ax):
        if kind not in ("loss", "score", "both"):
            raise ValueError(f"kind is 'loss', 'score' or 'both', not {kind!r}.")
        if score_ax is not None and kind != "both":
            raise ValueError(f"score_ax is for kind='both'; with kind={kind!r}, pass ax.")
        if kind != "loss" and self.validation_scores is None:
            whose = "The network" if self.name is None else f"{self.name!r}"
            raise ValueError(
                f"{whose} has no validation scores for kind={kind!r}. Fit it with "
                "early_stopping=True, or fastnn's with X_val and y_val, or pass kind='loss'."
            )

    def plot(self, ax=None, *, kind="loss", name=None, score_ax=None, **kwargs):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None: those of a new figure.

        kind : {'loss', 'score', 'both'}, default='loss'
            The training loss and, where there is one, the validation loss; or the validation
            score; or all of them, the score on a second y axis.

        name : str, default=None
            Name of the network in the legend. None: that of the constructor.

        score_ax : matplotlib Axes, default=None
            Axes for the score with kind='both', such as another panel. None: the
            right-hand side of ``ax``.

        **kwargs : dict
            Passed to matplotlib's `plot` for every line, such as ``color``.

        Returns
        -------
        display : LossCurveDisplay
            This display.
        """
        self._check_kind(kind, score_ax)
        self.ax_, self.figure_ = figure_axes(self, ax)
        from matplotlib.lines import Line2D

        self.name = self.name if name is None else name
        self.line_ = self.validation_line_ = self.score_line_ = self.score_ax_ = None
        self.best_marks_ = []
        kwargs = normalized(kwargs, Line2D)
        if kind != "score":
            self._plot_loss(kwargs)
        if kind != "loss":
            self._plot_score(kind, score_ax, kwargs)
        for axes, sources in self._legends():
            entries = [source.get_legend_handles_labels() for source in sources]
            handles, labels = (sum(parts, []) for parts in zip(*entries, strict=True))
            axes.legend(handles, labels, loc=_legend_place(sources))
        return self

    def _plot_loss(self, kwargs):
        self.line_ = self._draw(self.ax_, self.loss_curve, "training loss", "-", kwargs)
        if self.validation_loss_curve is not None:
            self.validation_line_ = self._draw(
                self.ax_, self.validation_loss_curve, "validation loss", "--", kwargs
            )
        self._mark_best(self.validation_line_, self.line_)
        self.ax_.set_ylabel("Loss")

    def _plot_score(self, kind, score_ax, kwargs):
        self.score_ax_ = self.ax_ if kind == "score" else score_ax or self.ax_.twinx()
        style = "-"
        if self._has_twin():
            # Its own colours would begin with that of the training loss.
            style, kwargs = "-.", {"color": "0.35"} | kwargs
        what = f"validation {self.score_name}"
        self.score_line_ = self._draw(self.score_ax_, self.validation_scores, what, style, kwargs)
        self._mark_best(self.score_line_)
        self.score_ax_.set_ylabel(what[0].upper() + what[1:])

    def _draw(self, axes, values, label, style, kwargs):
        """One curve, against the epochs; a shorter one ends where the training loss does."""
        from matplotlib.ticker import MaxNLocator

        default = {"label": self._label(label), "linestyle": style}
        if len(values) == 1:
            default["marker"] = "."  # A line of one point would not be seen.
        kwargs = default | kwargs
        end = max(len(self.loss_curve), len(values))
        (line,) = axes.plot(range(end - len(values) + 1, end + 1), values, **kwargs)
        axes.set_xlabel(self.step_name.capitalize())
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return line

    def _mark_best(self, *lines):
        """Mark the best epoch on the first of the lines that has a number there."""
        for line in filter(None, lines):
            x, y = map(np.asarray, line.get_data())
            places = np.flatnonzero((x == self.best_epoch) & np.isfinite(y))
            if len(places):
                self._mark(line, y[places[0]])
                return

    def _mark(self, line, y):
        label = self._label(f"best {self.step_name} ({self.best_epoch})")
        (mark,) = line.axes.plot(
            self.best_epoch,
            y,
            label=f"_{label}" if self.best_marks_ else label,  # Once in the legend.
            linestyle="none",
            marker="o",
            markersize=7,
            markerfacecolor="white",
            markeredgecolor=line.get_color(),
            markeredgewidth=1.8,
            zorder=line.get_zorder() + 1,
        )
        self.best_marks_.append(mark)

    def _label(self, what):
        return what if self.name is None else f"{self.name}: {what}"

    def _has_twin(self):
        """Whether the score has an axis on the other side of the loss's axes."""
        return (
            self.score_ax_ not in (None, self.ax_)
            and self.score_ax_.bbox.bounds == self.ax_.bbox.bounds
        )

    def _legends(self):
        """The axes that have a legend, each with those whose lines it names.

        A twin is drawn over the axes whose twin it is, so it has the legend of both.
        """
        if self._has_twin():
            return [(self.score_ax_, [self.ax_, self.score_ax_])]
        shown = [self.ax_] if self.score_ax_ in (None, self.ax_) else [self.ax_, self.score_ax_]
        return [(axes, [axes]) for axes in shown]


def _legend_place(sources):
    # Losses fall and scores rise: between them there is room, on the right.
    return "center right" if len(sources) > 1 else "best"


def _steps(displays):
    """The unit in which the x axis of several displays counts."""
    return " or ".join(sorted({display.step_name for display in displays}))


def _shared_legend(axes, sources, displays):
    """A legend that names each network by its colour, and each curve by its style."""
    from matplotlib.lines import Line2D

    names, styles, marks = [], {}, []
    for display in displays:
        lines = [display.line_, display.validation_line_, display.score_line_]
        lines = [line for line in lines if line is not None and line.axes in sources]
        names.append(Line2D([], [], color=lines[0].get_color(), linewidth=4, label=display.name))
        for line in lines:
            what = line.get_label().removeprefix(f"{display.name}: ")
            styles[what] = Line2D([], [], color="0.35", linestyle=line.get_linestyle(), label=what)
        marks += [mark for mark in display.best_marks_ if mark.axes in sources]
    if marks:
        best = Line2D([], [])
        best.update_from(marks[0])
        best.set(markeredgecolor="0.35", label=f"best {_steps(displays)}")
        styles["best"] = best
    axes.legend(handles=[*names, *styles.values()], loc=_legend_place(sources))
