"""Initial weights, and the ``INITIALIZERS`` registry. NumPy only.

To add an initialiser, add its function and one entry of the registry. There is none of zeros:
the units of a layer that begin equal have equal gradients, and stay equal.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


def _uniform(variance):
    """Draw from the uniform distribution of mean 0 and that variance, a function of the sizes."""

    def draw(random_state, n_in, n_out):
        bound = np.sqrt(3.0 * variance(n_in, n_out))
        return random_state.uniform(-bound, bound, (n_in, n_out))

    return draw


def _normal(variance):
    """Draw from the normal distribution of mean 0 and that variance, a function of the sizes."""

    def draw(random_state, n_in, n_out):
        return random_state.normal(0.0, np.sqrt(variance(n_in, n_out)), (n_in, n_out))

    return draw


def _glorot(n_in, n_out):
    return 2.0 / (n_in + n_out)


def _he(n_in, n_out):
    return 2.0 / n_in


def _lecun(n_in, n_out):
    return 1.0 / n_in


def orthogonal(random_state, n_in, n_out):
    """A matrix with orthonormal rows or columns, whichever are fewer; uniform among those."""
    drawn = random_state.normal(size=(max(n_in, n_out), min(n_in, n_out)))
    q, r = np.linalg.qr(drawn)
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return q if n_in >= n_out else q.T


@dataclass(frozen=True)
class Initializer:
    """A way to draw initial weights.

    Parameters
    ----------
    name : str
        The name that users write.
    summary : str
        What it is: for the documentation.
    draw : callable
        ``draw(random_state, n_in, n_out)`` returns the weights (n_in, n_out), float64.
    """

    name: str
    summary: str
    draw: Callable


INITIALIZERS = {
    initializer.name: initializer
    for initializer in (
        Initializer(
            "glorot_uniform", "uniform, variance 2 / (n_in + n_out); Glorot 2010", _uniform(_glorot)
        ),
        Initializer("glorot_normal", "normal, variance 2 / (n_in + n_out)", _normal(_glorot)),
        Initializer("he_uniform", "uniform, variance 2 / n_in; He 2015", _uniform(_he)),
        Initializer("he_normal", "normal, variance 2 / n_in", _normal(_he)),
        Initializer("lecun_uniform", "uniform, variance 1 / n_in; LeCun 1998", _uniform(_lecun)),
        Initializer("lecun_normal", "normal, variance 1 / n_in", _normal(_lecun)),
        Initializer("uniform", "uniform in [-1, 1]", _uniform(lambda n_in, n_out: 1.0 / 3.0)),
        Initializer("normal", "standard normal", _normal(lambda n_in, n_out: 1.0)),
        Initializer("orthogonal", "orthonormal rows or columns; Saxe 2013", orthogonal),
    )
}
