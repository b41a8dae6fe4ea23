"""The state of a training: all that its steps change, as one object. NumPy only."""

import copy
from dataclasses import dataclass, field

import numpy as np

from fastnn.kernels.optimizers import OPTIMIZERS, AverageNumbers


def named_numbers(fields, **values):
    """Float64 numbers by the names of a NamedTuple class, which has defaults for them.

    Returns
    -------
    numbers : ndarray of shape ()
        Its fields are read as ``float(numbers[name])``, and compiled code reads them in order.
    """
    numbers = np.zeros((), dtype=[(name, np.float64) for name in fields._fields])
    for name in fields._fields:
        numbers[name] = values[name] if name in values else fields._field_defaults[name]
    return numbers


class OptimizerState:
    """The state of an optimizer.

    Parameters
    ----------
    solver : str
        One of ``SOLVERS``.
    n_params : int
    dtype : numpy dtype
        The network's precision.
    learning_rate : float
    nesterovs_momentum : bool
        As in the estimators.
    schedule : str or None
        The schedule that lowers the rate from epoch to epoch, where it is one of scikit-learn's.
    power_t : float
        Its exponent.
    **settings : float
        Settings of the rules by name. Those that the solver's rule does not have are not used.

    Attributes
    ----------
    rule_name : str
        The key in ``OPTIMIZERS``.
    rate : float
        The rate that the user sets, and what lowers it from epoch to epoch.
    initial_rate : float
        The rate that the schedule begins with.
    step_rate : ndarray of shape (1,)
        The rate of the last step, as rate or schedule have it.
    settings, scalars : ndarray of shape ()
        The rule's settings and scalars, by name.
    slots : ndarray of shape (n_slots, n_params)
        In the order of the rule's names for them.
    """

    def __init__(
        self,
        solver,
        n_params,
        dtype,
        learning_rate,
        *,
        nesterovs_momentum=True,
        schedule="constant",
        power_t=0.5,
        **settings,
    ):
        self.rule_name = "nesterov" if solver == "sgd" and nesterovs_momentum else solver
        self.nesterovs_momentum = nesterovs_momentum
        self.schedule, self.power_t = schedule, float(power_t)
        self.settings = named_numbers(self.rule.settings, **settings)
        self.scalars = named_numbers(self.rule.scalars)
        self.step_rate = np.zeros(1)
        self.learning_rate = self.initial_rate = float(learning_rate)
        self.slots = np.zeros((len(self.rule.slots._fields), n_params), dtype)

    @property
    def rule(self):
        """The registry's entry."""
        return OPTIMIZERS[self.rule_name]

    @property
    def solver(self):
        """The solver that it belongs to."""
        return "sgd" if self.rule_name == "nesterov" else self.rule_name

    def slot(self, name):
        """One of the slots, a view (n_params,)."""
        return self.slots[self.rule.slots._fields.index(name)]

    @property
    def learning_rate(self):
        """The rate that the last step took; for adam, with its bias corrections."""
        return float(self.scalars["learning_rate"])

    @learning_rate.setter
    def learning_rate(self, value):
        self.rate = float(value)
        self.step_rate[0] = self.scalars["learning_rate"] = value

    # ---- pickles -------------------------------------------------------------------

    def to_plain(self):
        """The state as a dict of plain types and arrays."""
        return {
            "rule": self.rule_name,
            "settings": {name: float(self.settings[name]) for name in self.settings.dtype.names},
            "scalars": {name: float(self.scalars[name]) for name in self.scalars.dtype.names},
            "slots": dict(zip(self.rule.slots._fields, self.slots, strict=True)),
            "rate": self.rate,
            "step_rate": float(self.step_rate[0]),
            "initial_rate": self.initial_rate,
            "schedule": self.schedule,
            "power_t": self.power_t,
            "nesterovs_momentum": self.nesterovs_momentum,
        }

    @classmethod
    def from_plain(cls, values):
        """The state that `to_plain` made these values of, which pickles.py has checked."""
        rule = OPTIMIZERS[values["rule"]]
        slots = np.stack([values["slots"][name] for name in rule.slots._fields])
        state = cls.__new__(cls)
        state.rule_name, state.slots = values["rule"], slots
        state.settings = named_numbers(rule.settings, **values["settings"])
        state.scalars = named_numbers(rule.scalars, **values["scalars"])
        state.step_rate = np.array([values["step_rate"]])
        for name in ("rate", "initial_rate", "schedule", "power_t", "nesterovs_momentum"):
            setattr(state, name, values[name])
        return state


class WeightAverage:
    """An exponential moving average of the parameters that a training goes through.

    Parameters
    ----------
    n_params : int
    dtype : numpy dtype
    decay : float

    Attributes
    ----------
    values : ndarray of shape (n_params,)
        The average of the parameters w_1 to w_t, with weights decay**(t - s) that sum to 1.
    numbers : ndarray of shape ()
        The decay, and the weight decay**t that is not in it yet.
    """

    def __init__(self, n_params, dtype, decay):
        self.values = np.zeros(n_params, dtype)
        self.numbers = named_numbers(AverageNumbers, decay=decay)

    @property
    def decay(self):
        """The decay of the average."""
        return float(self.numbers["decay"])

    @property
    def has_begun(self):
        """Whether it has any parameters in it."""
        return bool(self.numbers["rest"] < 1)

    def begin_anew(self):
        """Forget what is in it."""
        self.values[...] = 0
        self.numbers["rest"] = 1.0

    def to_plain(self):
        """The average as a dict of plain types and an array."""
        return {"values": self.values, "decay": self.decay, "rest": float(self.numbers["rest"])}

    @classmethod
    def from_plain(cls, values):
        """The average that `to_plain` made these values of, which pickles.py has checked."""
        average = cls(0, np.float64, values["decay"])
        average.values, average.numbers["rest"] = values["values"], values["rest"]
        return average


@dataclass
class TrainingState:
    """All that the steps of a training change.

    Training owns it; an estimator keeps a copy, from which a later training goes on.

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        The parameters, running statistics included, that training has come to.
    optimizer : OptimizerState or None
        None where the solver has no state.
    average : WeightAverage or None
    random_steps : ndarray of shape (1,), float64
        The steps that had random decisions: masks of dropout, changes of images.
    model_params : ndarray of shape (n_params,) or None
        The parameters that the model took, where these are an average, or the best of all epochs.
        A later training goes on from ``params`` as long as the model has them.
    goes_on_in : tuple of str
        The methods that are to do so: "fit" with a validation set, "partial_fit".
    """

    params: np.ndarray
    optimizer: OptimizerState | None = None
    average: WeightAverage | None = None
    random_steps: np.ndarray = field(default_factory=lambda: np.zeros(1))
    model_params: np.ndarray | None = None
    goes_on_in: tuple = ()

    @property
    def has_average(self):
        """Whether there is an average that has begun."""
        return self.average is not None and self.average.has_begun

    @property
    def result(self):
        """The average where there is one that has begun, otherwise the parameters."""
        return self.average.values if self.has_average else self.params

    def handed_out(self, params, goes_on_in):
        """The model's parameters, of which a copy is kept where they are not those of the state.

        The methods ``goes_on_in`` are to go on from the state's.
        """
        self.model_params, self.goes_on_in = None, ()
        if params is self.params:
            return params
        params = params.copy()
        if goes_on_in and np.isfinite(self.params).all():
            self.model_params, self.goes_on_in = params.copy(), goes_on_in
        else:
            self.params = params
        return params

    def is_ahead(self, method, params):
        """Whether ``method`` is to go on from ``self.params`` where the model has ``params``."""
        return method in self.goes_on_in and np.array_equal(self.model_params, params)

    def to_plain(self, model_params):
        """The state as a dict of plain types and arrays, beside the parameters of the model."""
        is_ahead = any(self.is_ahead(method, model_params) for method in self.goes_on_in)
        return {
            "params": self.params if is_ahead else None,
            "goes_on_in": self.goes_on_in if is_ahead else (),
            "optimizer": None if self.optimizer is None else self.optimizer.to_plain(),
            "average": None if self.average is None else self.average.to_plain(),
            "random_steps": float(self.random_steps[0]),
        }

    @classmethod
    def from_plain(cls, values, model_params):
        """The state that `to_plain` made these values of, which pickles.py has checked."""
        optimizer, average, params = values["optimizer"], values["average"], values["params"]
        return cls(
            model_params if params is None else params,
            None if optimizer is None else OptimizerState.from_plain(optimizer),
            None if average is None else WeightAverage.from_plain(average),
            np.array([values["random_steps"]]),
            None if params is None else model_params.copy(),
            values["goes_on_in"],
        )

    def copy_for(self, params):
        """A copy that training may change, at these parameters and in their precision."""
        optimizer, average = copy.deepcopy((self.optimizer, self.average))
        if optimizer is not None:
            optimizer.slots = optimizer.slots.astype(params.dtype, copy=False)
        if average is not None:
            average.values = average.values.astype(params.dtype, copy=False)
        return TrainingState(params, optimizer, average, self.random_steps.copy())
