"""A slow, clear NumPy backend: what the compiled ones are compared with.

It keeps the Backend protocol (``trainer``, ``objective``, ``forward``), so it can
also stand in for a compiled backend behind the estimators. Formulas are written
from the definitions, on whole batches, and share no code with the kernels.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import erf, expit, log_softmax, xlogy

from fastnn.kernels.losses import LOSSES
from fastnn.network.layers.batch_norm import BatchNorm

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def normal_cdf(z):
    return (1 + erf(z / np.sqrt(2))) / 2


def softplus(z):
    return np.logaddexp(0, z)


def elu(z):
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


HIDDEN_ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": expit,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "softplus": softplus,
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "prelu": lambda z, slope: np.where(z > 0, z, slope * z),
    "elu": elu,
    "selu": lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * elu(z)),
    "gelu": lambda z: z * normal_cdf(z),
    "silu": lambda z: z * expit(z),
    "mish": lambda z: z * np.tanh(softplus(z)),
}

# The derivatives at z.
HIDDEN_GRADIENTS = {
    "identity": np.ones_like,
    "logistic": lambda z: expit(z) * expit(-z),
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "relu": lambda z: z > 0,
    "softplus": expit,
    "leaky_relu": lambda z: np.where(z <= 0, 0.01, 1.0),
    "prelu": lambda z, slope: np.where(z <= 0, slope, 1.0),
    "elu": lambda z: np.where(z < 0, np.exp(np.minimum(z, 0)), 1.0),
    "selu": lambda z: SELU_SCALE * np.where(z < 0, SELU_ALPHA * np.exp(np.minimum(z, 0)), 1.0),
    "gelu": lambda z: normal_cdf(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi),
    "silu": lambda z: expit(z) * (1 + z * expit(-z)),
    "mish": lambda z: np.tanh(softplus(z)) + z * expit(z) / np.cosh(softplus(z)) ** 2,
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


@dataclass
class Forward:
    """The results of `forward_pass` for each layer."""

    activations: list
    inputs: list
    norms: list


def hidden_activation(network, params, i, functions):
    """One of the functions of hidden layer i's activation, with what it has learned."""
    function, slope = functions[network.activations[i]], network.slopes(params)[i]
    return function if slope is None else lambda z: function(z, slope[0])


def forward_pass(network, params, batch, masks=None, norm_momentum=None):
    """The pass through the network, a `Forward`: activations from the batch on, their inputs z.

    ``masks`` are factors of the activations, for the batch and every hidden layer. With a
    norm_momentum, batch normalisation is that of training and its running statistics move.
    """
    if masks is not None:
        batch = batch.multiply(masks[0]).tocsr() if sparse.issparse(batch) else batch * masks[0]
    result = Forward([batch], [], [])
    coefs, intercepts = network.coefs(params), network.intercepts(params)
    for i, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
        z = np.asarray(result.activations[-1] @ coef) + intercept
        activation = z
        if i < len(coefs) - 1:
            if network.batch_norm:
                z = normalized(network, params, i, z, result.norms, norm_momentum)
            activation = hidden_activation(network, params, i, HIDDEN_ACTIVATIONS)(z)
            if masks is not None:
                activation = activation * masks[i + 1]
        result.inputs.append(z)
        result.activations.append(activation.astype(params.dtype))
    return result


def normalized(network, params, i, z, norms, momentum):
    """Batch normalisation of z (n, n_out); keeps in norms what its gradient needs."""
    scale, shift, mean, variance = (views[i] for views in network.norms(params))
    if momentum is None:
        return scale * (z - mean) / np.sqrt(variance + BatchNorm.epsilon) + shift
    factor = 1 / np.sqrt(z.var(axis=0) + BatchNorm.epsilon)
    standard = (z - z.mean(axis=0)) * factor
    if len(z) > 1:
        mean += momentum * (z.mean(axis=0) - mean)
        variance += momentum * (z.var(axis=0, ddof=1) - variance)
    norms.append((standard, factor))
    return scale * standard + shift


def delta_before_norm(network, params, gradient, i, delta, norm):
    """The derivative with respect to what was normalised; sets the gradients of the norm."""
    (standard, factor), n = norm, len(delta)
    scale = network.norms(params)[0][i]
    of_scale, of_shift, _, _ = (views[i] for views in network.norms(gradient))
    of_scale[...], of_shift[...] = (delta * standard).sum(axis=0), delta.sum(axis=0)
    return scale * factor * (delta - (of_shift + standard * of_scale) / n)


def mixed(x, shifts, factors):
    """The finaliser of a hash: x ^= x >> shift; x *= factor, in turn."""
    for i, shift in enumerate(shifts):
        x = x ^ (x >> x.dtype.type(shift))
        if i < len(factors):
            x = x * x.dtype.type(factors[i])
    return x


def dropout_masks(network, regularization, step, n_rows):
    """Factors (n_rows, n) for the batch and every hidden layer: 0, or 1 / (1 - rate)."""
    masks = []
    with np.errstate(over="ignore"):
        for layer, rate in enumerate(regularization.dropout):
            key = np.uint64(0)
            for value in (regularization.seed, step, layer):
                key = (key ^ np.uint64(value)) + np.uint64(0x9E3779B97F4A7C15)
                key = mixed(key, (30, 27, 31), (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
            shape = (n_rows, network.layer_units[layer])
            places = np.arange(shape[0] * shape[1], dtype=np.uint32).reshape(shape)
            bits = places * np.uint32(0x9E3779B9)
            for half in (key & np.uint64(0xFFFFFFFF), key >> np.uint64(32)):
                bits = mixed(bits ^ np.uint32(half), (16, 15, 16), (0x7FEB352D, 0x846CA68B))
            masks.append((bits >= round(rate * 2**32)) / (1 - rate))
    return masks


def targets_of(network, y, dtype):
    """Targets (n, n_outputs) of ``dtype``; class indices become indicators."""
    coupled = LOSSES[network.loss].coupled
    y = (y == np.arange(network.layer_units[-1]) if coupled else y).astype(dtype)
    if LOSSES[network.loss].parameter == "label_smoothing":
        part = network.loss_parameter
        y = y * (1 - part) + part / (y.shape[1] if coupled else 2)
    return y


def loss_of_rows(network, y, z):
    """The loss of each row (n,), from targets and raw predictions (n, n_outputs)."""
    loss, p = network.loss, network.loss_parameter
    eps = np.finfo(z.dtype).eps
    # In float64, as logarithms of rounded probabilities are far off.
    y, z = y.astype(np.float64), z.astype(np.float64)
    prediction = OUTPUT_ACTIVATIONS[network.out_activation](z)

    def clipped(log_loss):
        return np.clip(log_loss, -np.log1p(-eps), -np.log(eps))

    r = prediction - y
    sign = 2 * y - 1
    if loss == "multiclass_hinge":
        others = np.where(y == 1, -np.inf, z).max(axis=1)
        return np.maximum(0, 1 + others - z[y == 1])
    formulas = {
        "log_loss": lambda: y * clipped(-log_softmax(z, axis=1)),
        "smoothed_log_loss": lambda: -y * log_softmax(z, axis=1),
        "softmax_squared_error": lambda: r**2 / 2,
        "binary_log_loss": lambda: clipped(softplus(-sign * z)),
        "smoothed_binary_log_loss": lambda: softplus(z) - y * z,
        "binary_squared_error": lambda: r**2 / 2,
        "binary_hinge": lambda: np.maximum(0, 1 - sign * z),
        "squared_error": lambda: r**2 / 2,
        "absolute_error": lambda: abs(r),
        "huber": lambda: np.where(abs(r) <= p, r**2 / 2, p * (abs(r) - p / 2)),
        "quantile": lambda: np.maximum(-p * r, (1 - p) * r),
        "poisson": lambda: xlogy(y, y / prediction) - y + prediction,
        "gamma": lambda: -np.log(y / prediction) + y / prediction - 1,
    }
    terms = formulas[loss]()
    return terms.mean(axis=1) if LOSSES[loss].mean_over_outputs else terms.sum(axis=1)


def delta_of(network, y, z):
    """The derivatives (n, n_outputs) with respect to z, of the sum over the outputs."""
    loss, p = network.loss, network.loss_parameter
    prediction = OUTPUT_ACTIVATIONS[network.out_activation](z)
    r = prediction - y
    sign = 2 * y - 1
    if loss == "multiclass_hinge":
        others = np.where(y == 1, -np.inf, z)
        other = others.argmax(axis=1)[:, None] == np.arange(z.shape[1])
        return (other - y) * (1 + others.max(axis=1) - z[y == 1] > 0)[:, None]
    formulas = {
        "softmax_squared_error": lambda: prediction * (r - (r * prediction).sum(1, keepdims=True)),
        "binary_squared_error": lambda: r * prediction * (1 - prediction),
        "binary_hinge": lambda: -sign * (sign * z <= 1),
        "absolute_error": lambda: np.sign(r),
        "huber": lambda: np.clip(r, -p, p),
        "quantile": lambda: np.where(r > 0, 1 - p, -p),
        "gamma": lambda: 1 - y / prediction,
    }
    return formulas.get(loss, lambda: r)()


@dataclass
class Penalty:
    """Strengths of the L2 and the L1 penalty."""

    alpha: float = 0.0
    alpha_1: float = 0.0


def loss_and_gradient(
    network, params, batch, y, sample_weight, penalty, masks=None, norm_momentum=None
):
    """Mean loss with its penalties, and its gradient (n_params,), of one batch."""
    dtype = params.dtype
    result = forward_pass(network, params, batch, masks, norm_momentum)
    z = result.inputs[-1]
    y = targets_of(network, y, dtype)
    weight = np.ones(len(y), dtype) if sample_weight is None else sample_weight.astype(dtype)
    weight_sum = weight.sum()

    coefs = network.coefs(params)
    loss = (weight * loss_of_rows(network, y, z)).sum() / weight_sum
    loss += 0.5 * penalty.alpha * sum((coef**2).sum() for coef in coefs) / weight_sum
    loss += penalty.alpha_1 * sum(abs(coef).sum() for coef in coefs) / weight_sum

    gradient = np.zeros_like(params)
    coef_gradients, intercept_gradients = network.coefs(gradient), network.intercepts(gradient)
    delta = delta_of(network, y, z) * weight[:, None]
    for i in reversed(range(len(coefs))):
        of_penalty = penalty.alpha * coefs[i] + penalty.alpha_1 * np.sign(coefs[i])
        coef_gradients[i][...] = result.activations[i].T @ delta + of_penalty
        intercept_gradients[i][...] = delta.sum(axis=0)
        if i == 0:
            break
        delta = delta @ coefs[i].T
        if masks is not None:
            delta = delta * masks[i]
        z = result.inputs[i - 1]
        if network.slopes(params)[i - 1] is not None:
            network.slopes(gradient)[i - 1][...] = (delta * np.minimum(z, 0)).sum()
        slope = hidden_activation(network, params, i - 1, HIDDEN_GRADIENTS)(z)
        delta = (delta * slope).astype(dtype)
        if network.batch_norm:
            delta = delta_before_norm(
                network, params, gradient, i - 1, delta, result.norms[i - 1]
            ).astype(dtype)
    return float(loss), gradient / weight_sum


def orthogonalized(matrix):
    """Newton and Schulz's iteration with Jordan's coefficients."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / max(np.linalg.norm(matrix.astype(np.float64)), 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def muon_step(w, g, average, *, rate, momentum, decay, nesterov):
    """Muon's step of a matrix, in place on w and the average of its gradients."""
    average[...] = momentum * average + (1 - momentum) * g
    ahead = momentum * average + (1 - momentum) * g if nesterov else average
    w *= 1 - rate * decay
    w -= rate * 0.2 * np.sqrt(max(w.shape)) * orthogonalized(ahead)


def take_step(network, optimizer, params, gradient):
    """One optimizer step, in place on params and on the optimizer's state."""
    state, slots, rule = optimizer.scalars, optimizer.slots, optimizer.rule_name
    given = dict(zip(optimizer.settings.dtype.names, optimizer.settings.item(), strict=True))
    names = ("decay", "momentum", "beta_1", "beta_2", "epsilon")
    decay, momentum, beta_1, beta_2, epsilon = (given.get(name, 0.0) for name in names)
    rate = float(optimizer.step_rate[0])
    state["learning_rate"] = rate
    if rule in ("sgd", "nesterov"):
        slots[0] = momentum * slots[0] - rate * gradient
        params += momentum * slots[0] - rate * gradient if rule == "nesterov" else slots[0]
        return
    if "power_1" in state.dtype.names:
        state["power_1"] *= beta_1
        state["power_2"] *= beta_2
    kept = []
    if rule == "muon":
        hidden = [network.coefs(vector)[:-1] for vector in (params, gradient, *slots)]
        for w, g, average, _ in zip(*hidden, strict=True):
            nesterov = optimizer.nesterovs_momentum
            muon_step(w, g, average, rate=rate, momentum=momentum, decay=decay, nesterov=nesterov)
        # The rest as by AdamW; what has had its step is put back.
        kept = [(view, view.copy()) for views in (hidden[0], *hidden[2:]) for view in views]
        rule = "adamw"
    if rule in ("adamw", "lion"):
        params[: network.n_weights] *= 1 - rate * decay
    if rule == "lion":
        params -= rate * np.sign(beta_1 * slots[0] + (1 - beta_1) * gradient)
        slots[0] = beta_2 * slots[0] + (1 - beta_2) * gradient
    elif rule == "adagrad":
        slots[0] += gradient**2
        params -= rate * gradient / (np.sqrt(slots[0]) + epsilon)
    elif rule == "rmsprop":
        slots[0] = beta_2 * slots[0] + (1 - beta_2) * gradient**2
        params -= rate * gradient / (np.sqrt(slots[0]) + epsilon)
    elif rule == "adadelta":
        slots[0] = beta_2 * slots[0] + (1 - beta_2) * gradient**2
        change = np.sqrt(slots[1] + epsilon) / np.sqrt(slots[0] + epsilon) * gradient
        slots[1] = beta_2 * slots[1] + (1 - beta_2) * change**2
        params -= rate * change
    else:
        slots[0] = beta_1 * slots[0] + (1 - beta_1) * gradient
        slots[1] = beta_2 * slots[1] + (1 - beta_2) * gradient**2
        mean, square = (
            slots[0] / float(1 - state["power_1"]),
            slots[1] / float(1 - state["power_2"]),
        )
        if rule == "adam":
            # scikit-learn adds epsilon to the root of the uncorrected square.
            corrected = float(np.sqrt(1 - state["power_2"]) / (1 - state["power_1"]))
            state["learning_rate"] = rate * corrected
            params -= rate * corrected * slots[0] / (np.sqrt(slots[1]) + epsilon)
        elif rule == "adamw":
            params -= rate * mean / (np.sqrt(square) + epsilon)
        elif rule == "nadam":
            state["momentum_power"] *= 0.96**0.004
            now = beta_1 * (1 - 0.5 * float(state["momentum_power"]))
            later = beta_1 * (1 - 0.5 * float(state["momentum_power"]) * 0.96**0.004)
            state["momentum_product"] *= now
            product = float(state["momentum_product"])
            ahead = later / (1 - product * later) * slots[0]
            ahead += (1 - now) / (1 - product) * gradient
            params -= rate * ahead / (np.sqrt(square) + epsilon)
        else:
            raise KeyError(rule)
    for view, values in kept:
        view[...] = values
