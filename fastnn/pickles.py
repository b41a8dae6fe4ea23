"""Checks of what is loaded from a pickle, before compiled code reads it, and of its version."""

from numbers import Real

import numpy as np
from sklearn import exceptions

from fastnn import _version, notices
from fastnn.kernels.optimizers import N_STATE, OPTIMIZERS, Optimizer
from fastnn.schedules import EPOCH_SCHEDULES

FLOATS = ("float32", "float64")
OPTIMIZER_ATTRIBUTES = frozenset(
    vars(Optimizer("adam", n_params=0, dtype=np.float64, learning_rate=0.0))
)
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


def checked_number(name, value):
    """A number from a pickle, a float; ValueError if it is none."""
    if not isinstance(value, Real):
        raise ValueError(
            f"The state of this estimator is not valid: {name} must be a number, got {value!r}. "
            "The file is damaged or was changed."
        )
    return float(value)


def check_names(what, values, names):
    """Raise ValueError if a dict from a pickle has not exactly these names."""
    if not isinstance(values, dict) or set(values) != set(names):
        given = sorted(values) if isinstance(values, dict) else repr(type(values))
        raise ValueError(
            f"The state of this estimator is not valid: {what} must have {sorted(names)}, got "
            f"{given}. The file is damaged or was changed."
        )


def optimizer_from(values, n_params):
    """The `Optimizer` whose attributes these are, checked; see `TrainedNetwork.from_state`."""
    check_names("the optimizer", values, OPTIMIZER_ATTRIBUTES)
    rule = OPTIMIZERS.get(values["rule_name"])
    if rule is None:
        raise ValueError(
            "The state of this estimator is not valid: there is no optimizer "
            f"{values['rule_name']!r}."
        )
    if values["schedule"] not in (None, *EPOCH_SCHEDULES):
        raise ValueError(
            "The state of this estimator is not valid: there is no schedule "
            f"{values['schedule']!r}."
        )
    values = dict(values)
    for name in ("initial_rate", "power_t"):
        values[name] = checked_number(f"the optimizer's {name}", values[name])
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
    """Warn, as scikit-learn does, where a pickle was made by another version than this one.

    The pickles of a subclass may not say by which, which is None then.
    """
    if version not in (None, _version.__version__):
        message = InconsistentVersionWarning(
            estimator_name=name,
            current_version=_version.__version__,
            original_version=version,
        )
        notices.warn(message, InconsistentVersionWarning, module="sklearn.base")
