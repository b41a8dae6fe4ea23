"""A slow, clear NumPy backend: what the compiled ones are compared with.

It keeps the Backend protocol (``trainer``, ``objective``, ``forward``), so it can
also stand in for a compiled backend behind the estimators. Formulas are written
from the definitions, on whole batches, and share no code with the kernels.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from scipy.special import expit, xlogy

from fastnn import backends
from fastnn.kernels.optimizers import (
    BETA_1,
    BETA_2,
    CURRENT,
    EPSILON,
    MOMENTUM,
    POWER_1,
    POWER_2,
    RATE,
)
from fastnn.network import Data

HIDDEN_ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": expit,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
}

# The derivative at z, as a function of the output a.
HIDDEN_GRADIENTS = {
    "identity": np.ones_like,
    "logistic": lambda a: a * (1 - a),
    "tanh": lambda a: 1 - a * a,
    "relu": lambda a: (a != 0).astype(a.dtype),
}


def softmax(z):
    exponentials = np.exp(z - z.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


OUTPUT_ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": expit,
    "exp": np.exp,
    "softmax": softmax,
}


def batch_of(X, rows, dtype):
    """Rows of X as (len(rows), n_features), dense or CSR, in ``dtype``."""
    batch = X if rows is None else X[rows]
    return batch.astype(dtype) if sparse.issparse(batch) else np.array(batch, dtype=dtype)


def activations_of(network, params, batch):
    """Activations of every layer, from the batch to the raw output z."""
    layers = [batch]
    coefs, intercepts = network.coefs(params), network.intercepts(params)
    for i, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
        z = np.asarray(layers[-1] @ coef) + intercept
        hidden = i < len(coefs) - 1
        layers.append(HIDDEN_ACTIVATIONS[network.activation](z) if hidden else z)
    return layers


def one_hot(network, y, dtype):
    """Targets (n, n_outputs) of ``dtype``; class indices become indicators."""
    if network.loss == "log_loss":
        return (y == np.arange(network.layer_units[-1])).astype(dtype)
    return y.astype(dtype)


def loss_of_rows(loss, y, prediction):
    """The loss of each row (n,), from targets and predictions (n, n_outputs)."""
    eps = np.finfo(prediction.dtype).eps
    if loss == "log_loss":
        return -xlogy(y, np.clip(prediction, eps, 1 - eps)).sum(axis=1)
    if loss == "binary_log_loss":
        p = np.clip(prediction, eps, 1 - eps)
        return -(xlogy(y, p) + xlogy(1 - y, 1 - p)).sum(axis=1)
    if loss == "squared_error":
        return 0.5 * ((y - prediction) ** 2).mean(axis=1)
    if loss == "poisson":
        return (xlogy(y, y / prediction) - y + prediction).sum(axis=1)
    raise KeyError(loss)


def loss_and_gradient(network, params, batch, y, sample_weight, alpha):
    """Mean loss with L2 penalty, and its gradient (n_params,), of one batch."""
    dtype = params.dtype
    layers = activations_of(network, params, batch)
    y = one_hot(network, y, dtype)
    prediction = OUTPUT_ACTIVATIONS[network.out_activation](layers[-1])
    weight = np.ones(len(y), dtype) if sample_weight is None else sample_weight.astype(dtype)
    weight_sum = weight.sum()

    coefs = network.coefs(params)
    loss = (weight * loss_of_rows(network.loss, y, prediction)).sum() / weight_sum
    loss += 0.5 * alpha * sum((coef**2).sum() for coef in coefs) / weight_sum

    gradient = np.empty_like(params)
    coef_gradients, intercept_gradients = network.coefs(gradient), network.intercepts(gradient)
    delta = (prediction - y) * weight[:, None]
    for i in reversed(range(len(coefs))):
        coef_gradients[i][...] = (layers[i].T @ delta + alpha * coefs[i]) / weight_sum
        intercept_gradients[i][...] = delta.sum(axis=0) / weight_sum
        if i > 0:
            slope = HIDDEN_GRADIENTS[network.activation](layers[i])
            delta = (delta @ coefs[i].T) * slope
    return float(loss), gradient


def take_step(optimizer, params, gradient):
    """One optimizer step, in place on params and on the optimizer's state."""
    state, slots = optimizer.state, optimizer.slots
    rate = float(state[RATE])
    if optimizer.rule_name == "adam":
        beta_1, beta_2 = float(state[BETA_1]), float(state[BETA_2])
        state[POWER_1] *= beta_1
        state[POWER_2] *= beta_2
        rate *= float(np.sqrt(1 - state[POWER_2]) / (1 - state[POWER_1]))
        slots[0] = beta_1 * slots[0] + (1 - beta_1) * gradient
        slots[1] = beta_2 * slots[1] + (1 - beta_2) * gradient**2
        params -= rate * slots[0] / (np.sqrt(slots[1]) + float(state[EPSILON]))
    else:
        momentum = float(state[MOMENTUM])
        slots[0] = momentum * slots[0] - rate * gradient
        nesterov = optimizer.rule_name == "nesterov"
        params += momentum * slots[0] - rate * gradient if nesterov else slots[0]
    state[CURRENT] = rate


@dataclass
class ReferenceTrainer:
    network: object
    params: np.ndarray
    data: Data
    optimizer: object
    alpha: float
    batch_size: int

    def train_epoch(self, order):
        y, sample_weight = self.data.y, self.data.sample_weight
        total = 0.0
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            weight = None if sample_weight is None else sample_weight[rows]
            if weight is not None and weight.sum() == 0:
                continue
            batch = batch_of(self.data.X, rows, self.params.dtype)
            loss, gradient = loss_and_gradient(
                self.network, self.params, batch, y[rows], weight, self.alpha
            )
            take_step(self.optimizer, self.params, gradient)
            total += loss * len(rows)
        return total / len(order)


@dataclass
class ReferenceBackend:
    """The Backend protocol on plain NumPy. ``calls`` lists the verbs used, in order."""

    calls: list = field(default_factory=list)

    def trainer(self, network, params, data, optimizer, *, alpha, batch_size):
        self.calls.append("trainer")
        return ReferenceTrainer(network, params, data, optimizer, alpha, int(batch_size))

    def objective(self, network, data, *, alpha, dtype):
        self.calls.append("objective")
        batch = batch_of(data.X, None, dtype)

        def evaluate(params):
            loss, gradient = loss_and_gradient(
                network, params.astype(dtype), batch, data.y, data.sample_weight, alpha
            )
            return loss, gradient.astype(np.float64)

        return evaluate

    def forward(self, network, params, X, *, rows=None, link=True, kept=None):
        self.calls.append("forward")
        z = activations_of(network, params, batch_of(X, rows, params.dtype))[-1]
        return OUTPUT_ACTIVATIONS[network.out_activation](z) if link else z


class Recorder(ReferenceBackend):
    """The NumPy backend; keeps what it was given, and can fail in a chosen epoch."""

    def __init__(self, error=None, epoch=2, scores=None):
        super().__init__()
        self.error, self.epoch, self.scores = error, epoch, scores
        self.data, self.params, self.rows, self.orders = None, None, None, []

    def trainer(self, network, params, data, optimizer, *, alpha, batch_size):
        self.data, self.params = data, params
        recorder = self

        class FailingTrainer(ReferenceTrainer):
            def train_epoch(self, order):
                recorder.orders.append(order)
                loss = super().train_epoch(order)
                if recorder.error is not None and len(recorder.orders) == recorder.epoch:
                    raise recorder.error
                return loss

        return FailingTrainer(network, params, data, optimizer, alpha, batch_size)

    def objective(self, network, data, *, alpha, dtype):
        self.data = data
        evaluate = super().objective(network, data, alpha=alpha, dtype=dtype)

        def failing(params):
            self.orders.append(None)
            if self.error is not None and len(self.orders) == self.epoch:
                raise self.error
            return evaluate(params)

        return failing

    def forward(self, network, params, X, *, rows=None, link=True, kept=None):
        output = super().forward(network, params, X, rows=rows, link=link)
        if rows is not None:
            self.rows = rows
            if self.scores is not None and np.isnan(next(self.scores)):
                output = np.full_like(output, np.nan)
        return output


def use_backend(monkeypatch, backend):
    """Put a backend in the place of the compiled one, and return it."""
    monkeypatch.setattr(backends, "get_backend", lambda *args, **kwargs: backend)
    return backend
