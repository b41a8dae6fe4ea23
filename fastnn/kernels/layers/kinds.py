"""The ``OPERATIONS`` registry: the operations of each kind of layer, by the layer's ``kind``."""

from fastnn.kernels.layers.activation import ActivationOperations
from fastnn.kernels.layers.batch_norm import BatchNormOperations
from fastnn.kernels.layers.dense import DenseOperations
from fastnn.kernels.layers.dropout import DropoutOperations

OPERATIONS = {
    "activation": ActivationOperations,
    "batch_norm": BatchNormOperations,
    "dense": DenseOperations,
    "dropout": DropoutOperations,
}
