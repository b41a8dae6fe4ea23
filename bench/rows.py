"""The rows of the benchmark: a data set, a network and how long it trains."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import ceil

import numpy as np
from scipy import sparse

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
    unit : {"step", "fit", "iteration"}
        What the time is divided by in the table.
    solver : {"adam", "lbfgs"}
    learning_rate : float
        Adam's. Where it is below the default, roundoff, which Adam magnifies from step to step,
        would otherwise move the final loss by more than the libraries may differ.
    estimators_only : bool
        Whether only fastnn and scikit-learn are compared.
    """

    name: str
    title: str
    load: Callable
    hidden_layer_sizes: tuple[int, ...]
    batch_size: int
    n_epochs: int
    unit: str = "step"
    solver: str = "adam"
    learning_rate: float = 1e-3
    estimators_only: bool = False

    @property
    def params(self):
        """The parameters of the estimators; those not named have their defaults."""
        return FIXED_EPOCHS | {
            "hidden_layer_sizes": self.hidden_layer_sizes,
            "batch_size": self.batch_size,
            "max_iter": self.n_epochs,
            "solver": self.solver,
            "learning_rate_init": self.learning_rate,
        }

    def layer_units(self, X, y):
        """Units of each layer. As in scikit-learn, two classes have one output."""
        n_classes = len(np.unique(y))
        n_outputs = n_classes if n_classes > 2 else 1
        return (X.shape[1], *self.hidden_layer_sizes, n_outputs)

    def n_batches(self, n_samples):
        """Mini-batches in an epoch."""
        return ceil(n_samples / self.batch_size)

    def n_units_of_time(self, n_samples):
        """How many of the row's units a fit consists of."""
        if self.unit == "fit":
            return 1
        return self.n_epochs * (self.n_batches(n_samples) if self.unit == "step" else 1)

    def n_flops(self, X, layer_units):
        """Floating-point operations in a fit's matrix products.

        For each sample and weight, a multiply and an add for the output, the weight's
        gradient, and, but for the first layer, the gradient of the inputs. Of sparse rows only
        the non-zeros count. None for L-BFGS, which evaluates as often as it likes.
        """
        if self.solver == "lbfgs":
            return None
        n_samples, n_features = X.shape
        if sparse.issparse(X):
            n_features = X.nnz / n_samples
        products = [n_in * n_out for n_in, n_out in pairwise((n_features, *layer_units[1:]))]
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
            20,
        ),
        Row(
            "S",
            "synthetic 10,000 x 64, 10 classes, 64-100-10",
            partial(data.synthetic, 10_000, 64, 10),
            (100,),
            200,
            30,
        ),
        Row(
            "A",
            "MNIST, 784-100-100-10",
            data.mnist,
            (100, 100),
            200,
            2,
            learning_rate=1e-4,
        ),
        Row(
            "M",
            "synthetic 20,000 x 784, 10 classes, 784-512-256-10",
            partial(data.synthetic, 20_000, 784, 10),
            (512, 256),
            256,
            2,
            learning_rate=1e-4,
        ),
        Row(
            "L",
            "synthetic 8,192 x 1,024, 10 classes, 1024-2048-2048-10",
            partial(data.synthetic, 8_192, 1_024, 10),
            (2_048, 2_048),
            1_024,
            1,
            learning_rate=1e-4,
        ),
        Row("D", "digits, defaults, 64-100-10", data.digits, (100,), 200, 200, unit="fit"),
        Row(
            "sparse",
            "TF-IDF, 20,000 x 50,000 with 100 non-zeros a row, 20 classes, 50000-100-20",
            partial(data.tf_idf, 20_000, 50_000, 100, 20),
            (100,),
            200,
            1,
            estimators_only=True,
        ),
        Row(
            "wide",
            "synthetic 200,000 x 100, 10 classes, 100-100-10",
            partial(data.synthetic, 200_000, 100, 10),
            (100,),
            200_000,
            10,
            estimators_only=True,
        ),
        Row(
            "wide-lbfgs",
            "synthetic 200,000 x 100, 10 classes, 100-100-10, by L-BFGS",
            partial(data.synthetic, 200_000, 100, 10),
            (100,),
            200_000,
            10,
            unit="iteration",
            solver="lbfgs",
            estimators_only=True,
        ),
    )
}
