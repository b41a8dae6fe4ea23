"""Advice where the scale of the data will spoil training, with the numbers and the remedy.

The limits are where, on the data sets of scikit-learn and on synthetic ones, default networks of
100 epochs begin to lose clearly against the same data standardised.
"""

import numpy as np
from scipy import sparse

from fastnn import notices
from fastnn.kernels.losses import LOSSES
from fastnn.parameters import has_hidden_layers

# Rows that are looked at, evenly spaced.
N_ROWS = 500
# Of a column of X: its root mean square. Of all columns: how far their means are from 0, in
# standard deviations. Of rows: their length.
LARGE_COLUMN, FAR_OFF, SHORT_ROW = 50.0, 5.0, 0.1
# Of a regression target: root mean square, standard deviation.
LARGE_TARGET, SMALL_TARGET = 30.0, 0.03
# Of a validation set: how many times longer or shorter its rows are than those of X; and how many
# spreads of X its mean is from that of X.
OTHER_SIZE, OTHER_PLACE = 5.0, 3.0
# What has been said. Numbers are rounded, so that the folds of a grid search say the same; Python's
# own filter would repeat it, as scikit-learn resets it for every fit.
_said = set()


def warn_unscaled(model, X, y):
    """Warn, once in a process, if X or a regressor's y is far from the scale networks begin at.

    Parameters
    ----------
    model : estimator
    X : ndarray or CSR matrix of shape (n, n_features)
    y : ndarray of shape (n, n_targets)
        As it is trained on.
    """
    found = []
    if not (model.batch_norm and has_hidden_layers(model)):
        # Batch normalisation scales what the first hidden layer makes of X.
        found += _of_inputs(model, X)
    is_regression = y.dtype.kind == "f"
    if is_regression and LOSSES[model.loss].out_activation == "identity":
        found += _of_targets(model, y)
    if found:
        _warn_once(" ".join(found))


def warn_other_scale(X, X_val):
    """Warn, once in a process, if a validation set is on quite another scale than X."""
    own, other = _Moments(X), _Moments(X_val)
    size, size_val = own.length, other.length
    spread = own.scale * own.spread
    unit = max(own.scale, other.scale)
    means = [moments.scale / unit * moments.mean for moments in (own, other)]
    shift = unit * np.sqrt(np.square(means[0] - means[1]).sum())
    is_other = size > 0 and not 1 / OTHER_SIZE <= size_val / size <= OTHER_SIZE
    if is_other or (spread > 0 and shift > OTHER_PLACE * spread):
        _warn_once(
            "X_val is not on the scale of X: its rows have a length of about "
            f"{size_val:.0e}, those of X of about {size:.0e}. Transform it as X is; in a "
            'Pipeline, with Pipeline(..., transform_input=["X_val"]) and metadata routing.'
        )


def _warn_once(message):
    if notices.advice_is_wanted() and message not in _said:
        notices.advise(message)
        _said.add(message)


def _of_inputs(model, X):
    moments = _Moments(X)
    largest = moments.square.argmax()
    rms, length, spread = moments.largest_rms, moments.length, moments.spread
    offset = np.sqrt((moments.mean**2).sum()) / spread if spread > 0 else 0.0
    if rms > LARGE_COLUMN:
        names = getattr(model, "feature_names_in_", None)
        column = f"column {largest}" if names is None else f"column {names[largest]!r}"
        says = f"{column} has values of about {rms:.0e}"
    elif offset > FAR_OFF:
        says = f"its columns' means are about {offset:.0e} standard deviations from 0"
    elif 0 < length < SHORT_ROW:
        says = f"its rows have a length of about {length:.0e}"
    else:
        return []
    spoiled = f"X is not scaled: {says}, and training will be slow and end far from the best."
    if model.augment is not None:
        return [f"{spoiled} Divide X, whose pixels have to stay alike, by its largest value."]
    scaler = "MaxAbsScaler" if sparse.issparse(X) else "StandardScaler"
    return [
        f"{spoiled} Scale the columns of X, for instance with make_pipeline({scaler}(), "
        f"{type(model).__name__}(...))."
    ]


def _of_targets(model, y):
    moments = _Moments(y)
    deviation = np.sqrt(moments.variance)
    # L-BFGS finds the scale of large targets by itself.
    stochastic = model.solver != "lbfgs"
    rms = moments.largest_rms
    largest = moments.scale * deviation.max()
    offset = np.max(abs(moments.mean)[deviation > 0] / deviation[deviation > 0], initial=0.0)
    if stochastic and rms > LARGE_TARGET:
        says = f"its values are about {rms:.0e}"
    elif stochastic and offset > FAR_OFF:
        says = f"its mean is about {offset:.0e} standard deviations from 0"
    elif 0 < largest < SMALL_TARGET:
        says = f"its standard deviation is about {largest:.0e}"
    else:
        return []
    return [
        f"y is not scaled: {says}, and training will be slow or end too early. Scale it, for "
        f"instance with TransformedTargetRegressor({type(model).__name__}(...), "
        "transformer=StandardScaler())."
    ]


class _Moments:
    """What the columns of some of the rows are like, in float64.

    Attributes
    ----------
    scale : float
        The largest value, in units of which the others are, so that nothing overflows.
    mean, square, variance : ndarray of shape (n_columns,)
        Means, mean squares and variances.
    """

    def __init__(self, values):
        sample = values[:: -(-values.shape[0] // N_ROWS)]
        stored = sample.data if sparse.issparse(sample) else sample
        self.scale = float(np.abs(stored).max(initial=0.0)) or 1.0
        sample = sample.astype(np.float64) / self.scale
        squared = sample.multiply(sample) if sparse.issparse(sample) else np.square(sample)
        self.mean, self.square = (np.asarray(a.mean(axis=0)).ravel() for a in (sample, squared))
        self.variance = np.maximum(self.square - self.mean**2, 0.0)

    @property
    def length(self):
        """The length of rows, as the values are."""
        return self.scale * np.sqrt(self.square.sum())

    @property
    def largest_rms(self):
        """The largest root mean square of a column, as the values are."""
        return self.scale * np.sqrt(self.square.max())

    @property
    def spread(self):
        """How far rows are from their mean, in units of the scale."""
        return np.sqrt(self.variance.sum())
