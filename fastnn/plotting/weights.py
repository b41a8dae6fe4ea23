"""A display of first-layer weights, as images."""

from math import ceil, isqrt, sqrt

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from fastnn.estimators.augmenter import check_image_shape
from fastnn.plotting.curves import figure_axes, network_in
from fastnn.plotting.network import DIVERGING, check_count, weights_of_layers


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
        check_count("units", units)
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
        weights = weights_of_layers(network)[0][0].T
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
        check_count("n_columns", n_columns)
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
