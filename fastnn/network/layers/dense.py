"""Dense layers: every output is a weighted sum of all inputs, and a bias."""

from dataclasses import dataclass, field

import numpy as np

from fastnn.network.initializers import INITIALIZERS
from fastnn.network.layers.base import Block, Layer, Role


@dataclass(frozen=True)
class Dense(Layer):
    """A dense layer: inputs times weights (n_in, n_out), plus biases (n_out,).

    Parameters
    ----------
    n_in, n_out : int
    init_factor : float
        With ``weight_init="auto"``, weights and biases are uniform within
        sqrt(init_factor / (n_in + n_out)); 6 is Glorot's. It is no part of what the layer is.
    """

    n_in: int
    n_out: int
    init_factor: float = field(default=6.0, compare=False)
    kind = "dense"

    @property
    def n_products(self):
        return self.n_in * self.n_out

    @property
    def blocks(self):
        return (
            Block("weights", (self.n_in, self.n_out), Role.WEIGHTS),
            Block("biases", (self.n_out,), Role.BIASES),
        )

    def initialize(self, views, random_state, weight_init):
        """Draw weights, in float64, and biases where scikit-learn draws them, with "auto"."""
        weights, biases = views["weights"], views["biases"]
        if weight_init != "auto":
            weights[...] = INITIALIZERS[weight_init].draw(random_state, self.n_in, self.n_out)
            biases[...] = 0
            return
        bound = np.sqrt(self.init_factor / (self.n_in + self.n_out))
        weights[...] = random_state.uniform(-bound, bound, weights.shape)
        biases[...] = random_state.uniform(-bound, bound, self.n_out)
