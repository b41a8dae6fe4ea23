"""The registry of the operations of layers."""

from fastnn.kernels.layers.kinds import OPERATIONS
from fastnn.network.layers import activation, base, batch_norm, dense, dropout


def test_every_kind_of_layer_has_operations():
    modules = (activation, batch_norm, dense, dropout)
    classes = [value for module in modules for value in vars(module).values()]
    layers = {
        value for value in classes if isinstance(value, type) and issubclass(value, base.Layer)
    }
    # Other tests in this process may have added the toy layer.
    assert {layer.kind for layer in layers if hasattr(layer, "kind")} == set(OPERATIONS) - {"scale"}
