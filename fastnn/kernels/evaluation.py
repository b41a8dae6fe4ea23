"""Outputs and the rows' losses from raw predictions, by the units that training has."""

import numpy as np

from fastnn.kernels import catalog
from fastnn.kernels.losses import LOSSES
from fastnn.kernels.passes import chunk_rows
from fastnn.kernels.plan import Plan


def evaluate(network, raw, y):
    """Outputs (n, n_outputs) of raw predictions, in their place, and losses (n,) against y.

    y is (n, n_targets); a row's loss is of all its outputs, or their mean where the loss says so.
    """
    n = len(raw)
    chunk = min(n, chunk_rows(network))
    z = np.zeros((chunk, raw.shape[1]), raw.dtype)  # (chunk, n_outputs)
    outputs, deltas = np.zeros_like(z), np.zeros_like(z)
    targets = np.zeros((chunk, y.shape[1]), raw.dtype)  # (chunk, n_targets)
    row_loss = np.zeros(chunk)  # (chunk,)
    plan = _plan(network, z, targets, deltas, row_loss, outputs)
    losses = np.empty(n)  # (n,)
    for start in range(0, n, chunk):
        rows = slice(start, min(start + chunk, n))
        size = rows.stop - rows.start
        z[:size] = outputs[:size] = raw[rows]
        targets[:size] = y[rows]
        plan.run(size, size, (0, 1))
        losses[rows], raw[rows] = row_loss[:size], outputs[:size]
    if LOSSES[network.loss].mean_over_outputs:
        losses /= raw.shape[1]
    return raw, losses


def _plan(network, z, targets, deltas, row_loss, outputs):
    """The losses and the output activation of one chunk."""
    plan, precision = Plan(), z.dtype.name
    chunk, n_outputs = z.shape
    plan.group()
    plan.chain(tasks=1)
    plan.add(
        catalog.output_unit(precision, network.loss), z_at=z, y_at=targets,
        n_targets=targets.shape[1], delta_at=deltas, n=n_outputs, weights_at=None,
        parameter_at=np.array([network.loss_parameter]), row_loss_at=row_loss, block=chunk,
    )  # fmt: skip
    if network.out_activation != "identity":
        plan.add(
            catalog.link_unit(precision, network.loss), z_at=outputs, n=n_outputs, moving=False,
            block=chunk,
        )  # fmt: skip
    return plan.compile()
