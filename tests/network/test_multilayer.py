"""Multi-layer perceptrons as sequences of layers, and their plain form."""

import pytest

from fastnn.network.multilayer import from_plain, multilayer_perceptron, to_plain


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(
    ("layer_units", "names"), [((3, 2), ()), ((3, 4, 2), ("tanh",)), ((3, 4, 5, 1), ("elu", "x"))]
)
def test_plain_form(layer_units, names, batch_norm):
    """It makes the same network again, also where an activation is not known."""
    network = multilayer_perceptron(layer_units, names, "huber", 0.5, batch_norm, "tanh")
    again = from_plain(to_plain(network))
    assert again == network
    assert (again.layer_units, again.activations, again.link) == (layer_units, names, "tanh")
    assert again.batch_norm == (batch_norm and len(names) > 0)
    assert len(again.layers) == 1 + len(names) * (3 if batch_norm else 2)


def test_activations_as_many_as_hidden_layers():
    with pytest.raises(ValueError, match="do not have the activations"):
        multilayer_perceptron((3, 4, 2), ("relu", "relu"), "log_loss")
