"""Checks of what is loaded from a pickle, before compiled code reads it, and of its version."""

import numpy as np
from sklearn import exceptions

from fastnn import _version, notices
from fastnn.kernels.optimizers import N_STATE, OPTIMIZERS, Optimizer

FLOATS = ("float32", "float64")
# Arrays of an optimizer that are None or of the parameters' shape.
LIKE_PARAMS = ("average", "raw")


def checked_array(name, array, shape, dtypes):
    """An array from a pickle, contiguous and in this machine's byte order.

    Compiled code reads it by its address, so that one of another shape would crash the process.

    Raises
    ------
    ValueError
        If it is not an array of this shape and of one of these dtypes.
    """
    if (
        not isinstance(array, np.ndarray)
        or array.shape != shape
        or array.dtype.newbyteorder("=").name not in dtypes
    ):
        given = (
            f"an array of shape {array.shape} and dtype {array.dtype}"
            if isinstance(array, np.ndarray)
            else repr(type(array))
        )
        raise ValueError(
            f"The state of this estimator is not valid: {name} must be an array of shape {shape} "
            f"and dtype {' or '.join(dtypes)}, got {given}. The file is damaged or was changed."
        )
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def optimizer_from(values, n_params):
    """The `Optimizer` whose attributes these are, checked; see `TrainedNetwork.from_state`."""
    rule = OPTIMIZERS.get(values["rule_name"])
    if rule is None:
        raise ValueError(
            "The state of this estimator is not valid: there is no optimizer "
            f"{values['rule_name']!r}."
        )
    values = dict(values)
    values["slots"] = checked_array(
        "the optimizer's slots", values["slots"], (rule.n_slots, n_params), FLOATS
    )
    values["state"] = checked_array(
        "the optimizer's state", values["state"], (N_STATE,), ("float64",)
    )
    for name in LIKE_PARAMS:
        if values[name] is not None:
            values[name] = checked_array(
                f"the optimizer's {name}", values[name], (n_params,), FLOATS
            )
    return Optimizer.from_attributes(values)


class InconsistentVersionWarning(exceptions.InconsistentVersionWarning):
    """An estimator is unpickled that another version of fastnn has pickled.

    Parameters
    ----------
    estimator_name : str
        Its class.
    current_version : str
        The version of fastnn that loads it.
    original_version : str
        The version of fastnn that saved it.

    Examples
    --------
    >>> from fastnn.pickles import InconsistentVersionWarning
    >>> print(InconsistentVersionWarning(
    ...     estimator_name="MLPClassifier", current_version="0.2.0", original_version="0.1.0"
    ... ))
    Trying to unpickle estimator MLPClassifier from fastnn 0.1.0 when using version 0.2.0. This \
might lead to breaking code or invalid results. Use at your own risk: train it again, or load it \
with fastnn 0.1.0.
    """

    def __init__(self, *, estimator_name, current_version, original_version):
        super().__init__(
            estimator_name=estimator_name,
            current_sklearn_version=current_version,
            original_sklearn_version=original_version,
        )

    def __str__(self):
        original = self.original_sklearn_version
        return (
            f"Trying to unpickle estimator {self.estimator_name} from fastnn {original} when using "
            f"version {self.current_sklearn_version}. This might lead to breaking code or invalid "
            "results. Use at your own risk: train it again, or load it with fastnn "
            f"{original}."
        )


def warn_of_another_version(name, version):
    """Warn, as scikit-learn does, where a pickle was made by another version than this one."""
    if version != _version.__version__:
        message = InconsistentVersionWarning(
            estimator_name=name,
            current_version=_version.__version__,
            original_version=version,
        )
        notices.warn(message, InconsistentVersionWarning, module="sklearn.base")
