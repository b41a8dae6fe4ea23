"""Multi-layer perceptrons: the networks that the estimators train, and their plain form."""

from operator import index

from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.losses import LINKS
from fastnn.network.layers.activation import Activation
from fastnn.network.layers.batch_norm import BatchNorm
from fastnn.network.layers.dense import Dense
from fastnn.network.network import Network

GLOROTS_FACTOR = 6.0


def multilayer_perceptron(
    layer_units, activation, loss, loss_parameter=0.0, batch_norm=False, link=None
):
    """A network of dense layers, with an activation between each two.

    Parameters
    ----------
    layer_units : tuple of int
        Units of each layer, from the input features to the outputs.
    activation : str or tuple of str
        Activation of every hidden layer, or of each, keys of ``ACTIVATIONS``.
    loss, loss_parameter, link
        As in `Network`.
    batch_norm : bool
        Whether every hidden layer is normalised over the mini-batch, before its activation.

    Returns
    -------
    network : Network

    Raises
    ------
    ValueError
        If there are not as many activations as hidden layers, or no outputs.
    """
    n_hidden = len(layer_units) - 2
    names = (activation,) * n_hidden if isinstance(activation, str) else tuple(activation)
    if n_hidden < 0 or len(names) != n_hidden:
        raise ValueError(f"layer_units={layer_units} do not have the activations {names}.")
    layers = []
    for n_in, n_out, name in zip(layer_units, layer_units[1:-1], names, strict=False):
        layers.append(Dense(n_in, n_out, _init_factor(name)))
        if batch_norm:
            layers.append(BatchNorm(n_out))
        layers.append(Activation(n_out, name))
    # Weights that lead to the outputs are drawn by the last activation, and those of a network
    # without hidden layers by the one that hidden layers would have.
    last = names[-1] if names else activation
    layers.append(Dense(*layer_units[-2:], _init_factor(last)))
    return Network(tuple(layers), loss, loss_parameter, link)


def _init_factor(name):
    """The factor of an activation; Glorot's for none, or for one that is not known here."""
    return ACTIVATIONS[name].init_factor if name in ACTIVATIONS else GLOROTS_FACTOR


def to_plain(network):
    """The arguments of `multilayer_perceptron` that make this network, a dict of plain values."""
    return {
        "layer_units": network.layer_units,
        "activation": network.activations,
        "loss": network.loss,
        "loss_parameter": network.loss_parameter,
        "batch_norm": network.batch_norm,
        "link": network.link,
    }


def from_plain(values):
    """The network that `to_plain` made these values of, checked.

    Raises
    ------
    ValueError
        If they do not describe a network.
    """
    try:
        units = tuple(map(index, values["layer_units"]))
        if min(units) < 1 or values["link"] not in (None, "softmax", *LINKS):
            raise ValueError
        names = values["activation"]
        return multilayer_perceptron(
            units,
            names if isinstance(names, str) else tuple(map(str, names)),
            str(values["loss"]),
            float(values["loss_parameter"]),
            bool(values["batch_norm"]),
            values["link"],
        )
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"The state of this estimator describes no network: {values!r}.") from None
