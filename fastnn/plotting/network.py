"""Displays of what a network has learned: the whole of a small one, and first-layer weights."""

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, isqrt, sqrt
from numbers import Integral

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from fastnn.estimators.augmenter import check_image_shape
from fastnn.plotting.curves import figure_axes, network_in, normalized

# Red is positive and blue negative, which is safe for the colour-blind.
DIVERGING = "RdBu_r"
# RADIUS is that of a unit's circle, where 1 is the distance of units in the largest column.
RADIUS = 0.32


def _layers(network):
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
        coefs, intercepts = _layers(network)
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
        _check_count("max_units", max_units, at_least=2)
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


def _check_image_shape(image_shape, n_features):
    """The shape of an image; without one given, that of a square."""
    if image_shape is None:
        side = isqrt(n_features)
        if side**2 != n_features:
            raise ValueError(
                f"The shape of images with {n_features} features cannot be guessed, as that is not "
                "a square number. Pass image_shape=(height, width) or (height, width, 3)."
            )
        return side, side
    height, width, channels = check_image_shape(image_shape)
    if channels not in (1, 3) or height * width * channels != n_features:
        raise ValueError(
            f"image_shape={tuple(image_shape)} does not fit {n_features} features: it is (height, "
            "width), with 3 after it for colour images, and its product the number of features."
        )
    return (height, width) if channels == 1 else (height, width, channels)


def _check_count(name, value, at_least=1):
    if not isinstance(value, Integral) or value < at_least:
        raise ValueError(f"{name} is an integer of at least {at_least}, not {value!r}.")


def _chosen_units(weights, units, largest):
    """The numbers of the units to draw, in order."""
    n_units = len(weights)
    if np.ndim(units):
        chosen = np.asarray(units)
        if chosen.ndim > 1 or not chosen.size or chosen.dtype.kind not in "iu":
            raise ValueError(f"units is a number of units or a list of them, not {units!r}.")
        if chosen.min() < -n_units or chosen.max() >= n_units:
            raise ValueError(f"units={units} has numbers that the {n_units} units do not have.")
        chosen = chosen % n_units
    else:
        _check_count("units", units)
        chosen = np.arange(n_units)
    if largest:
        norms = np.linalg.norm(weights[chosen], axis=1)
        chosen = chosen[np.argsort(-norms, kind="stable")]
    return chosen if np.ndim(units) else chosen[:units]


def _mosaic(images, n_columns, room):
    """All images in one, row by row, with gaps of NaN, and the upper left corner of each.

    ``room`` is the part of an image's height that is left free above it, for text.
    """
    n, height, width = images.shape[:3]
    gap = max(1, round(width / 16))
    above = max(gap, round(room * height))
    n_columns = min(n_columns, n)
    rows = ceil(n / n_columns) * (height + above) - (0 if room else above)
    mosaic = np.full((rows, n_columns * (width + gap) - gap, *images.shape[3:]), np.nan)
    corners = [
        (i // n_columns * (height + above) + (above if room else 0), i % n_columns * (width + gap))
        for i in range(n)
    ]
    for image, (row, column) in zip(images, corners, strict=True):
        mosaic[row : row + height, column : column + width] = image
    return mosaic, corners


class WeightsDisplay:
    """First-layer weights as images: what each hidden unit looks for.

    Red pixels speak for the unit, blue ones against it; one scale serves all units. Batch
    normalisation is folded into the weights. Made by `from_estimator`.

    Parameters
    ----------
    weights : ndarray of shape (n_units, n_features)
        The weights that lead to each unit.

    image_shape : tuple of int
        (height, width) or (height, width, 1), or (height, width, 3) for colour images, whose
        features are the channels of one pixel after another.

    units : ndarray of shape (n_units,), default=None
        The units' numbers in the network. None: 0, 1, ...

    Attributes
    ----------
    image_ : matplotlib AxesImage
        All images, in one.

    colorbar_ : matplotlib Colorbar or None
        The scale; None for colour images.

    ax_ : matplotlib Axes
        Axes with the images.

    figure_ : matplotlib Figure
        The figure of the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastnn import MLPClassifier, WeightsDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = MLPClassifier(40, max_iter=20, random_state=0).fit(X / 16, y)
    >>> display = WeightsDisplay.from_estimator(clf, units=12, largest=True)
    >>> display.weights.shape, display.image_shape
    ((12, 64), (8, 8))
    """

    def __init__(self, *, weights, image_shape, units=None):
        self.weights = weights
        self.image_shape = image_shape
        self.units = units

    @classmethod
    def from_estimator(
        cls, estimator, *, image_shape=None, units=25, largest=False, ax=None, **kwargs
    ):
        """Draw the first-layer weights of a fitted network, fastnn's or scikit-learn's.

        Parameters
        ----------
        estimator : estimator instance
            A fitted network, or a Pipeline whose last step is one, or a search over these. The
            weights are those of the features that reach the network.

        image_shape : tuple of int, default=None
            (height, width), (height, width, 1) or (height, width, 3). None: a square, where the
            number of features is that of one.

        units : int or array-like of int, default=25
            How many units to draw, or all where there are fewer; or which.

        largest : bool, default=False
            Whether to draw the units in descending order of the norm of their weights: with a
            number of units, those with the largest. Otherwise as they come.

        ax, **kwargs
            As for `plot`.

        Returns
        -------
        display : WeightsDisplay
            The display, drawn.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        network, _ = network_in(estimator)
        weights = _layers(network)[0][0].T
        image_shape = _check_image_shape(image_shape, weights.shape[1])
        units = _chosen_units(weights, units, largest)
        display = cls(weights=weights[units], image_shape=image_shape, units=units)
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax=None, *, n_columns=None, number=False, colorbar=True, **kwargs):
        """Draw the weights.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None: those of a new figure.

        n_columns : int, default=None
            Images in a row. None: about as many as there are rows.

        number : bool, default=False
            Whether to write the unit's number over each image.

        colorbar : bool, default=True
            Whether to draw the scale. Colour images have none.

        **kwargs : dict
            Passed to matplotlib's `imshow`, such as ``cmap``, ``norm``, or ``vmin`` and ``vmax``.

        Returns
        -------
        display : WeightsDisplay
            This display.
        """
        shape = _check_image_shape(self.image_shape, np.shape(self.weights)[1])
        n_columns = ceil(sqrt(len(self.weights))) if n_columns is None else n_columns
        _check_count("n_columns", n_columns)
        self.ax_, self.figure_ = figure_axes(self, ax)
        weights = np.asarray(self.weights, dtype=float)
        limit = np.abs(weights).max() or 1.0
        in_color = len(shape) == 3
        if in_color:
            # Red, green and blue from 0 to 1; a weight of zero is half of each.
            weights = 0.5 + weights / (2 * limit)
        mosaic, corners = _mosaic(weights.reshape(-1, *shape), n_columns, 0.3 * number)
        if in_color:
            mosaic = np.nan_to_num(mosaic, nan=1.0)  # No colour map makes NaN transparent.
        defaults = {} if in_color else {"cmap": DIVERGING}
        if not in_color and kwargs.get("norm") is None:  # One has limits of its own.
            defaults |= {"vmin": -limit, "vmax": limit}
        self.image_ = self.ax_.imshow(mosaic, **{"interpolation": "nearest"} | defaults | kwargs)
        self.ax_.set_axis_off()
        self._frame(corners, shape)
        if number:
            units = range(len(weights)) if self.units is None else self.units
            for (row, column), unit in zip(corners, units, strict=True):
                x = column + (shape[1] - 1) / 2
                self.ax_.text(x, row - 0.7, unit, ha="center", va="bottom", fontsize="x-small")
        self.colorbar_ = None
        if colorbar and not in_color:
            self.colorbar_ = self.figure_.colorbar(
                self.image_, ax=self.ax_, shrink=0.7, pad=0.02, label="weight"
            )
        return self

    def _frame(self, corners, shape):
        """A thin line about each image: what is about zero is as white as the paper."""
        from matplotlib.collections import PatchCollection
        from matplotlib.patches import Rectangle

        height, width = shape[:2]
        frames = [Rectangle((x - 0.5, y - 0.5), width, height) for y, x in corners]
        self.ax_.add_collection(
            PatchCollection(
                frames, facecolors="none", edgecolors="0.55", linewidths=0.6, clip_on=False
            )
        )
