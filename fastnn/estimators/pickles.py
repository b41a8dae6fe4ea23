"""Checks of what is loaded from a pickle, before compiled code reads it, and of its version."""

from numbers import Real

import numpy as np
from sklearn import exceptions

from fastnn import _version, notices
from fastnn.kernels.optimizers import OPTIMIZERS
from fastnn.network.state import OptimizerState, TrainingState
from fastnn.training.schedules import EPOCH_SCHEDULES

FLOATS = ("float32", "float64")
# The names in the plain form of a state.
OPTIMIZER_NAMES = frozenset(OptimizerState("adam", 0, np.float64, 0.0).to_plain())
STATE_NAMES = frozenset(TrainingState(np.zeros(0)).to_plain(np.zeros(0)))


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


def training_state_from(values, model_params):
    """The `TrainingState` of a pickle, checked, beside the parameters of its model.

    Raises
    ------
    ValueError
        If it is not the state of a training of these parameters.
    """
    check_names("the training", values, STATE_NAMES)
    values, shape = dict(values), model_params.shape
    if values["optimizer"] is not None:
        values["optimizer"] = _checked_optimizer(values["optimizer"], shape)
    if values["average"] is not None:
        values["average"] = _checked_average(values["average"], shape)
    if values["params"] is not None:
        values["params"] = checked_array("the training's params", values["params"], shape, FLOATS)
    values["random_steps"] = checked_number("random_steps", values["random_steps"])
    values["goes_on_in"] = tuple(map(str, values["goes_on_in"]))
    return TrainingState.from_plain(values, model_params)


def _checked_optimizer(values, shape):
    check_names("the optimizer", values, OPTIMIZER_NAMES)
    rule = OPTIMIZERS.get(values["rule"])
    if rule is None:
        raise ValueError(
            f"The state of this estimator is not valid: there is no optimizer {values['rule']!r}."
        )
    if values["schedule"] not in (None, *EPOCH_SCHEDULES):
        raise ValueError(
            "The state of this estimator is not valid: there is no schedule "
            f"{values['schedule']!r}."
        )
    checked = dict(values)
    for name in ("rate", "step_rate", "initial_rate", "power_t"):
        checked[name] = checked_number(f"the optimizer's {name}", values[name])
    for name, fields in (("settings", rule.settings), ("scalars", rule.scalars)):
        check_names(f"the optimizer's {name}", values[name], fields._fields)
        checked[name] = {
            key: checked_number(f"the optimizer's {key}", value)
            for key, value in values[name].items()
        }
    check_names("the optimizer's slots", values["slots"], rule.slots._fields)
    checked["slots"] = {
        name: checked_array(f"the optimizer's {name}", slot, shape, FLOATS)
        for name, slot in values["slots"].items()
    }
    return checked


def _checked_average(values, shape):
    check_names("the average", values, ("values", "decay", "rest"))
    checked = {
        name: checked_number(f"the average's {name}", values[name]) for name in ("decay", "rest")
    }
    return checked | {"values": checked_array("the average", values["values"], shape, FLOATS)}


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
    >>> from fastnn.estimators.pickles import InconsistentVersionWarning
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
