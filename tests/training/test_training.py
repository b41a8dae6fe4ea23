"""Schedules, stopping and best weights, on scripted trainers and by scikit-learn's own rules."""

import json

import numpy as np
import pytest
import sklearn.neural_network
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import rosen, rosen_der
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer
from sklearn.utils import shuffle

from common import RECORDINGS, make_problem, needs_sklearn
from fastnn import MLPRegressor, backends
from fastnn.estimators.preparation import Call
from fastnn.estimators.validation_set import Given
from fastnn.network.state import OptimizerState, TrainingState
from fastnn.training.lbfgs import LBFGSFit
from fastnn.training.problem import train
from fastnn.training.schedules import EPOCH_SCHEDULES, RISING, Schedule, fall, one_cycle
from fastnn.training.stochastic import StochasticFit
from fastnn.training.watch import NoCallbacks, Progress, Watch

EPOCHS = np.arange(1.0, 21.0)
# Losses, or scores with the sign turned, of twenty epochs.
COURSES = {
    "falling": 1 / EPOCHS,
    "stalling": np.maximum(1 / EPOCHS, 0.2),
    "rising": EPOCHS,
    "noisy": np.random.default_rng(0).uniform(0.1, 1.0, 20),
    "infinite at first": np.concatenate([[np.inf, np.inf], np.linspace(2, 1, 18)]),
}


class ScriptedTrainer:
    """Gives the losses it is told to, or raises them; params[0] counts its epochs."""

    def __init__(self, params, losses):
        self.params, self.losses, self.orders, self.rates = params, iter(losses), [], []

    def train_epoch(self, order, rates=None, deadline=None):
        self.rates.append(rates)
        self.rows_done = len(order)
        self.orders.append(order.copy())
        loss = next(self.losses)
        if isinstance(loss, BaseException):
            raise loss
        self.params[0] += 1
        if np.isnan(loss):
            self.params[1] = np.nan
        return loss

    def fetch(self):
        """Nothing: there is no other memory."""


def sgd(rate=0.1):
    return OptimizerState("sgd", 2, np.float64, rate)


def scripted_fit(losses, scores=None, **settings):
    """A StochasticFit over scripted losses and, if given, scripted validation scores."""
    params = np.zeros(2)
    trainer = ScriptedTrainer(params, losses)
    script = None if scores is None else iter(scores)
    names = ("progress", "tol", "n_iter_no_change", "verbose", "max_time", "callbacks")
    watch = Watch(
        max_epochs=0,
        n_samples=5,
        evaluate=None if scores is None else lambda params: (next(script), 0.0),
        early_stopping=scores is not None,
        keeps_start=settings.pop("keeps_start", False),
        **{"progress": Progress(best_params=None if scores is None else params.copy())}
        | {name: settings.pop(name) for name in names if name in settings},
    )
    fit = StochasticFit(
        lambda: trainer,
        TrainingState(params, settings.pop("optimizer", sgd())),
        rows=settings.pop("rows", np.arange(5)),
        batch_size=settings.pop("batch_size", 2),
        schedule=settings.pop("schedule", Schedule("constant", 0.1, 0.5)),
        watch=watch,
        **settings,
    )
    return fit, trainer


def run(fit, max_epochs, seed=0):
    """Run a fit for at most that many epochs; its outcome."""
    fit.watch.max_epochs = max_epochs
    fit.params, outcome = fit.run(np.random.RandomState(seed))
    return outcome


def minimize(make_objective, params, *, tol, max_iter, max_fun, verbose=0, **settings):
    """The result of L-BFGS, and its Watch."""
    watch = Watch(
        Progress(), max_iter, 10, verbose=verbose, unit="iteration", patience=False, **settings
    )
    fit = LBFGSFit(make_objective, params, watch, gtol=tol, max_fun=max_fun, dtype=np.float64)
    return fit.run(), watch


# ---- stopping --------------------------------------------------------------------------


@needs_sklearn("1.7")
@pytest.mark.parametrize("n_iter_no_change", [1, 3, np.inf])
@pytest.mark.parametrize("tol", [0.0, 1e-3, 0.3])
@pytest.mark.parametrize("course", COURSES)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_stops_where_scikit_learn_does(early_stopping, course, tol, n_iter_no_change):
    values = COURSES[course].tolist()
    theirs = sklearn.neural_network.MLPClassifier(tol=tol)
    theirs.loss_curve_, theirs.validation_scores_, theirs._no_improvement_count = [], [], 0
    theirs.best_loss_, theirs.best_validation_score_ = np.inf, -np.inf
    theirs.coefs_ = theirs.intercepts_ = []
    theirs._score = lambda X, y, sample_weight: -theirs.loss_curve_[-1]
    for value in values:
        theirs.loss_curve_.append(value)
        theirs._update_no_improvement_count(early_stopping, None, None, None)
        if theirs._no_improvement_count > n_iter_no_change:
            break

    scores = [-value for value in values] if early_stopping else None
    fit, _ = scripted_fit(values, scores, tol=tol, n_iter_no_change=n_iter_no_change)
    outcome = run(fit, len(values))
    assert fit.watch.progress.losses == theirs.loss_curve_
    assert fit.watch.progress.no_improvement_count == theirs._no_improvement_count
    stopped = theirs._no_improvement_count > n_iter_no_change
    assert outcome == ("converged" if stopped else "max_iter")
    if early_stopping:
        assert fit.watch.progress.scores == theirs.validation_scores_
        assert fit.watch.progress.best_score == theirs.best_validation_score_
    else:
        assert fit.watch.progress.best_loss == theirs.best_loss_


def test_progress_goes_on_over_runs():
    """A run continues the counts of the last one, as warm_start and partial_fit want."""
    progress = Progress()
    for loss in [3.0, 3.0, 3.0]:
        run(scripted_fit([loss], progress=progress)[0], 1)
    assert progress.losses == [3.0, 3.0, 3.0]
    assert progress.no_improvement_count == 2
    assert progress.t == 15


@pytest.mark.parametrize("verbose", [False, True])
def test_verbose_lines(verbose, capsys):
    fit, _ = scripted_fit([1.0, 1.0, 1.0], tol=0.5, n_iter_no_change=1, verbose=verbose)
    run(fit, 9)
    lines = capsys.readouterr().out.splitlines()
    expected = [f"Iteration {k}, loss = 1.00000000" for k in (1, 2, 3)]
    stopping = "Training loss did not improve more than tol=0.500000 for 1 consecutive epochs."
    assert lines == ([*expected, f"{stopping} Stopping."] if verbose else [])


# ---- best weights ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "best_epoch"),
    [
        ([0.1, 0.5, 0.4, 0.5, 0.3], 2),
        ([0.1, np.nan, 0.4, np.nan, np.nan], 3),
        ([np.nan, np.nan, 0.2, 0.1, np.nan], 3),
        ([-np.inf, -5.0, np.nan, -6.0, -7.0], 2),
        ([np.nan] * 5, 0),
    ],
)
def test_weights_of_the_best_score_are_restored(scores, best_epoch):
    fit, _ = scripted_fit([1.0] * 5, scores, keeps_start=True)
    run(fit, 5)
    assert fit.params[0] == best_epoch
    assert_array_equal(fit.watch.progress.scores, scores)


@pytest.mark.parametrize("scores", [[np.nan] * 5, [-np.inf] * 5, [-np.inf, np.nan] * 2 + [-np.inf]])
def test_without_a_score_that_is_a_number_the_weights_are_the_last(scores):
    fit, _ = scripted_fit([1.0] * 5, scores)
    run(fit, 5)
    assert fit.params[0] == 5 and fit.watch.is_undefined
    diverging, _ = scripted_fit([1.0, np.nan], scores)
    assert run(diverging, 5) == "diverged"
    assert_array_equal(diverging.params, [0.0, 0.0])


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_NaN_is_no_epoch_without_improvement(early_stopping):
    values = [0.5, 0.5, 0.5, np.nan, 0.5, 0.5, 0.5, 0.5, 0.5]
    fit, trainer = scripted_fit(values, values if early_stopping else None, n_iter_no_change=3)
    # Not to the fit's own, which stay sound.
    trainer.params = np.zeros(2)
    assert run(fit, 9) == "converged"
    assert len(fit.watch.progress.losses) == 8


@pytest.mark.parametrize(("best_score", "expected"), [(0.9, 3), (0.15, 1)])
def test_a_run_without_weights_to_improve_on_ends_with_its_last(best_score, expected):
    """As scikit-learn's warm starts do, where no epoch beats the best score of earlier runs."""
    progress = Progress(best_score=best_score)
    fit, _ = scripted_fit([1.0] * 3, [0.2, 0.1, np.nan], progress=progress)
    run(fit, 3)
    assert fit.params[0] == expected and progress.best_score == max(best_score, 0.2)


def test_the_start_sets_the_mark_where_there_is_none():
    progress = Progress(best_score=None, best_params=np.array([7.0, 7.0]), n_before=4)
    fit, _ = scripted_fit([1.0] * 2, [0.9, 0.2, 0.1], progress=progress)
    run(fit, 2)
    assert_array_equal(fit.params, [7.0, 7.0])
    assert_array_equal(fit.state.params, [2.0, 0.0])
    assert progress.best_score == 0.9 and progress.best_epoch == 4


def test_diverged_training_ends_at_once():
    fit, trainer = scripted_fit([1.0, np.nan, 1.0])
    assert run(fit, 3) == "diverged"
    assert len(trainer.orders) == 2
    fit, trainer = scripted_fit([1.0, np.nan, 1.0], [0.5, np.nan, 0.9])
    assert run(fit, 3) == "diverged"
    assert_array_equal(fit.params, [1.0, 0.0])


def test_infinite_loss_with_finite_weights_goes_on():
    fit, _ = scripted_fit([np.inf, 2.0, 1.0])
    assert run(fit, 3) == "max_iter"
    assert fit.watch.progress.best_loss == 1.0


# ---- interruption ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_epochs", "scores", "expected"), [(2, None, 2), (3, [0.1, 0.9, 0.5], 2)]
)
def test_interrupted(n_epochs, scores, expected):
    fit, _ = scripted_fit([1.0] * n_epochs + [KeyboardInterrupt()], scores)
    assert run(fit, 9) == "interrupted"
    assert_array_equal(fit.params, [expected, 0.0])


@pytest.mark.parametrize("scores", [None, []])
def test_interrupted_before_the_first_epoch_is_done(scores):
    fit, _ = scripted_fit([KeyboardInterrupt()], scores)
    with pytest.raises(KeyboardInterrupt):
        run(fit, 9)


def test_interrupted_in_the_first_validation():
    fit, _ = scripted_fit([1.0, 1.0], [])

    def interrupt(params):
        raise KeyboardInterrupt

    fit.watch.evaluate = interrupt
    with pytest.raises(KeyboardInterrupt):
        run(fit, 9)


def test_interrupted_while_compiling():
    fit, _ = scripted_fit([])

    def compile_and_raise():
        raise KeyboardInterrupt

    fit.make_trainer = compile_and_raise
    with pytest.raises(KeyboardInterrupt):
        run(fit, 9)
    with pytest.raises(KeyboardInterrupt):
        minimize(compile_and_raise, np.ones(2), tol=0.1, max_iter=5, max_fun=5)


def test_other_exceptions_pass_through():
    fit, _ = scripted_fit([1.0, MemoryError("no room")])
    with pytest.raises(MemoryError, match="no room"):
        run(fit, 9)


# ---- order and schedules ---------------------------------------------------------------


def test_orders_are_those_of_scikit_learn():
    """Each epoch shuffles the order of the last, with the draws of sklearn.utils.shuffle."""
    rows = np.array([3, 1, 4, 15, 9, 2, 6])
    fit, trainer = scripted_fit([1.0] * 4, rows=rows, n_iter_no_change=9)
    run(fit, 4, seed=5)
    random_state, expected = np.random.RandomState(5), rows
    for order in trainer.orders:
        expected = shuffle(expected, random_state=random_state)
        assert order.dtype == np.int64
        assert_array_equal(order, expected)


def test_orders_without_shuffling():
    rows = np.array([3, 1, 4])
    fit, trainer = scripted_fit([1.0] * 2, rows=rows, shuffle=False)
    run(fit, 2, seed=5)
    assert_array_equal(trainer.orders, [rows, rows])


@pytest.mark.parametrize("power_t", [0.0, 0.25, 0.5, 2.0])
@pytest.mark.parametrize("kind", ["constant", "invscaling", "adaptive"])
def test_schedules_are_those_of_scikit_learn(kind, power_t):
    theirs = SGDOptimizer([np.zeros(1)], 0.3, kind, power_t=power_t)
    ours, optimizer = Schedule(kind, 0.3, power_t), sgd(0.3)
    for t in range(10, 400, 10):
        theirs.iteration_ends(t)
        ours.end_epoch(optimizer, t)
        assert optimizer.learning_rate == theirs.learning_rate
        if t % 30 == 0:
            stop, _ = ours.end_plateau(optimizer)
            assert stop == theirs.trigger_stopping("", False)
            assert optimizer.learning_rate == theirs.learning_rate


def test_adaptive_rate_falls_until_it_is_too_small(capsys):
    optimizer = sgd(1e-4)
    fit, _ = scripted_fit(
        [1.0] * 99,
        optimizer=optimizer,
        schedule=Schedule("adaptive", 1e-4, 0.5),
        n_iter_no_change=2,
        verbose=True,
    )
    assert run(fit, 99) == "converged"
    assert optimizer.learning_rate == pytest.approx(1e-4 / 5**3)
    out = capsys.readouterr().out
    assert out.count("Setting learning rate to") == 3
    assert out.endswith("Learning rate too small. Stopping.\n")


# ---- L-BFGS ----------------------------------------------------------------------------


def rosenbrock(x):
    return rosen(x), rosen_der(x)


def test_lbfgs_finds_the_minimum():
    result, watch = minimize(lambda: rosenbrock, np.zeros(4), tol=1e-8, max_iter=500, max_fun=5000)
    np.testing.assert_allclose(result.params, np.ones(4), atol=1e-5)
    assert result.status == 0 and result.outcome == "converged"
    assert watch.reason.startswith("CONVERGENCE")
    assert result.loss == rosen(result.params)


@pytest.mark.parametrize("verbose", [False, "progress"])
def test_lbfgs_verbose(verbose, capsys):
    """The progress line, as for the other solvers."""
    result, watch = minimize(
        lambda: rosenbrock, np.zeros(4), tol=1e-8, max_iter=5, max_fun=99, verbose=verbose
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == (2 if verbose else 0)
    assert not verbose or lines[-1].startswith(f"Iteration 5/5, loss = {result.loss:#.5g}, took ")


@pytest.mark.parametrize("limit", [{"max_iter": 3}, {"max_fun": 5}])
def test_lbfgs_limits(limit):
    limits = {"max_iter": 500, "max_fun": 5000} | limit
    result, watch = minimize(lambda: rosenbrock, np.zeros(4), tol=1e-8, **limits)
    assert result.status == 1
    assert result.outcome == "failed" and "REACHED" in watch.reason.replace("EXCEEDS", "REACHED")
    assert len(watch.progress.losses) <= min(limits.values())


@pytest.mark.parametrize("n_calls", [0, 1, 12])
def test_lbfgs_interrupted_is_at_the_last_iteration(n_calls):
    values = []

    def interrupted(x):
        if len(values) == n_calls:
            raise KeyboardInterrupt
        values.append(rosen(x))
        return rosenbrock(x)

    start = np.full(4, -1.0)
    limits = dict(tol=1e-8, max_iter=99, max_fun=99)
    if n_calls < 2:
        # No iteration is done.
        with pytest.raises(KeyboardInterrupt):
            minimize(lambda: interrupted, start, **limits)
        return
    result, watch = minimize(lambda: interrupted, start, **limits)
    assert result.outcome == "interrupted"
    assert 0 < len(watch.progress.losses) < n_calls
    assert result.loss == rosen(result.params) == min(values)


def test_lbfgs_does_an_iteration_however_little_time_there_is():
    start = np.full(4, -1.0)
    result, watch = minimize(
        lambda: rosenbrock, start, tol=1e-8, max_iter=99, max_fun=99, max_time=1e-9
    )
    assert result.outcome == "max_time"
    assert len(watch.progress.losses) == 1
    assert result.loss == rosen(result.params) < rosen(start)


RECORDED = json.loads((RECORDINGS / "schedules.json").read_text())


def test_cosine_is_that_of_pytorch():
    progress = np.arange(50) / 50
    assert_allclose(
        fall(progress), RECORDED["cosine_annealing"]["factors"][:50], rtol=0, atol=1e-14
    )
    assert fall(0.0) == 1.0
    assert abs(fall(1.0)) < 1e-30


def test_one_cycle_is_that_of_pytorch():
    """PyTorch's highest rate is in step 0.3 * 50 - 1, the last is step 49."""
    steps = np.arange(50.0)
    progress = np.where(steps < 14, RISING * steps / 14, RISING + 0.7 * (steps - 14) / 35)
    assert_allclose(one_cycle(progress), RECORDED["one_cycle"]["factors"], rtol=1e-12)


def test_rates_within_epochs():
    """The rate of every step follows the progress of the whole training."""
    schedule = Schedule(lambda progress: 1 - progress, 0.5, max_epochs=3)
    fit, trainer = scripted_fit([3.0, 2.0, 1.0], schedule=schedule, optimizer=sgd(0.5))
    run(fit, 3)
    assert_allclose(np.concatenate(trainer.rates), 0.5 * (1 - np.arange(9) / 9))


@pytest.mark.parametrize("kind", EPOCH_SCHEDULES)
def test_rates_of_epochs_are_the_optimizers(kind):
    fit, trainer = scripted_fit([1.0] * 2, schedule=Schedule(kind, 0.1, 0.5))
    run(fit, 2)
    assert trainer.rates == [None, None]


@pytest.mark.parametrize("kind", ["constant", "cosine"])
def test_warmup(kind):
    """The rate rises to the first of the schedule, which has the rest of the training."""
    schedule = Schedule(kind, 1.0, max_epochs=10, warmup_fraction=0.2)
    rates = np.concatenate([schedule.rates(sgd(1.0), epoch, 5) for epoch in range(10)])
    assert_allclose(rates[:10], np.arange(1, 11) / 10)
    rest = np.arange(40) / 40
    assert_allclose(rates[10:], fall(rest) if kind == "cosine" else np.ones(40), atol=1e-15)


def test_progress_ends_at_one():
    schedule = Schedule("cosine", 1.0, max_epochs=2)
    assert_array_equal(schedule.rates(sgd(1.0), 7, 3), fall(np.ones(3)))


@pytest.mark.parametrize("factor", [-0.5, np.nan, np.inf])
def test_a_factor_that_is_none(factor):
    schedule = Schedule(lambda progress: factor, 1.0)
    with pytest.raises(ValueError, match="finite and >= 0, got .* at progress 0"):
        schedule.rates(sgd(1.0), 0, 3)


# ---- from a problem to a result ----------------------------------------------------------


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_several_trainings_are_prepared_before_one_begins(solver):
    """A training needs its problem and state only, and no estimator hears of it before the end."""
    X, y = make_problem("regression")
    models = [
        MLPRegressor(hidden_layer_sizes=(n,), solver=solver, max_iter=5, random_state=n)
        for n in (3, 4, 5)
    ]
    call = Call(incremental=False, started=0.0, callbacks=NoCallbacks())
    prepared = [model._as_of_now()._prepare(Given(X, y), None, call) for model in models]
    backend = backends.get_backend()
    results = [train(one.problem, one.state, backend, one.watch) for one in reversed(prepared)]
    assert not any(hasattr(model, "coefs_") for model in models)
    for model, result in zip(models, reversed(results), strict=True):
        assert_array_equal(result.params, model.fit(X, y)._trained.params)
        assert result.outcome in ("max_iter", "failed")
