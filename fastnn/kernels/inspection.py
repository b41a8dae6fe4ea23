"""Inside a network: a hidden layer's activations, and gradients with respect to the inputs.

Both are made of the units that predict and train. Networks come here folded, without batch
normalisation.
"""

from dataclasses import replace

import numpy as np

from fastnn.kernels import catalog
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.cpu.pace import Pace
from fastnn.kernels.inputs import add_gather, read
from fastnn.kernels.passes import ROW_BLOCK, Pass, chunk_rows
from fastnn.kernels.plan import Plan
from fastnn.kernels.prediction import predict


def up_to_hidden(network, params, layer):
    """The network whose raw outputs are the sums of hidden layer ``layer``, and its parameters."""
    n_layers = layer + 1
    part = replace(
        network,
        layer_units=network.layer_units[: n_layers + 1],
        activation=network.activations[:layer],
    )
    coefs, intercepts = network.coefs(params)[:n_layers], network.intercepts(params)[:n_layers]
    result = part.pack(coefs, intercepts, params.dtype)
    for slope, learned in zip(part.slopes(result), network.slopes(params), strict=False):
        if slope is not None:
            slope[...] = learned
    return part, result


def hidden(network, params, X, layer, n_threads):
    """Activations (n_rows, n_units) of hidden layer ``layer``, from 0, for X."""
    out = predict(*up_to_hidden(network, params, layer), X, False, n_threads)
    activation = ACTIVATIONS[network.activations[layer]]
    if activation.name == "identity":
        return out
    plan = Plan()
    plan.group()
    plan.chain(row_block=ROW_BLOCK)
    slope = network.slopes(params)[layer]
    plan.add(
        catalog.activate_unit(params.dtype.name, activation.name), z_at=out, a_at=out,
        ld=out.shape[1], block=ROW_BLOCK, **({} if slope is None else {"slope_at": slope}),
    )  # fmt: skip
    # All rows are one mini-batch, as nothing is kept between the tasks.
    Pace(plan.compile(), out.size, n_threads).run(len(out), len(out))
    return out


def input_gradient(network, params, X, weights, n_threads):
    """Gradient (n_rows, n_features), with respect to X, of its raw outputs times ``weights``.

    The weights (n_rows, n_outputs) are in the network's precision.
    """
    n_rows = X.shape[0]
    gradient = np.zeros((n_rows, network.layer_units[0]), params.dtype)  # (n_rows, n_features)
    chunk = min(n_rows, chunk_rows(network))
    source = read(X, chunk, params.dtype)
    shared = Pass(network, params, source, n_threads=n_threads, backward=True, to_input=True)
    plan = shared.plan
    plan.group()
    plan.chain(tasks=1)
    shared.add_begin()
    shared.begin_rows_group()
    shared.add_forward()
    add_gather(plan, weights, shared.buffers.deltas[-1], shared.row_block)
    shared.add_backward()
    shared.add_delta(0, gradient, moves=True)
    plan.compile()
    pace = shared.pace()
    shared.preparation().run(1, 1, (0, 1), pace.team)
    pace.run(n_rows, chunk)
    return gradient
