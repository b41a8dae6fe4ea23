"""Checks of X, y and sample_weight, without a copy wherever one can be avoided.

The messages are scikit-learn's wherever it has one for the case.
"""

import math
from numbers import Number

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils.validation import _check_y, validate_data

from fastnn import notices
from fastnn.kernels.losses import LOSSES

NO_WEIGHT = "Sample weights must contain at least one non-zero number."


def check_training_data(estimator, X, y, *, y_numeric, precision, reset):
    """Validate X and y of a fit, for training in a precision ("auto", "float32" or "float64").

    Returns
    -------
    X : ndarray or CSR matrix of shape (n_samples, n_features), float32 or float64
        Not a copy, unless X was of another dtype or format.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or CSR matrix
    """
    # Numbers that are neither float32 nor float64 are converted to the first of these.
    narrow = precision == "float32"
    X, y = validate_data(
        estimator,
        X,
        y,
        accept_sparse=["csr", "csc"],
        multi_output=True,
        y_numeric=y_numeric,
        dtype=[np.float32, np.float64] if narrow else [np.float64, np.float32],
        reset=reset,
    )
    return kernel_ready(X), _as_1d(y)


def check_held_out_data(estimator, X, y, *, y_numeric):
    """Validate the X_val and y_val of a fit, for an estimator that has validated X and y.

    Returns
    -------
    X, y
        As from `check_training_data`.
    """
    validate_data(estimator, X, reset=False, skip_check_array=True)
    X = check_array(
        X, accept_sparse=["csr", "csc"], dtype=[np.float64, np.float32], input_name="X_val"
    )
    y = _check_y(y, multi_output=True, y_numeric=y_numeric, estimator=estimator)
    check_consistent_length(X, y)
    return kernel_ready(X), _as_1d(y)


def _as_1d(y):
    """A validated y, which is flattened with a warning if it is one column."""
    if y.ndim != 2 or y.shape[1] != 1:
        return y
    flat = column_or_1d(y)
    # The function's own warning would come under the module that calls it.
    notices.warn(
        "A column-vector y was passed when a 1d array was expected. Please change the shape of y "
        "to (n_samples, ), for example using ravel().",
        DataConversionWarning,
    )
    return flat


def check_prediction_data(estimator, X, dtype):
    """Validate the X of a prediction by weights in a dtype.

    An ordinary float array takes a short way. Numbers of other types become float32 or float64,
    the dtype of their products with the weights.
    """
    if (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.dtype.char in "fd"
        and X.dtype.isnative
        and X.shape[0] > 0
        and X.shape[1] == getattr(estimator, "n_features_in_", None)
        and not hasattr(estimator, "feature_names_in_")
        and (get_config()["assume_finite"] or _sum_is_finite(X))
    ):
        return kernel_ready(X)
    # Unlike a fit, a prediction does not take text that spells numbers.
    X = validate_data(estimator, X, accept_sparse=["csr", "csc"], reset=False)
    if X.dtype.kind not in "fiub":
        raise TypeError(f"X must be numeric, got an array of dtype {X.dtype}. Convert to numbers.")
    if X.dtype not in (np.float32, np.float64):
        narrow = np.result_type(X.dtype, dtype) == np.float32
        # With a check of the result: a longdouble may be too large for float64.
        X = check_array(
            X,
            accept_sparse=["csr", "csc"],
            dtype=np.float32 if narrow else np.float64,
            input_name="X",
        )
    return kernel_ready(X)


def _sum_is_finite(X):
    # For a single row, the time of ``X.sum()`` and ``np.isfinite`` would be felt.
    with np.errstate(all="ignore"):
        return math.isfinite(np.add.reduce(X, axis=None))


def kernel_ready(X):
    """Bring a validated X into a form that the kernels can read.

    Dense: aligned. Sparse: CSR with indices in range, sorted and unique. The user's
    own matrix is never changed.
    """
    if not sparse.issparse(X):
        return X if X.flags.aligned else X.copy()
    if X.format == "csc":
        X = X.tocsr()
    _check_indices(X)
    X = _plain_csr(X)
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def _plain_csr(X):
    """X with contiguous, native arrays and one dtype for both index arrays; itself if it has."""
    index = np.result_type(X.indptr, X.indices).newbyteorder("=")
    index = np.int32 if index == np.int32 else np.int64
    arrays = (
        np.ascontiguousarray(X.data, dtype=X.data.dtype.newbyteorder("=")),
        np.ascontiguousarray(X.indices, dtype=index),
        np.ascontiguousarray(X.indptr, dtype=index),
    )
    if all(new is old for new, old in zip(arrays, (X.data, X.indices, X.indptr), strict=True)):
        return X
    # The constructor would choose the dtype of the indices by itself.
    plain = X.copy()
    plain.data, plain.indices, plain.indptr = arrays
    return plain


def check_representable(values, dtype, input_name):
    """Raise ValueError if float64 values are too large for a network in float32."""
    stored = values.data if sparse.issparse(values) else values
    if stored.dtype != np.float64 or dtype != np.float32 or stored.size == 0:
        return
    if max(stored.max(), -stored.min()) > np.finfo(np.float32).max:
        raise ValueError(
            f"Input {input_name} contains infinity or a value too large for dtype('float32'), "
            "the precision of this network. Scale the data, or train with dtype='float64'."
        )


def _check_indices(X):
    # Compiled code would read and write wherever a wrong index points.
    n_rows, n_features = X.shape
    indptr, indices = X.indptr, X.indices
    in_order = indptr[0] == 0 and indptr[-1] <= len(indices) and len(X.data) >= indptr[-1]
    if len(indptr) != n_rows + 1 or not in_order or (indptr[1:] < indptr[:-1]).any():
        raise ValueError("X is not a valid sparse matrix: its index pointer is inconsistent.")
    if X.nnz and not (0 <= indices.min() and indices.max() < n_features):
        raise ValueError(
            f"X is not a valid sparse matrix: it has column indices outside [0, {n_features})."
        )


def check_regression_target(y, loss, input_name="y"):
    """Return y as a C-contiguous float array (n_samples, n_outputs)."""
    if sparse.issparse(y):
        y = _dense_target(y, loss, input_name)
    if y.dtype.kind not in "fiub":
        raise TypeError(
            f"{input_name} must be numeric, got an array of dtype {y.dtype}. "
            "Convert the target to numbers, or use a classifier for labels."
        )
    y = y.reshape(len(y), -1)
    real = y.dtype if y.dtype in (np.float32, np.float64) else np.float64
    y = np.ascontiguousarray(y, dtype=real)
    domain = LOSSES[loss].domain
    if domain.includes(y.min()):
        return y
    if domain.has_lowest:
        # scikit-learn's poisson loss takes such targets in silence.
        notices.advise(
            f"{input_name} has negative values, the smallest is {y.min()}, and for these the loss "
            f"{loss!r} is NaN: an epoch with a NaN never counts as one without improvement. Use "
            "loss='squared_error' for a target of any sign."
        )
        return y
    raise ValueError(
        f"Some value(s) of {input_name} are out of the valid range of the loss {loss!r}: "
        f"it requires {domain}, and the smallest value is {y.min()}. "
        "Use loss='squared_error' for a target of any sign."
    )


def _dense_target(y, loss, input_name):
    """A sparse y as a dense array, where scikit-learn trains on it."""
    hint = "Use '.toarray()' to convert to a dense numpy array."
    if loss != "squared_error":
        raise TypeError(
            f"Sparse data was passed for {input_name}, but dense data is required with "
            f"loss={loss!r}. {hint}"
        )
    if isinstance(y, sparse.spmatrix):
        raise ValueError(
            f"A sparse matrix was passed for {input_name}, but dense data or a sparse array is "
            f"required. {hint}"
        )
    return y.toarray()


def check_sample_weight(
    sample_weight, n_samples, input_name="sample_weight", ensure_non_negative=False
):
    """Return the weights as a contiguous float array (n_samples,), or None.

    Raises
    ------
    ValueError
        If they are not one finite number a sample, or all zero, or one is negative that is not
        to be.
    TypeError
        If they are one number that is not real.
    """
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Number):
        given, sample_weight = sample_weight, np.full(n_samples, sample_weight)
        if sample_weight.dtype.kind not in "fiub":
            raise TypeError(f"{input_name} must be of real numbers, got {given!r}.")
    sample_weight = check_array(
        sample_weight,
        ensure_2d=False,
        dtype=[np.float64, np.float32],
        order="C",
        input_name=input_name,
    )
    if sample_weight.ndim != 1:
        raise ValueError(
            f"Sample weights must be 1D array or scalar, got {sample_weight.ndim}D array. "
            f"Expected either a scalar value or a 1D array of length {n_samples}."
        )
    if sample_weight.shape != (n_samples,):
        raise ValueError(f"{input_name}.shape == {sample_weight.shape}, expected {(n_samples,)}!")
    if ensure_non_negative and sample_weight.min() < 0:
        raise ValueError(f"Negative values in data passed to `{input_name}`.")
    if not sample_weight.any():
        raise ValueError(NO_WEIGHT)
    return sample_weight


def shaped_weights(weights, shape, name):
    """Weights as the kernels read them: aligned, C-ordered float64, of that shape.

    The weights of a single perceptron may lack its axis.
    """
    weights = np.require(weights, np.float64, ["C", "A"])
    if shape[0] == 1 and weights.shape == shape[1:]:
        weights = weights.reshape(shape)
    if weights.shape != shape:
        raise ValueError(
            f"Provided {name} does not match dataset: expected an array of shape {shape}, "
            f"got {weights.shape}."
        )
    return weights
