"""The layer table, the flat parameter vector and its views, and the initial weights.

NumPy only. One flat vector holds every parameter of a network, all weight
matrices first and all biases after them, so that an optimizer step is one loop,
L2 regularisation is one slice, and the order is the one in which L-BFGS and
scikit-learn pack theirs.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from operator import index
from typing import ClassVar

import numpy as np

from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.losses import LINKS, LOSSES
from fastnn.network.initializers import INITIALIZERS


@dataclass(frozen=True)
class Layer:
    """One row of the layer table: sizes, and where its parameters lie."""

    n_in: int
    n_out: int
    weight_offset: int
    bias_offset: int
    # A hidden layer may have these: the scale and then the shift (n_out,) of its batch
    # normalisation; the running mean and then the variance; its activation's own parameter.
    norm_offset: int | None = None
    running_offset: int | None = None
    slope_offset: int | None = None


def _learned(name):
    """The first value of an activation's own parameter; None if it has none or is unknown."""
    return ACTIVATIONS[name].learned if name in ACTIVATIONS else None


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
    batch_norm : bool
        Whether every hidden layer is normalised over the mini-batch, before its activation.
    link : str or None
        Output activation of predictions, "softmax" or a key of ``LINKS``, where a user has chosen
        another than the loss's. Such a network is not trained.
    """

    layer_units: tuple[int, ...]
    activation: str | tuple[str, ...]
    loss: str
    loss_parameter: float = 0.0
    batch_norm: bool = False
    link: str | None = None
    # Added to a variance before its root is divided by.
    norm_epsilon: ClassVar[float] = 1e-5

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
    def n_trained(self):
        """Number of parameters that training learns; they come before the others."""
        n_biases = sum(self.layer_units[1:])
        n_slopes = sum(_learned(name) is not None for name in self.activations)
        n_norms = 2 * sum(self.layer_units[1:-1]) if self.batch_norm else 0
        return self.n_weights + n_biases + n_norms + n_slopes

    @property
    def n_params(self):
        """Number of parameters: what is learned, and running means and variances."""
        return self.n_trained + (2 * sum(self.layer_units[1:-1]) if self.batch_norm else 0)

    @property
    def out_activation(self):
        """Name of the output activation: the loss's inverse link, if there is no other."""
        return LOSSES[self.loss].out_activation if self.link is None else self.link

    @classmethod
    def from_plain(cls, values):
        """The network that `dataclasses.asdict` made these values of, checked.

        Raises
        ------
        ValueError
            If they do not describe a network.
        """
        try:
            names = values["activation"]
            network = cls(
                tuple(map(index, values["layer_units"])),
                names if isinstance(names, str) else tuple(map(str, names)),
                str(values["loss"]),
                float(values["loss_parameter"]),
                bool(values["batch_norm"]),
                values["link"],
            )
            n_hidden = len(network.layer_units) - 2
            if n_hidden < 0 or min(network.layer_units) < 1 or len(network.activations) != n_hidden:
                raise ValueError
            if network.link not in (None, "softmax", *LINKS):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f"The state of this estimator describes no network: {values!r}."
            ) from None
        return network

    @property
    def layers(self):
        """The layer table, a list of `Layer`: what each has, in the order of the flat vector."""
        shapes = list(pairwise(self.layer_units))
        hidden = self.layer_units[1:-1]
        sizes = {
            "weight_offset": [n * m for n, m in shapes],
            "bias_offset": [m for _, m in shapes],
            "norm_offset": [2 * n for n in hidden] if self.batch_norm else [],
            "slope_offset": [0 if _learned(name) is None else 1 for name in self.activations],
            "running_offset": [2 * n for n in hidden] if self.batch_norm else [],
        }
        places, end = [{"n_in": n_in, "n_out": n_out} for n_in, n_out in shapes], 0
        for field, of_layers in sizes.items():
            for place, size in zip(places, of_layers, strict=False):
                if size > 0:
                    place[field] = end
                end += size
        return [Layer(**place) for place in places]

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

    def layerwise(self, params):
        """Weights of all layers, then biases of all, as views of ``params``."""
        return [*self.coefs(params), *self.intercepts(params)]

    def norms(self, params):
        """Scale, shift, running mean and running variance of the hidden layers.

        Returns
        -------
        norms : tuple of four lists of ndarray of shape (n_out,)
            Views of ``params``; the lists are empty without batch normalisation.
        """
        norms = ([], [], [], [])
        for layer in self.layers:
            if layer.norm_offset is None:
                continue
            places = (layer.norm_offset, layer.norm_offset + layer.n_out)
            places += (layer.running_offset, layer.running_offset + layer.n_out)
            for views, place in zip(norms, places, strict=True):
                views.append(params[place : place + layer.n_out])
        return norms

    def slopes(self, params):
        """The parameter of each hidden layer's activation, a view (1,) of ``params`` or None."""
        return [
            None
            if layer.slope_offset is None
            else params[layer.slope_offset : layer.slope_offset + 1]
            for layer in self.layers[:-1]
        ]

    def reset_extras(self, params):
        """Set what is neither a weight nor a bias to what training begins with."""
        for views, value in zip(self.norms(params), (1.0, 0.0, 0.0, 1.0), strict=True):
            for view in views:
                view[...] = value
        for name, slope in zip(self.activations, self.slopes(params), strict=True):
            if slope is not None:
                slope[...] = ACTIVATIONS[name].learned

    def folded(self, params):
        """A network without batch normalisation that predicts the same, and its parameters.

        The running mean and variance go into weights and biases, in float64.
        """
        if not self.batch_norm:
            return self, params
        plain = replace(self, batch_norm=False)
        coefs = [coef.astype(np.float64) for coef in self.coefs(params)]
        intercepts = [intercept.astype(np.float64) for intercept in self.intercepts(params)]
        for i, (scale, shift, mean, variance) in enumerate(zip(*self.norms(params), strict=True)):
            factor = scale / np.sqrt(variance.astype(np.float64) + self.norm_epsilon)
            coefs[i] *= factor
            intercepts[i] = (intercepts[i] - mean) * factor + shift
        result = plain.pack(coefs, intercepts, params.dtype)
        for slope, old in zip(plain.slopes(result), self.slopes(params), strict=True):
            if slope is not None:
                slope[...] = old
        return plain, result

    def carried_over(self, params, network):
        """The parameters for another network, of the same units, that goes on from this one.

        What is learned in both stays, what is new begins anew, and batch normalisation that goes
        is folded in.
        """
        fitted = self
        if fitted.batch_norm and not network.batch_norm:
            fitted, params = fitted.folded(params)
        if network.layers == fitted.layers:
            return params
        result = network.pack(fitted.coefs(params), fitted.intercepts(params), params.dtype)
        for targets, values in zip(network.norms(result), fitted.norms(params), strict=True):
            for target, value in zip(targets, values, strict=False):
                target[...] = value
        slopes = zip(network.slopes(result), fitted.slopes(params), strict=True)
        for i, (target, value) in enumerate(slopes):
            same = network.activations[i] == fitted.activations[i]
            if same and target is not None:
                target[...] = value
        return result

    def pack(self, coefs, intercepts, dtype):
        """Copy weights and biases into a new flat vector (n_params,)."""
        params = np.empty(self.n_params, dtype=dtype)
        self.reset_extras(params)
        for view, values in zip(self.layerwise(params), [*coefs, *intercepts], strict=True):
            view[...] = values
        return params

    def initialize(self, random_state, dtype, weight_init="auto"):
        """Draw initial parameters, in float64, layer by layer; then cast them.

        With "auto" as scikit-learn does: Glorot's uniform bound, sqrt(6 / (fan_in + fan_out)),
        with the activation's factor instead of 6, for weights and biases alike. Otherwise
        by an entry of ``INITIALIZERS``, with biases of zero.
        """
        params = np.zeros(self.n_params, dtype=dtype)
        self.reset_extras(params)
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
