"""A display of the whole of a small network."""

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from numbers import Integral

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from fastnn.plotting.curves import figure_axes, network_in, normalized

# Red is positive and blue negative, which is safe for the colour-blind.
DIVERGING = "RdBu_r"
# RADIUS is that of a unit's circle, where 1 is the distance of units in the largest column.
RADIUS = 0.32


def check_count(name, value, at_least=1):
    """Check that a parameter is an integer of at least so much."""
    if not isinstance(value, Integral) or value < at_least:
        raise ValueError(f"{name} is an integer of at least {at_least}, not {value!r}.")


def weights_of_layers(network):
    """Weights (n_in, n_out) and biases of each layer, with batch normalisation folded in."""
    if hasattr(network, "_fitted_network"):
        network, params = network._fitted_network()
        network, params = network.folded(params)
        return network.coefs(params), network.intercepts(params)
    if hasattr(network, "coefs_"):
        return network.coefs_, network.intercepts_
    if hasattr(network, "coef_") and hasattr(network, "intercept_"):
        # A perceptron or another linear model: one layer.
        weights = np.atleast_2d(network.coef_).T
        return [weights], [np.broadcast_to(network.intercept_, weights.shape[1])]
    raise AttributeError(
        f"{type(network).__name__} has neither coefs_ nor coef_ to draw. Pass a fitted "
        "MLPClassifier, MLPRegressor or Perceptron, or a Pipeline that ends with one."
    )


def _feature_names(network, before, n_features):
    names = getattr(network, "feature_names_in_", None)
    if names is None:
        try:
            names = before.get_feature_names_out()
        except (AttributeError, ValueError):
            pass  # There is nothing before it, or something that gives or knows no names.
    # "passthrough" makes None of no names; and other weights may have been put in place.
    if names is None or len(names) != n_features:
        return [f"x{i}" for i in range(n_features)]
    return list(names)


def _output_names(network, n_outputs):
    classes = getattr(network, "classes_", None)
    if classes is None:
        return ["y"] if n_outputs == 1 else [f"y{i}" for i in range(n_outputs)]
    return [str(name) for name in (classes if len(classes) == n_outputs else classes[-1:])]


@dataclass
class _Column:
    """The units of a layer that are drawn, and where."""

    x: float
    y: np.ndarray
    units: np.ndarray
    n_units: int


def _columns(sizes, max_units):
    """A column for each layer, the first at x = 0, centred about y = 0 and read downwards."""
    rows = [min(n, max_units + 1) for n in sizes]  # One row for the dots.
    dx = max(2.5, 1.4 * max(rows) / (len(sizes) - 1))
    columns = []
    for i, (n, n_rows) in enumerate(zip(sizes, rows, strict=True)):
        # Smaller layers are spread, but not over the whole height.
        spacing = sqrt(max(rows) / n_rows)
        y = spacing * ((n_rows - 1) / 2 - np.arange(n_rows))
        units = np.arange(n)
        if n > max_units:
            first = (max_units + 1) // 2
            y = np.delete(y, first)
            units = np.r_[units[:first], units[n - (max_units - first) :]]
        columns.append(_Column(i * dx, y, units, n))
    return columns


class NetworkDisplay:
    """A small network: its units, weights and biases.

    Units are circles in columns, one column a layer. The colour of a line is the weight that it
    stands for, its width the weight's size; the colour of a circle is the unit's bias. Batch
    normalisation is folded into both. Made by `from_estimator`.

    Parameters
    ----------
    coefs : list of ndarray of shape (n_in, n_out)
        The weights that lead to each layer but the first.

    intercepts : list of ndarray of shape (n_out,)
        The biases of these layers.

    feature_names : list of str, default=None
        Names of the inputs. None: no names.

    output_names : list of str, default=None
        Names of the outputs. None: no names.

    Attributes
    ----------
    lines_ : list of matplotlib LineCollection
        The weights that lead to each layer but the first.

    units_ : list of matplotlib PatchCollection
        The units of each layer.

    colorbar_ : matplotlib Colorbar or None
        The scale of weights and biases.

    ax_ : matplotlib Axes
        Axes with the network.

    figure_ : matplotlib Figure
        The figure of the axes.

    Examples
    --------
    >>> from fastnn import MLPClassifier, NetworkDisplay
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> clf = MLPClassifier(4, solver="lbfgs", random_state=0).fit(X, y)
    >>> display = NetworkDisplay.from_estimator(clf)
    >>> display.feature_names, display.output_names
    (['x0', 'x1'], ['1'])
    """

    def __init__(self, *, coefs, intercepts, feature_names=None, output_names=None):
        self.coefs = coefs
        self.intercepts = intercepts
        self.feature_names = feature_names
        self.output_names = output_names

    @classmethod
    def from_estimator(
        cls, estimator, *, feature_names=None, output_names=None, max_units=16, ax=None, **kwargs
    ):
        """Draw a fitted network, fastnn's or scikit-learn's.

        Parameters
        ----------
        estimator : estimator instance
            A fitted network, or a Pipeline whose last step is one, or a search over these.

        feature_names : list of str, default=None
            Names of the network's inputs. None: those that it was fitted with, or that come out of
            the Pipeline before it, or x0, x1, ...

        output_names : list of str, default=None
            Names of its outputs. None: the classes, the second of two; of a regressor y, or
            y0, y1, ...

        max_units, ax, **kwargs
            As for `plot`.

        Returns
        -------
        display : NetworkDisplay
            The display, drawn.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        network, before = network_in(estimator)
        coefs, intercepts = weights_of_layers(network)
        display = cls(
            coefs=coefs,
            intercepts=intercepts,
            feature_names=(
                _feature_names(network, before, len(coefs[0]))
                if feature_names is None
                else feature_names
            ),
            output_names=(
                _output_names(network, len(intercepts[-1]))
                if output_names is None
                else output_names
            ),
        )
        return display.plot(ax=ax, max_units=max_units, **kwargs)

    def plot(self, ax=None, *, max_units=16, cmap=DIVERGING, colorbar=True, **kwargs):
        """Draw the network.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None: those of a new figure.

        max_units : int, default=16
            The most units of a layer that are drawn, at least 2. Of a larger layer the first and
            the last ones are, with dots between them.

        cmap : str or matplotlib Colormap, default='RdBu_r'
            Colours of weights and biases, from the most negative to the most positive.

        colorbar : bool, default=True
            Whether to draw their scale.

        **kwargs : dict
            Passed to matplotlib's `LineCollection`, such as ``alpha``.

        Returns
        -------
        display : NetworkDisplay
            This display.
        """
        self._check(max_units)
        self.ax_, self.figure_ = figure_axes(self, ax)
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        columns = _columns([len(self.coefs[0]), *map(len, self.intercepts)], max_units)
        limit = max(np.abs(values).max() for values in (*self.coefs, *self.intercepts)) or 1.0
        colors = ScalarMappable(Normalize(-limit, limit), cmap)
        self.lines_ = [
            self._draw_weights(weights, left, right, colors, kwargs)
            for weights, (left, right) in zip(self.coefs, pairwise(columns), strict=True)
        ]
        self.units_ = [
            self._draw_units(column, biases, colors)
            for column, biases in zip(columns, [None, *self.intercepts], strict=True)
        ]
        self._write(columns)
        self.colorbar_ = None
        if colorbar:
            self.colorbar_ = self.figure_.colorbar(colors, ax=self.ax_, shrink=0.7, pad=0.02)
            self.colorbar_.set_label("weight (line), bias (circle)")
        return self

    def _check(self, max_units):
        check_count("max_units", max_units, at_least=2)
        for what, names, n in (
            ("feature_names", self.feature_names, len(self.coefs[0])),
            ("output_names", self.output_names, len(self.intercepts[-1])),
        ):
            if names is not None and len(names) != n:
                raise ValueError(f"{what} has {len(names)} names, but the network has {n} units.")

    def _draw_weights(self, weights, left, right, colors, kwargs):
        from matplotlib.collections import LineCollection

        weights = weights[np.ix_(left.units, right.units)].ravel()
        ends = np.array([[(left.x, y0), (right.x, y1)] for y0 in left.y for y1 in right.y])
        order = np.argsort(np.abs(weights))  # The largest lie on top.
        sizes = np.abs(weights[order]) / colors.norm.vmax
        default = {"linewidths": 0.3 + 3.2 * sizes, "zorder": 1}
        default |= {"cmap": colors.cmap, "norm": colors.norm, "array": weights[order]}
        lines = LineCollection(ends[order], **default | normalized(kwargs, LineCollection))
        return self.ax_.add_collection(lines)

    def _draw_units(self, column, biases, colors):
        from matplotlib.collections import PatchCollection
        from matplotlib.patches import Circle

        circles = [Circle((column.x, y), RADIUS) for y in column.y]
        faces = "0.9" if biases is None else colors.to_rgba(biases[column.units])
        units = PatchCollection(
            circles, facecolors=faces, edgecolors="0.25", linewidths=1, zorder=2
        )
        return self.ax_.add_collection(units)

    def _write(self, columns):
        """Names, titles and what is left out; the limits of the axes."""
        top = max(column.y[0] for column in columns)
        self.ax_.set(
            xlim=(-RADIUS - 0.1, columns[-1].x + RADIUS + 0.1), ylim=(-top - 0.6, top + 1.4)
        )
        self.ax_.set_aspect("equal")
        self.ax_.set_axis_off()
        for i, column in enumerate(columns):
            title = "input" if i == 0 else f"hidden {i}" if column is not columns[-1] else "output"
            if column.n_units > len(column.units):
                title += f"\n{column.n_units} units"
                last, first = column.y[(len(column.y) - 1) // 2 :][:2]
                self.ax_.text(column.x, (last + first) / 2, "⋮", ha="center", va="center")
            self.ax_.text(column.x, top + 0.6, title, ha="center", va="bottom")
        for column, names, side in (
            (columns[0], self.feature_names, -1),
            (columns[-1], self.output_names, 1),
        ):
            for unit, y in zip(column.units, column.y, strict=True) if names is not None else ():
                x = column.x + side * (RADIUS + 0.2)
                self.ax_.text(x, y, names[unit], ha="left" if side > 0 else "right", va="center")
