"""Activations of hidden layers."""

from dataclasses import dataclass

from fastnn.kernels.activations import ACTIVATIONS
from fastnn.network.layers.base import Block, Role, SameSize


@dataclass(frozen=True)
class Activation(SameSize):
    """The activation of a hidden layer, value by value; some learn a parameter, the slope.

    Parameters
    ----------
    n : int
        Units of the hidden layer.
    name : str
        A key of ``ACTIVATIONS``. It may be unknown, as in a network from another process where it
        is registered.
    """

    n: int
    name: str
    kind = "activation"

    @property
    def blocks(self):
        learned = ACTIVATIONS[self.name].learned if self.name in ACTIVATIONS else None
        return () if learned is None else (Block("slope", (1,), Role.SLOPES, learned),)
