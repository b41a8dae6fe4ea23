"""Dropout, after Srivastava et al. (2014)."""

from dataclasses import dataclass

from fastnn.network.layers.base import SameSize


@dataclass(frozen=True)
class Dropout(SameSize):
    """A layer that leaves out units at random, and scales the others up.

    A network has such layers while it is trained; see `Network.layers_with_dropout`.

    Parameters
    ----------
    n : int
    number : int
        The number of the step's mask that the layer has; the inputs have mask 0.
    """

    n: int
    number: int
    kind = "dropout"
