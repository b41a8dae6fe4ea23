"""Optimizers as they stand, in plain Python, against trajectories of PyTorch's."""

import json
from pathlib import Path

import numpy as np
import pytest

from fastnn.kernels.optimizers import (
    C_KEEP,
    N_COEFFICIENTS,
    OPTIMIZERS,
    STEP_RATE,
    Optimizer,
)
from reference import muon_step

RECORDED = json.loads((Path(__file__).parent / "recordings" / "optimizers.json").read_text())
CASES = RECORDED["elementwise"]["cases"]
# PyTorch adds Adam's epsilon after the bias correction, scikit-learn before it.
NAMES = {
    rule: "adam_tiny_epsilon" if rule == "adam" else rule
    for rule in OPTIMIZERS
    if rule not in ("lion", "muon")
}


def make_optimizer(rule, hyperparameters, n_params):
    """An optimizer with PyTorch's hyperparameters."""
    beta_1, beta_2 = hyperparameters.get("betas", (0.9, 0.999))
    for name in ("alpha", "rho"):
        beta_2 = hyperparameters.get(name, beta_2)
    return Optimizer(
        "sgd" if rule == "nesterov" else rule, n_params, np.float64,
        learning_rate=hyperparameters["lr"], momentum=hyperparameters.get("momentum", 0.9),
        nesterovs_momentum=rule == "nesterov", beta_1=beta_1, beta_2=beta_2,
        epsilon=hyperparameters.get("eps", 1e-8), alpha=hyperparameters.get("weight_decay", 0.0),
    )  # fmt: skip


def trajectory(optimizer, start, gradients):
    """The parameters after each step."""
    w, coefficients = np.array(start, dtype=float), np.zeros(N_COEFFICIENTS)
    after = []
    for gradient in gradients:
        optimizer.state[STEP_RATE] = optimizer.rate
        optimizer.rule.begin(optimizer.state, coefficients)
        slots = optimizer.slots
        keep = coefficients[C_KEEP] if optimizer.rule.decoupled else 1.0
        for i, g in enumerate(gradient):
            last = slots[-1, i]
            w[i], slots[0, i], other = optimizer.rule.update(
                keep * w[i], g, slots[0, i], last, coefficients
            )
            if len(slots) == 2:
                slots[1, i] = other
        after.append(w.copy())
    return np.array(after)


@pytest.mark.parametrize("key", ["matrix", "vector"])
@pytest.mark.parametrize("rule", NAMES)
def test_trajectories_of_pytorch(rule, key):
    case = CASES[NAMES[rule]]
    start = np.ravel(RECORDED["elementwise"]["parameters"][key])
    gradients = np.array(RECORDED["elementwise"]["gradients"][key]).reshape(-1, start.size)
    expected = np.array(case["after"][key]).reshape(-1, start.size)
    optimizer = make_optimizer(rule, case["hyperparameters"], start.size)
    result = trajectory(optimizer, start, gradients)
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-14)


def test_lion():
    """Chen et al. (2023), algorithm 2: the sign of one average, another is kept."""
    rng = np.random.default_rng(0)
    gradients = rng.standard_normal((12, 4)) * [1, 10, 1e-6, 0]
    optimizer = Optimizer("lion", 4, np.float64, learning_rate=0.1, beta_2=0.99, alpha=0.3)
    result = trajectory(optimizer, np.ones(4), gradients)
    w, m = np.ones(4), np.zeros(4)
    for after, g in zip(result, gradients, strict=True):
        w = w - 0.1 * (np.sign(0.9 * m + (1 - 0.9) * g) + 0.3 * w)
        m = 0.99 * m + (1 - 0.99) * g
        np.testing.assert_allclose(after, w, rtol=1e-14)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("key", ["square", "tall", "wide"])
def test_muon(key, decay):
    """The oracle's step against PyTorch's, but in float64; test_backends.py has the kernels'."""
    recorded = RECORDED["muon"]
    case = recorded["cases"][f"match_rms_adamw_{decay}_float64"]
    settings = case["hyperparameters"]
    w = np.array(recorded["parameters"][key])
    average = np.zeros_like(w)
    for g, after in zip(recorded["gradients"][key], case["after"][key], strict=True):
        muon_step(
            w, np.array(g), average, rate=settings["lr"], momentum=settings["momentum"],
            decay=settings["weight_decay"], nesterov=settings["nesterov"],
        )  # fmt: skip
        np.testing.assert_allclose(w, after, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_a_step_without_gradient(rule):
    """Nothing moves before there was a gradient."""
    optimizer = make_optimizer(rule, {"lr": 0.1}, 3)
    after = trajectory(optimizer, [1.0, -2.0, 0.0], np.zeros((3, 3)))
    np.testing.assert_array_equal(after, [[1.0, -2.0, 0.0]] * 3)
