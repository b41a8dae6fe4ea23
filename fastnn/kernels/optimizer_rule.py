"""The class of the entries of the registry of optimizers."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class OptimizerRule:
    """One way to update a parameter.

    Parameters
    ----------
    name : str
        The key in ``OPTIMIZERS``: the solver's name; "nesterov" is the solver "sgd", too.
    summary : str
        One sentence for the documentation.
    begin : callable
        ``scalars, coefficients = begin(rate, settings, scalars)``, once a step.
    update : callable
        ``parameter, slots = update(parameter, gradient, slots, coefficients)``.
    settings, scalars, slots, coefficients : type
        The NamedTuple classes of the functions' arguments. Settings are named after parameters of
        the estimators, but for ``decay``, the strength of a decay that is decoupled: a rule that
        has it has a coefficient ``keep``, by which weights are multiplied before their update.
    orthogonal : bool
        Whether the matrices that lead to hidden layers have steps of orthogonal matrices
        instead, see muon.py; mu keeps their momentum.
    """

    name: str
    summary: str
    begin: Callable
    update: Callable
    settings: type
    scalars: type
    slots: type
    coefficients: type
    orthogonal: bool = False

    @property
    def decoupled(self):
        """Whether ``alpha`` shrinks the weights in each step, instead of being a penalty."""
        return "decay" in self.settings._fields

    @property
    def parameters(self):
        """The estimators' parameters that it makes use of, besides the learning rate's."""
        names = tuple(name for name in self.settings._fields if name != "decay")
        return (*names, "nesterovs_momentum") if "momentum" in names else names
