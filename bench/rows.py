"""The rows of the benchmark: a data set, a network and how long it trains."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import ceil

import numpy as np

import data

# tol=0 without a limit of patience: everybody runs through every epoch.
FIXED_EPOCHS = {"tol": 0.0, "n_iter_no_change": np.inf, "random_state": 0}


@dataclass(frozen=True)
class Row:
    """One row.

    Parameters
    ----------
    name : str
        How the row is asked for.
    title : str
        What is trained, in words.
    load : callable
        Returns X and y.
    hidden_layer_sizes : tuple of int
    batch_size : int
    n_epochs : int
    unit : {"step", "fit"}
        What the time is divided by in the table.
    """

    name: str
    title: str
    load: Callable
    hidden_layer_sizes: tuple[int, ...]
    batch_size: int
    n_epochs: int
    unit: str = "step"

    @property
    def params(self):
        """The parameters of the estimators; those not named have their defaults."""
        return FIXED_EPOCHS | {
            "hidden_layer_sizes": self.hidden_layer_sizes,
            "batch_size": self.batch_size,
            "max_iter": self.n_epochs,
        }

    def layer_units(self, X, y):
        """Units of each layer. As in scikit-learn, two classes have one output."""
        n_classes = len(np.unique(y))
        n_outputs = n_classes if n_classes > 2 else 1
        return (X.shape[1], *self.hidden_layer_sizes, n_outputs)

    def n_units_of_time(self, n_samples):
        """Optimizer steps in a fit, or 1 for a row that counts fits."""
        return self.n_epochs * ceil(n_samples / self.batch_size) if self.unit == "step" else 1

    def n_flops(self, n_samples, layer_units):
        """Floating-point operations in a fit's matrix products.

        For each sample and weight, a multiply and an add for the output, the weight's
        gradient, and, but for the first layer, the gradient of the inputs.
        """
        products = [n_in * n_out for n_in, n_out in pairwise(layer_units)]
        return self.n_epochs * n_samples * (6 * sum(products) - 2 * products[0])


ROWS = {
    row.name: row
    for row in (
        Row(
            "XS",
            "synthetic 10,000 x 20, 2 classes, 20-32-1",
            partial(data.synthetic, 10_000, 20, 2),
            (32,),
            32,
            50,
        ),
        Row(
            "S",
            "synthetic 10,000 x 64, 10 classes, 64-100-10",
            partial(data.synthetic, 10_000, 64, 10),
            (100,),
            200,
            40,
        ),
        # Few epochs: later, roundoff in float32 alone moves the loss by more than 1e-3.
        Row("A", "MNIST, 784-100-100-10", data.mnist, (100, 100), 200, 2),
        Row("D", "digits, defaults, 64-100-10", data.digits, (100,), 200, 200, unit="fit"),
    )
}
