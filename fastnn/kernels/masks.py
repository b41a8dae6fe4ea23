"""Dropout in a pass: the keys of its masks, and the unit that applies them."""

import numpy as np

from fastnn.kernels import catalog


class Masks:
    """The masks by which a step leaves out units of the input and of the hidden layers.

    Parameters
    ----------
    machine : fastnn.kernels.machine.Machine
    rates : tuple of float
        The probability that a unit is left out, of the input and of each hidden layer.

    Attributes
    ----------
    keys : memory of shape (hidden layers + 2,), int64
        One key of the step for each of these layers, and one for augmentation.
    """

    def __init__(self, machine, rates):
        self.rates = rates
        self.keys = machine.zeros(len(rates) + 1, np.int64)  # (hidden layers + 2,)

    def add_begin(self, plan, steps, seed):
        """In a chain of one task: the keys of the step's random decisions."""
        plan.add(
            catalog.begin_random_unit(),
            steps_at=steps,
            seed=seed,
            n_layers=len(self.rates),
            keys_at=self.keys,
        )

    def add(self, plan, layer, source, target, n, block):
        """In a chain over rows: leave units out of a matrix (rows, ld) of n columns."""
        plan.add(
            catalog.dropout_unit(target.dtype.name),
            source_at=source,
            target_at=target,
            ld=target.shape[1],
            n=n,
            **self.arguments(layer),
            block=block,
        )

    def arguments(self, layer):
        """Arguments of every unit that leaves out units of that layer; layer 0 is the input."""
        rate = self.rates[layer]
        return {
            "keys_at": self.keys,
            "layer": layer,
            "threshold": round(rate * 2**32),
            "scale_at": np.array([1.0 / (1.0 - rate)]),
        }
