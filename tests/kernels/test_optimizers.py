"""Optimizers as they stand, in plain Python, against trajectories of PyTorch's."""

import json
from typing import NamedTuple

import numpy as np
import pytest

from common import RECORDINGS
from fastnn import backends
from fastnn.kernels.optimizers import OPTIMIZERS, OptimizerRule
from fastnn.network.data import Data
from fastnn.network.multilayer import multilayer_perceptron
from fastnn.network.regularization import Regularization
from fastnn.network.state import OptimizerState, TrainingState
from reference import muon_step

RECORDED = json.loads((RECORDINGS / "optimizers.json").read_text())
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
    return OptimizerState(
        "sgd" if rule == "nesterov" else rule,
        n_params,
        np.float64,
        hyperparameters["lr"],
        momentum=hyperparameters.get("momentum", 0.9),
        nesterovs_momentum=rule == "nesterov",
        beta_1=beta_1,
        beta_2=beta_2,
        epsilon=hyperparameters.get("eps", 1e-8),
        decay=hyperparameters.get("weight_decay", 0.0),
    )


def trajectory(optimizer, start, gradients):
    """The parameters after each step."""
    w, rule, slots = np.array(start, dtype=float), optimizer.rule, optimizer.slots
    settings = rule.settings(*optimizer.settings.item())
    scalars, after = rule.scalars(*optimizer.scalars.item()), []
    for gradient in gradients:
        scalars, coefficients = rule.begin(optimizer.rate, settings, scalars)
        keep = coefficients.keep if rule.decoupled else 1.0
        for i, g in enumerate(gradient):
            w[i], slots[:, i] = rule.update(keep * w[i], g, rule.slots(*slots[:, i]), coefficients)
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
    optimizer = OptimizerState("lion", 4, np.float64, 0.1, beta_2=0.99, decay=0.3)
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
            w,
            np.array(g),
            average,
            rate=settings["lr"],
            momentum=settings["momentum"],
            decay=settings["weight_decay"],
            nesterov=settings["nesterov"],
        )
        np.testing.assert_allclose(w, after, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_a_step_without_gradient(rule):
    """Nothing moves before there was a gradient."""
    optimizer = make_optimizer(rule, {"lr": 0.1}, 3)
    after = trajectory(optimizer, [1.0, -2.0, 0.0], np.zeros((3, 3)))
    np.testing.assert_array_equal(after, [[1.0, -2.0, 0.0]] * 3)


# ---- a rule of one's own ---------------------------------------------------------------------


class Settings(NamedTuple):
    momentum: float = 0.5


class Scalars(NamedTuple):
    learning_rate: float = 0.0
    steps: float = 0.0


class Slots(NamedTuple):
    velocity: float
    largest: float
    n_negative: float


class Coefficients(NamedTuple):
    rate: float
    momentum: float
    is_first: float


def begin(rate, settings, scalars):
    is_first = 1.0 if scalars.steps == 0.0 else 0.0
    return Scalars(rate, scalars.steps + 1.0), Coefficients(rate, settings.momentum, is_first)


def update(w, g, slots, c):
    size = g if g > c.is_first * g - g else -g
    largest = size if size > slots.largest else slots.largest
    velocity = c.momentum * slots.velocity + g / (largest + c.rate)
    n_negative = slots.n_negative + (c.rate if g < w - w else w - w)
    return w - c.rate * velocity, Slots(velocity, largest, n_negative)


def test_a_rule_with_three_slots_is_one_entry(monkeypatch):
    """Compiled, it does to a network what it does in plain Python."""
    rule = OptimizerRule("toy", "a toy.", begin, update, Settings, Scalars, Slots, Coefficients)
    monkeypatch.setitem(OPTIMIZERS, "toy", rule)
    network = multilayer_perceptron((3, 2), (), "squared_error")
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 3)), rng.standard_normal((40, 2))
    params = network.initialize(np.random.RandomState(0), np.float64)
    expected, slots = params.copy(), np.zeros((3, params.size))
    state = TrainingState(params, OptimizerState("toy", params.size, np.float64, 0.1))
    trainer = backends.get_backend().trainer(
        network, Data(X, y), state, regularization=Regularization(0.0), batch_size=40
    )
    objective = backends.get_backend().objective(network, Data(X, y), alpha=0.0, dtype=params.dtype)
    scalars = Scalars()
    for _ in range(4):
        trainer.train_epoch(np.arange(40))
        gradient = objective(expected)[1]
        scalars, coefficients = begin(0.1, Settings(), scalars)
        for i, g in enumerate(gradient):
            expected[i], slots[:, i] = update(expected[i], g, Slots(*slots[:, i]), coefficients)
    np.testing.assert_allclose(params, expected, rtol=1e-12)
    np.testing.assert_allclose(state.optimizer.slots, slots, rtol=1e-12)
    assert float(state.optimizer.scalars["steps"]) == 4
    again = OptimizerState.from_plain(state.optimizer.to_plain())
    np.testing.assert_array_equal(again.slot("n_negative"), slots[2])
