"""Networks: a sequence of layers and a loss, the views of their parameters, and initial weights."""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from fastnn.kernels.losses import LOSSES
from fastnn.network.layers.activation import Activation
from fastnn.network.layers.base import Layer
from fastnn.network.layers.batch_norm import BatchNorm
from fastnn.network.layers.dense import Dense
from fastnn.network.layers.dropout import Dropout
from fastnn.network.layout import Layout

# The names of the blocks of batch normalisation, in the order of `Network.norms`.
NORMS = ("scale", "shift", "running_mean", "running_variance")


@dataclass(frozen=True)
class Network:
    """The mathematics of a network; its parameters are one flat vector (n_params,) beside it.

    Parameters
    ----------
    layers : tuple of Layer
        From the inputs to the raw outputs.
    loss : str
        The loss, a key of ``LOSSES``. It fixes the output activation.
    loss_parameter : float
        The loss's parameter, where it has one.
    link : str or None
        Output activation of predictions, "softmax" or a key of ``LINKS``, where a user has chosen
        another than the loss's. Such a network is not trained.

    Raises
    ------
    ValueError
        If there is no layer, or one does not take as many values as the layer before it makes.
    """

    layers: tuple[Layer, ...]
    loss: str
    loss_parameter: float = 0.0
    link: str | None = None

    def __post_init__(self):
        if not self.layers:
            raise ValueError("A network has at least one layer.")
        for before, after in pairwise(self.layers):
            if before.n_out != after.n_in:
                raise ValueError(f"{after} cannot follow {before}, which makes {before.n_out}.")

    # ---- sizes ---------------------------------------------------------------------

    @property
    def n_inputs(self):
        """Number of input features."""
        return self.layers[0].n_in

    @property
    def n_outputs(self):
        """Number of outputs."""
        return self.layers[-1].n_out

    @cached_property
    def widest(self):
        """The most values of a row that there are anywhere in the network."""
        return max(self.n_inputs, *(layer.n_out for layer in self.layers))

    @cached_property
    def products(self):
        """Multiplications of each layer's matrix product for one row, a tuple."""
        return tuple(layer.n_products for layer in self.layers)

    @cached_property
    def n_values(self):
        """Values of a row that matrix products read and make, inputs and outputs included."""
        return self.n_inputs + sum(layer.n_out for layer in self.layers if layer.n_products > 0)

    @cached_property
    def layout(self):
        """Where the parameters lie, a `Layout`."""
        return Layout.of(self.layers)

    @property
    def n_weights(self):
        """Number of parameters that penalties are for; they come first in the flat vector."""
        return self.layout.n_decayed

    @property
    def n_trained(self):
        """Number of parameters that training learns; they come before the others."""
        return self.layout.n_learned

    @property
    def n_params(self):
        """Number of parameters: what is learned, and running means and variances."""
        return self.layout.n_params

    def layers_with_dropout(self, rates):
        """The layers while they are trained: dropout follows each activation that has a rate.

        Parameters
        ----------
        rates : tuple of float
            For the inputs, whose dropout is no layer, and for each hidden layer.

        Returns
        -------
        layers : list of (Layer, dict)
            Each layer with the places of its parameters, of which dropout has none.
        """
        layers, number = [], 0
        for layer, places in zip(self.layers, self.layout.places, strict=True):
            layers.append((layer, places))
            if isinstance(layer, Activation):
                number += 1
                if rates[number] > 0:
                    layers.append((Dropout(layer.n, number), {}))
        return layers

    # ---- what a user of scikit-learn knows of it -----------------------------------

    @cached_property
    def layer_units(self):
        """Units from the input features to the outputs, with those of every hidden layer."""
        dense = (layer.n_out for layer in self.layers if isinstance(layer, Dense))
        return (self.n_inputs, *dense)

    @cached_property
    def activation_places(self):
        """The place of each hidden layer's activation among the layers, a tuple."""
        places = enumerate(self.layers)
        return tuple(i for i, layer in places if isinstance(layer, Activation))

    @cached_property
    def activations(self):
        """The name of the activation of each hidden layer, a tuple."""
        return tuple(self.layers[i].name for i in self.activation_places)

    @cached_property
    def batch_norm(self):
        """Whether hidden layers are normalised over the mini-batch, before their activation."""
        return any(isinstance(layer, BatchNorm) for layer in self.layers)

    @property
    def out_activation(self):
        """Name of the output activation: the loss's inverse link, if there is no other."""
        return LOSSES[self.loss].out_activation if self.link is None else self.link

    # ---- views of the parameters ---------------------------------------------------

    def _views(self, params, kind, name):
        """The blocks of that name of all layers of a kind, as views of ``params``."""
        return [
            places[name].view(params)
            for layer, places in zip(self.layers, self.layout.places, strict=True)
            if isinstance(layer, kind)
        ]

    def coefs(self, params):
        """Weight matrices (n_in, n_out), as views of ``params``."""
        return self._views(params, Dense, "weights")

    def intercepts(self, params):
        """Bias vectors (n_out,), as views of ``params``."""
        return self._views(params, Dense, "biases")

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
        return tuple(self._views(params, BatchNorm, name) for name in NORMS)

    def slopes(self, params):
        """The parameter of each hidden layer's activation, a view (1,) of ``params`` or None."""
        places = (self.layout.places[i].get("slope") for i in self.activation_places)
        return [None if place is None else place.view(params) for place in places]

    # ---- new parameters ------------------------------------------------------------

    def pack(self, coefs, intercepts, dtype):
        """Copy weights and biases into a new flat vector; the rest is as training begins."""
        params = np.empty(self.n_params, dtype=dtype)
        for places in self.layout.places:
            for place in places.values():
                place.view(params)[...] = place.block.initial
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
        for layer, views in zip(self.layers, self.layout.views(params), strict=True):
            layer.initialize(views, random_state, weight_init)
        return params

    # ---- other networks ------------------------------------------------------------

    def up_to(self, place, params):
        """The network of the layers before the one at that place, and its parameters."""
        part = replace(self, layers=self.layers[:place])
        return part, part._filled(self.layout.views(params)[:place], params.dtype)

    def _filled(self, views, dtype):
        """A flat vector with these values, for each layer a dict by the names of its blocks."""
        params = np.empty(self.n_params, dtype)
        for places, values in zip(self.layout.places, views, strict=True):
            for name, place in places.items():
                place.view(params)[...] = values[name]
        return params

    def folded(self, params):
        """A network without batch normalisation that predicts the same, and its parameters.

        The running mean and variance go into weights and biases, in float64.

        Raises
        ------
        ValueError
            If a layer of batch normalisation does not follow a dense one.
        """
        if not self.batch_norm:
            return self, params
        layers, views = [], []
        for layer, own in zip(self.layers, self.layout.views(params), strict=True):
            if isinstance(layer, BatchNorm):
                if not (layers and isinstance(layers[-1], Dense)):
                    raise ValueError(f"There is no dense layer before {layer} to fold it into.")
                views[-1] = layer.folded_into(views[-1], own)
            else:
                layers.append(layer)
                views.append(own)
        plain = replace(self, layers=tuple(layers))
        return plain, plain._filled(views, params.dtype)

    def carried_over(self, params, network):
        """The parameters for another network, of the same units, that goes on from this one.

        What is learned in both stays, what is new begins anew, and batch normalisation that goes
        is folded in.
        """
        fitted = self
        if fitted.batch_norm and not network.batch_norm:
            fitted, params = fitted.folded(params)
        if network.layout == fitted.layout:
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
