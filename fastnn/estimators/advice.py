"""Advice where the scale of the data will spoil training, with the numbers and the remedy.

The limits are where, on the data sets of scikit-learn and on synthetic ones, default networks of
100 epochs begin to lose clearly against the same data standardised.
"""

import numpy as np
from scipy import sparse

from fastnn import notices
from fastnn.estimators.parameter_table.parameter import has_hidden_layers
from fastnn.kernels.losses import LOSSES

# Rows that are looked at, evenly spaced.
N_ROWS = 500
# LARGE_COLUMN is a root mean square of a column of X, FAR_OFF how many standard deviations the
# means of all columns are from 0, and SHORT_ROW the length of rows.
LARGE_COLUMN, FAR_OFF, SHORT_ROW = 50.0, 5.0, 0.1
# LARGE_TARGET is a root mean square of a regression target, SMALL_TARGET its standard deviation.
LARGE_TARGET, SMALL_TARGET = 30.0, 0.03
# OTHER_SIZE is how many times longer or shorter the rows of a validation set are than those of X,
# and OTHER_PLACE how many spreads of X its mean is from that of X.
OTHER_SIZE, OTHER_PLACE = 5.0, 3.0
# OTHER_SIZE and OTHER_PLACE hold for a validation set's targets, too, with these limits beside
# them: STANDARDISED is how near to 0 and 1 the mean and the standard deviation of y have to be,
# and ENOUGH_ROWS how many rows y_val has to have, where a y_val that is narrower than y counts; a
# short stretch of a series is narrower as well. With these, random splits of normal to Cauchy
# targets earn advice in less than one of 20 cases, from 10 validation rows on; targets that were
# not transformed, beside standardised ones, earn it on all data sets tried.
STANDARDISED, ENOUGH_ROWS = 0.2, 10
# The advice that has been given. Its numbers are rounded, so that the folds of a grid search say
# the same; Python's own filter would repeat it, as scikit-learn resets it for every fit.
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
    # In units of the larger values, so that nothing overflows.
    scale = max(own.scale, other.scale)
    spread = own.scale / scale * own.spread
    means = own.scale / scale * own.mean, other.scale / scale * other.mean
    shift = np.sqrt(np.square(means[0] - means[1]).sum())
    is_other = size > 0 and not 1 / OTHER_SIZE <= size_val / size <= OTHER_SIZE
    if is_other or (spread > 0 and shift > OTHER_PLACE * spread):
        _warn_once(
            "X_val is not on the scale of X: its rows have a length of about "
            f"{size_val:.0e}, those of X of about {size:.0e}. Transform it as X is; in a "
            'Pipeline, with Pipeline(..., transform_input=["X_val"]) and metadata routing.'
        )


def warn_other_target_scale(y, y_val):
    """Warn, once in a process, if targets (n_val, n) of validation are on another scale than y."""
    for own, other in zip(_sample(y).T, _sample(y_val).T, strict=True):
        says = _other_target(own.astype(np.float64), other.astype(np.float64))
        if says:
            _warn_once(
                f"y_val is not on the scale of y: {says}. Transform it as y is; a "
                "TransformedTargetRegressor transforms y alone, so fit the transformer to y "
                "yourself, and give the network both transformed."
            )
            return


@np.errstate(over="ignore")
def _other_target(own, other):
    """The difference in scale between a target's validation values and its own, in words, or ""."""
    mean, deviation, quartiles = _mean_and_spread(own)
    mean_val, deviation_val, quartiles_val = _mean_and_spread(other)
    if deviation == 0:
        return ""
    # The same has to hold for the quartiles: one large value makes a mean and a deviation.
    middle, range_ = quartiles[1], quartiles[2] - quartiles[0]
    middle_val, range_val = quartiles_val[1], quartiles_val[2] - quartiles_val[0]
    shift = abs(mean_val - mean) / deviation
    if min(shift, abs(middle_val - middle) / deviation) > OTHER_PLACE:
        return f"its mean is about {shift:.0e} standard deviations of y from that of y"
    is_wider = deviation_val > OTHER_SIZE * deviation and range_val >= OTHER_SIZE * range_
    is_narrower = OTHER_SIZE * deviation_val < deviation and OTHER_SIZE * range_val < range_
    is_standardised = max(abs(deviation - 1), abs(mean)) < STANDARDISED
    counts = is_standardised and shift < 1 and len(other) >= ENOUGH_ROWS
    if not (is_wider or (is_narrower and counts)):
        return ""
    return f"its standard deviation is about {deviation_val:.0e}, that of y about {deviation:.0e}"


def _mean_and_spread(values):
    """Mean, standard deviation and quartiles, so computed that no square overflows."""
    unit = abs(values).max() or 1.0
    quartiles = np.quantile(values, [0.25, 0.5, 0.75])
    return unit * (values / unit).mean(), unit * (values / unit).std(), quartiles


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


def _sample(values):
    """Some of the rows, evenly spaced."""
    return values[:: -(-values.shape[0] // N_ROWS)]


class _Moments:
    """Moments of the columns of some of the rows, in float64.

    Attributes
    ----------
    scale : float
        The largest value, in units of which the others are, so that nothing overflows.
    mean, square, variance : ndarray of shape (n_columns,)
        Means, mean squares and variances.
    """

    def __init__(self, values):
        sample = _sample(values)
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
        """The distances of rows from their mean, in units of the scale."""
        return np.sqrt(self.variance.sum())
