"""The NumPy oracle as a backend, and one that records what it is asked for."""

from dataclasses import dataclass, field

import numpy as np

from fastnn import backends
from fastnn.network.data import Data
from reference import (
    OUTPUT_ACTIVATIONS,
    Penalty,
    batch_of,
    dropout_masks,
    forward_pass,
    loss_and_gradient,
    loss_of_rows,
    take_step,
    targets_of,
)


@dataclass
class ReferenceTrainer:
    network: object
    data: Data
    state: object
    regularization: object
    batch_size: int

    def __post_init__(self):
        self.params, self.optimizer = self.state.params, self.state.optimizer

    def train_epoch(self, order, rates=None, deadline=None):
        total, self.rows_done = 0.0, len(order)
        for batch, start in enumerate(range(0, len(order), self.batch_size)):
            rate = self.optimizer.rate if rates is None else rates[batch]
            total += self.train_batch(order[start : start + self.batch_size], rate)
        return total / len(order)

    def train_batch(self, rows, rate):
        """Take one step; return the loss times the rows."""
        regularization = self.regularization
        masks = None
        if regularization.has_dropout:
            self.state.random_steps += 1
            step = int(self.state.random_steps[0])
            masks = dropout_masks(self.network, regularization, step, len(rows))
        weights = self.data.sample_weight
        weight = None if weights is None else weights[rows]
        if weight is not None and weight.sum() == 0:
            return 0.0
        alpha_1 = regularization.alpha * regularization.l1_ratio
        # Decay that is decoupled is no part of the loss.
        alpha = 0.0 if self.optimizer.rule.decoupled else regularization.alpha - alpha_1
        self.optimizer.step_rate[0] = rate
        loss, gradient = loss_and_gradient(
            self.network,
            self.params,
            batch_of(self.data.X, rows, self.params.dtype),
            self.data.y[rows],
            weight,
            Penalty(alpha, alpha_1),
            masks,
            regularization.norm_momentum,
        )
        if regularization.max_grad_norm is not None:
            gradient *= min(
                1.0, regularization.max_grad_norm / max(np.linalg.norm(gradient), 1e-300)
            )
        take_step(self.network, self.optimizer, self.params, gradient)
        return loss * len(rows)

    def fetch(self):
        """Nothing: the state is up to date."""


@dataclass
class ReferenceBackend:
    """The Backend protocol on plain NumPy. ``calls`` lists the verbs used, in order."""

    calls: list = field(default_factory=list)

    def trainer(self, network, data, state, *, regularization, batch_size):
        self.calls.append("trainer")
        return ReferenceTrainer(network, data, state, regularization, int(batch_size))

    def objective(self, network, data, *, alpha, dtype, rows=None):
        self.calls.append("objective")
        batch = batch_of(data.X, rows, dtype)
        y, weights = data.y, data.sample_weight
        if rows is not None:
            y, weights = y[rows], None if weights is None else weights[rows]

        def evaluate(params):
            loss, gradient = loss_and_gradient(
                network, params.astype(dtype), batch, y, weights, Penalty(alpha)
            )
            return loss, gradient.astype(np.float64)

        return evaluate

    def evaluation(self, network, data, *, dtype, rows=None):
        y = targets_of(network, data.y if rows is None else data.y[rows], dtype)

        def evaluate(params):
            z = self.raw_outputs(network, params, data.X, rows)
            return OUTPUT_ACTIVATIONS[network.out_activation](z), loss_of_rows(network, y, z)

        return evaluate

    def forward(self, network, params, X, *, link=True, plans=None):
        z = self.raw_outputs(network, params, X)
        return OUTPUT_ACTIVATIONS[network.out_activation](z) if link else z

    def raw_outputs(self, network, params, X, rows=None):
        self.calls.append("forward")
        return forward_pass(network, params, batch_of(X, rows, params.dtype)).inputs[-1]


class Recorder(ReferenceBackend):
    """The NumPy backend; keeps what it was given, and can fail in a chosen epoch."""

    def __init__(self, error=None, epoch=2, scores=None):
        super().__init__()
        self.error, self.epoch, self.scores = error, epoch, scores
        self.data, self.params, self.rows, self.orders = None, None, None, []

    def trainer(self, network, data, state, *, regularization, batch_size):
        self.data, self.params = data, state.params
        recorder = self

        class FailingTrainer(ReferenceTrainer):
            def train_epoch(self, order, rates=None, deadline=None):
                recorder.orders.append(order)
                loss = super().train_epoch(order, rates)
                if recorder.error is not None and len(recorder.orders) == recorder.epoch:
                    raise recorder.error
                return loss

        return FailingTrainer(network, data, state, regularization, batch_size)

    def objective(self, network, data, *, alpha, dtype, rows=None):
        self.data = data
        evaluate = super().objective(network, data, alpha=alpha, dtype=dtype, rows=rows)

        def failing(params):
            self.orders.append(None)
            if self.error is not None and len(self.orders) == self.epoch:
                raise self.error
            return evaluate(params)

        return failing

    def raw_outputs(self, network, params, X, rows=None):
        output = super().raw_outputs(network, params, X, rows)
        if rows is not None:
            self.rows = rows
            if self.scores is not None and np.isnan(next(self.scores)):
                output = np.full_like(output, np.nan)
        return output


def use_backend(monkeypatch, backend):
    """Put a backend in the place of the compiled one, and return it."""
    monkeypatch.setattr(backends, "get_backend", lambda *args, **kwargs: backend)
    return backend
