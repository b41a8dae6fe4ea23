"""The layer table, the flat parameter vector and its views, and the initial weights.

NumPy only. One flat vector holds every parameter of a network, all weight
matrices first and all biases after them, so that an optimizer step is one loop,
L2 regularisation is one slice, and the order is the one in which L-BFGS and
scikit-learn pack theirs.
"""

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from fastnn.initializers import INITIALIZERS
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.losses import LOSSES


@dataclass(frozen=True)
class Layer:
    """One row of the layer table: sizes, and where its parameters lie."""

    n_in: int
    n_out: int
    weight_offset: int
    bias_offset: int


@dataclass(frozen=True)
class Network:
    """The shape and the mathematics of a multi-layer perceptron.

    Parameters
    ----------
    layer_units : tuple of int
        Units of each layer, from the input features to the outputs.
    activation : str or tuple of str
        Activation of every hidden layer, or of each, keys of ``ACTIVATIONS``.
    loss : str
        The loss, a key of ``LOSSES``. It fixes the output activation.
    loss_parameter : float
        The loss's parameter, where it has one.
    """

    layer_units: tuple[int, ...]
    activation: str | tuple[str, ...]
    loss: str
    loss_parameter: float = 0.0

    @property
    def activations(self):
        """Activation of each hidden layer, a tuple."""
        if isinstance(self.activation, str):
            return (self.activation,) * (len(self.layer_units) - 2)
        return self.activation

    @property
    def n_weights(self):
        """Number of weights; they come first in the flat vector."""
        return sum(n_in * n_out for n_in, n_out in pairwise(self.layer_units))

    @property
    def n_params(self):
        """Number of weights and biases."""
        return self.n_weights + sum(self.layer_units[1:])

    @property
    def out_activation(self):
        """Name of the output activation, the loss's inverse link."""
        return LOSSES[self.loss].out_activation

    @property
    def layers(self):
        """The layer table, a list of `Layer`."""
        shapes = list(pairwise(self.layer_units))
        weight_offsets = accumulate((n * m for n, m in shapes), initial=0)
        bias_offsets = accumulate((m for _, m in shapes), initial=self.n_weights)
        return [
            Layer(n_in, n_out, weight_offset, bias_offset)
            for (n_in, n_out), weight_offset, bias_offset in zip(
                shapes, weight_offsets, bias_offsets, strict=False
            )
        ]

    def coefs(self, params):
        """Weight matrices (n_in, n_out), as views of ``params``."""
        return [
            params[layer.weight_offset : layer.weight_offset + layer.n_in * layer.n_out].reshape(
                layer.n_in, layer.n_out
            )
            for layer in self.layers
        ]

    def intercepts(self, params):
        """Bias vectors (n_out,), as views of ``params``."""
        return [
            params[layer.bias_offset : layer.bias_offset + layer.n_out] for layer in self.layers
        ]

    def pack(self, coefs, intercepts, dtype):
        """Copy weights and biases into a new flat vector (n_params,)."""
        params = np.empty(self.n_params, dtype=dtype)
        views = self.coefs(params) + self.intercepts(params)
        for view, values in zip(views, [*coefs, *intercepts], strict=True):
            view[...] = values
        return params

    def initialize(self, random_state, dtype, weight_init="auto"):
        """Draw initial parameters, in float64, layer by layer; then cast them.

        With "auto" as scikit-learn does: Glorot's uniform bound, sqrt(6 / (fan_in + fan_out)),
        with the activation's factor instead of 6, for weights and biases alike. Otherwise
        by an entry of ``INITIALIZERS``, with biases of zero.
        """
        params = np.zeros(self.n_params, dtype=dtype)
        for layer, factor, coef, intercept in zip(
            self.layers, self._init_factors, self.coefs(params), self.intercepts(params),
            strict=True,
        ):  # fmt: skip
            if weight_init != "auto":
                coef[...] = INITIALIZERS[weight_init].draw(random_state, layer.n_in, layer.n_out)
                continue
            bound = np.sqrt(factor / (layer.n_in + layer.n_out))
            coef[...] = random_state.uniform(-bound, bound, coef.shape)
            intercept[...] = random_state.uniform(-bound, bound, layer.n_out)
        return params

    @property
    def _init_factors(self):
        """The factor of each layer: of its own activation; the output's, of the one before."""
        if isinstance(self.activation, str):
            return [ACTIVATIONS[self.activation].init_factor] * len(self.layers)
        factors = [ACTIVATIONS[name].init_factor for name in self.activation]
        return [*factors, factors[-1] if factors else 6.0]


@dataclass(frozen=True)
class Data:
    """What a network is trained on.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, n_features), float32 or float64
        Any strides; CSR with sorted indices.
    y : ndarray of shape (n, n_targets)
        Class indices (n, 1) for the softmax loss, else one column per output.
    sample_weight : ndarray of shape (n,) or None
    """

    X: Any
    y: np.ndarray
    sample_weight: np.ndarray | None = None


@dataclass(frozen=True)
class Regularization:
    """What training does against overfitting, and against gradients that explode.

    Parameters
    ----------
    alpha : float
        Strength of the penalty on the weights, or a decoupled optimizer's decay.
    l1_ratio : float
        The part of ``alpha`` that is an L1 penalty; the rest is L2 (or the decay).
    dropout : tuple of float
        For the input and for each hidden layer, the probability that a unit is left out.
    max_grad_norm : float or None
        The norm that the gradient of all parameters is scaled down to.
    seed : int
        Of the masks of dropout.
    """

    alpha: float = 0.0
    l1_ratio: float = 0.0
    dropout: tuple[float, ...] = ()
    max_grad_norm: float | None = None
    seed: int = 0

    @property
    def has_dropout(self):
        """Whether any unit may be left out."""
        return any(self.dropout)
