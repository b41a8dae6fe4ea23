"""Batch normalisation, after Ioffe and Szegedy (2015)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastnn.network.layers.base import Block, Role, SameSize


@dataclass(frozen=True)
class BatchNorm(SameSize):
    """Normalisation of each of ``n`` units over the mini-batch, then a scale and a shift.

    Predictions normalise by running statistics, which `folded_into` makes part of other parameters.
    """

    n: int
    kind = "batch_norm"
    # Added to a variance before its root is divided by.
    epsilon: ClassVar[float] = 1e-5

    @property
    def blocks(self):
        return (
            Block("scale", (self.n,), Role.NORMS, 1.0),
            Block("shift", (self.n,), Role.NORMS, 0.0),
            Block("running_mean", (self.n,), Role.STATISTICS, 0.0),
            Block("running_variance", (self.n,), Role.STATISTICS, 1.0),
        )

    def folded_into(self, before, own):
        """The parameters of a dense layer that does the work of two, in float64.

        Parameters
        ----------
        before, own : dict of ndarray
            The parameters of the dense layer before this one, and of this one.

        Returns
        -------
        folded : dict of ndarray
        """
        variance = own["running_variance"].astype(np.float64)
        factor = own["scale"] / np.sqrt(variance + self.epsilon)
        biases = before["biases"].astype(np.float64)
        return {
            "weights": before["weights"].astype(np.float64) * factor,
            "biases": (biases - own["running_mean"]) * factor + own["shift"],
        }
