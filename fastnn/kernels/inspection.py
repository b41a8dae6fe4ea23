"""Inside a network: a hidden layer's activations, and gradients with respect to the inputs.

Both are made of the units that predict and train. Networks come here folded, without batch
normalisation.
"""

import numpy as np

from fastnn.kernels.inputs import add_gather, read
from fastnn.kernels.layers.activation import activate_unit, add_activation
from fastnn.kernels.passes import Pass, chunk_rows
from fastnn.kernels.plan import Plan
from fastnn.kernels.prediction import predict


def hidden(network, machine, params, X, layer):
    """Activations (n_rows, n_units) of hidden layer ``layer``, from 0, for X."""
    name, slope = network.activations[layer], network.slopes(params)[layer]
    # The raw outputs of the layers before the activation are what it is of.
    before = network.up_to(network.activation_places[layer], params)
    out = predict(before[0], machine, before[1], X, False)
    if name == "identity":
        return out
    plan, block = Plan(machine), machine.row_block(len(out))
    plan.group()
    plan.chain(row_block=block)
    unit = activate_unit(out.dtype.name, name)
    add_activation(plan, unit, out, out, slope, block)
    # All rows are one mini-batch, as nothing is kept between the tasks.
    machine.pace(plan.compile(), out.size).run(len(out), len(out))
    machine.pull(out)
    return out


def input_gradient(network, machine, params, X, weights):
    """Gradient (n_rows, n_features), with respect to X, of its raw outputs times ``weights``.

    The weights (n_rows, n_outputs) are in the network's precision.
    """
    n_rows = X.shape[0]
    gradient = np.zeros((n_rows, network.n_inputs), params.dtype)  # (n_rows, n_features)
    chunk = min(n_rows, chunk_rows(network))
    source = read(machine, network, X, chunk, params.dtype)
    params, target = machine.mirror(params), machine.mirror(gradient)
    pass_ = Pass(network, machine, params, source, backward=True, input_delta=target)
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
    pace.run_once(pass_.preparation())
    pace.run(n_rows, chunk)
    machine.pull(gradient)
    return gradient
