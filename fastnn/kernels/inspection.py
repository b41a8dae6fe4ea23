"""Inside a network: a hidden layer's activations, and gradients with respect to the inputs.

Both are made of the units that predict and train. Networks come here folded, without batch
normalisation.
"""

import numpy as np

from fastnn.kernels.cpu.pace import Pace
from fastnn.kernels.inputs import add_gather, read
from fastnn.kernels.layers.activation import activate_unit, add_activation
from fastnn.kernels.passes import ROW_BLOCK, Pass, chunk_rows
from fastnn.kernels.plan import Plan
from fastnn.kernels.prediction import predict


def hidden(network, params, X, layer, n_threads):
    """Activations (n_rows, n_units) of hidden layer ``layer``, from 0, for X."""
    name, slope = network.activations[layer], network.slopes(params)[layer]
    # The raw outputs of the layers before the activation are what it is of.
    before = network.up_to(network.activation_places[layer], params)
    out = predict(*before, X, False, n_threads)
    if name == "identity":
        return out
    plan = Plan()
    plan.group()
    plan.chain(row_block=ROW_BLOCK)
    unit = activate_unit(out.dtype.name, name)
    add_activation(plan, unit, out, out, slope, ROW_BLOCK)
    # All rows are one mini-batch, as nothing is kept between the tasks.
    Pace(plan.compile(), out.size, n_threads).run(len(out), len(out))
    return out


def input_gradient(network, params, X, weights, n_threads):
    """Gradient (n_rows, n_features), with respect to X, of its raw outputs times ``weights``.

    The weights (n_rows, n_outputs) are in the network's precision.
    """
    n_rows = X.shape[0]
    gradient = np.zeros((n_rows, network.n_inputs), params.dtype)  # (n_rows, n_features)
    chunk = min(n_rows, chunk_rows(network))
    source = read(network, X, chunk, params.dtype)
    pass_ = Pass(network, params, source, n_threads=n_threads, backward=True, input_delta=gradient)
    plan = pass_.plan
    plan.group()
    plan.chain(tasks=1)
    pass_.add_begin()
    pass_.begin_rows_group()
    pass_.add_forward()
    add_gather(plan, weights, pass_.outputs.delta.matrix, pass_.row_block)
    pass_.add_backward()
    plan.compile()
    pace = pass_.pace()
    pass_.preparation().run(1, 1, (0, 1), pace.team)
    pace.run(n_rows, chunk)
    return gradient
