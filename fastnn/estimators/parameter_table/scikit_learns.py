"""The parameters that scikit-learn's estimators have, in the order of the constructors."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from fastnn.estimators.parameter_table.parameter import (
    HIDDEN_LAYERS,
    REGRESSOR,
    STOCHASTIC,
    Parameter,
    Use,
    in_words,
    list_of,
    one_of,
    splits_off,
)
from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.losses import LOSSES
from fastnn.kernels.optimizers import OPTIMIZERS, SCIKIT_LEARN_RULES, SOLVERS
from fastnn.training.schedules import EPOCH_SCHEDULES, STEP_SCHEDULES, schedule_of

# Values that scikit-learn's estimators have: activations of hidden layers, and a regressor's loss
# for each output activation.
THEIR_HIDDEN_ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
THEIR_REGRESSION_LOSSES = {"identity": "squared_error", "exp": "poisson"}

SCIKIT_LEARNS = []


def _add(name, **fields):
    """Add a parameter of scikit-learn's."""
    SCIKIT_LEARNS.append(Parameter(name, **fields))


class NamesNow(StrOptions):
    """The names that are known when a parameter is checked; more may be registered."""

    def __init__(self, names):
        self._names = names
        super().__init__(set(names()))

    @property
    def options(self):
        return set(self._names())

    @options.setter
    def options(self, value):
        """Take no notice of what scikit-learn sets here once."""


def regression_losses():
    """Names of the losses of regressors, registered ones included, in the registry's order."""
    return [name for name, loss in LOSSES.items() if loss.domain.is_of_numbers]


def _own(names, theirs):
    """The names that scikit-learn does not have, for the README."""
    return in_words([name for name in names if name not in theirs])


def _users_of(name):
    """The solvers that make use of a parameter."""
    return [solver for solver in SOLVERS if name in OPTIMIZERS[solver].parameters]


def _either(solvers):
    return f"solver={' or '.join(map(repr, solvers))}"


def _used_by_solvers(name):
    """When a parameter is used that some solvers have."""
    users = _users_of(name)
    return Use(_either(users), lambda model, _: model.solver in users)


def _solvers_of(name):
    """The solvers that make use of a parameter, in the words of a docstring."""
    users = _users_of(name)
    return _either(users) if len(users) < 4 else f"the solvers {', '.join(map(repr, users))}"


def _decoupled():
    """The solvers whose decay is decoupled, in the words of a docstring."""
    return _either([solver for solver in SOLVERS if OPTIMIZERS[solver].decoupled])


def _schedule(model):
    return schedule_of(model.learning_rate, model.solver)


_add(
    "loss",
    type=one_of(regression_losses()),
    default="squared_error",
    constraint=[NamesNow(regression_losses)],
    estimators=(REGRESSOR,),
    summary=f"also {_own(regression_losses(), THEIR_REGRESSION_LOSSES.values())}.",
    doc="""
    The loss function.

    - 'squared_error', half the squared error.
    - 'absolute_error', for the conditional median.
    - 'huber', half the squared error up to ``huber_delta``, linear beyond.
    - 'quantile', the pinball loss, for the conditional ``quantile``.
    - 'poisson', half the Poisson deviance. It is made for y >= 0; with a negative y the
      network is trained all the same, but the loss is NaN, as a warning says.
    - 'gamma', half the gamma deviance. It requires y > 0.

    The output activation is the identity; with 'poisson' and 'gamma' the exponential.
    """,
)

_add(
    "hidden_layer_sizes",
    type="int or array-like of int",
    default=(100,),
    constraint=["array-like", Interval(Integral, 1, None, closed="left")],
    doc="""
    Units of each hidden layer. An empty sequence makes a linear model.
    """,
)

_add(
    "activation",
    type=f"{one_of(ACTIVATIONS)} or a sequence of these",
    default="relu",
    constraint=[NamesNow(lambda: ACTIVATIONS), "array-like"],
    used_with=HIDDEN_LAYERS,
    summary=(
        f"also {_own(ACTIVATIONS, THEIR_HIDDEN_ACTIVATIONS)}; or a sequence, one for each hidden "
        "layer."
    ),
    doc=f"""
    Activation function of the hidden layers, or of each; also one of
    `register_activation`.

    {list_of(ACTIVATIONS)}
    """,
)

_add(
    "solver",
    type=one_of(("lbfgs", *SOLVERS)),
    default="adam",
    constraint=[StrOptions({"lbfgs", *SOLVERS})],
    summary=f"also {_own(SOLVERS, SCIKIT_LEARN_RULES)}.",
    doc=f"""
    The solver that minimises the loss.

    - 'lbfgs', a quasi-Newton method on the whole training set. Often the best
      for small data.
    {list_of(OPTIMIZERS, SOLVERS)}

    A parameter that is not at its default and that the solver makes no use of
    is named in an `~fastnn.exceptions.AdviceWarning`, once a fit.
    """,
)

_add(
    "alpha",
    type="float",
    default=0.0001,
    constraint=[Interval(Real, 0, None, closed="left")],
    doc=f"""
    Strength of the L2 penalty on the weights (not on the intercepts): the loss
    has the term ``alpha / (2 * n) * sum(weights ** 2)``, n being the samples (or the
    sum of their weights) of the batch. With {_decoupled()} instead the
    weights shrink by ``alpha`` times the learning rate in each step.
    """,
)

_add(
    "batch_size",
    type="int or 'auto'",
    default="auto",
    constraint=[StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    used_with=STOCHASTIC,
    doc="""
    Samples of a mini-batch. 'auto' is ``min(200, n_samples)``. A larger value than
    there are samples is clipped, with a UserWarning. Not used with solver='lbfgs'.
    """,
)

_add(
    "learning_rate",
    type=f"{one_of((*EPOCH_SCHEDULES, *STEP_SCHEDULES))} or callable",
    default="constant",
    constraint=[StrOptions({*EPOCH_SCHEDULES, *STEP_SCHEDULES}), callable],
    used_with=Use(
        "a solver other than 'lbfgs' and, for 'invscaling' and 'adaptive', other than 'adam'",
        lambda model, _: model.solver != "lbfgs" and _schedule(model) == model.learning_rate,
    ),
    summary=(
        f"also {in_words(STEP_SCHEDULES)}, and functions of the progress from 0 to 1, with every "
        "solver but lbfgs; scikit-learn's schedules with our solvers, too. `learning_rate_curve_` "
        "records it."
    ),
    doc="""
    Learning-rate schedule.

    - 'constant' keeps ``learning_rate_init``; so do the next two with solver='adam', where they
      have no effect, as in scikit-learn.
    - 'invscaling' takes ``learning_rate_init / (t_ + 1) ** power_t`` from the
      second epoch on, with ``t_`` the samples seen so far.
    - 'adaptive' divides the rate by 5 each time that ``n_iter_no_change``
      epochs have not improved by ``tol``, and stops when that happens at a
      rate of at most 1e-6.
    - 'cosine' lowers the rate from step to step along half a cosine, to 0 after
      ``max_iter`` epochs.
    - 'one_cycle' raises it along half a cosine from ``learning_rate_init / 25`` to
      ``learning_rate_init`` in the first 30 percent of ``max_iter`` epochs, and lowers it
      along another to a ten thousandth of where it began.
    - A function of the progress, from 0 to 1 in ``max_iter`` epochs, that returns the
      factor of ``learning_rate_init`` for a step. It is called once a step; to pickle
      the estimator it has to be a function that pickle knows.

    The last three are made for all of ``max_iter`` epochs: to come to their end is no
    ConvergenceWarning. In ``partial_fit`` each call is one of the ``max_iter`` epochs. Not used
    with solver='lbfgs'.
    """,
)

_add(
    "learning_rate_init",
    type="float",
    default=0.001,
    constraint=[Interval(Real, 0, None, closed="neither")],
    used_with=STOCHASTIC,
    doc="""
    The initial learning rate, the size of the steps. Not used with
    solver='lbfgs'.
    """,
)

_add(
    "power_t",
    type="float",
    default=0.5,
    constraint=[Interval(Real, 0, None, closed="left")],
    used_with=Use(
        "learning_rate='invscaling' and a solver other than 'lbfgs' and 'adam'",
        lambda model, _: model.solver != "lbfgs" and _schedule(model) == "invscaling",
    ),
    doc="""
    The exponent of the schedule 'invscaling'. Only used with
    learning_rate='invscaling', and not with solver='adam'.
    """,
)

_add(
    "max_iter",
    type="int",
    default=200,
    constraint=[Interval(Integral, 1, None, closed="left")],
    doc="""
    The most iterations: of 'lbfgs', else epochs (how many times each sample is
    used), not gradient steps.
    """,
)

_add(
    "shuffle",
    type="bool",
    default=True,
    constraint=["boolean"],
    used_with=STOCHASTIC,
    doc="""
    Whether to shuffle the samples in each epoch. Not used with solver='lbfgs'.
    """,
)

_add(
    "random_state",
    type="int, RandomState instance or None",
    default=None,
    constraint=["random_state"],
    doc="""
    Determines the initial weights, the validation split of early stopping and
    the shuffling, with the same draws as scikit-learn; with dropout one more, of its
    seed, comes before the shuffling. Pass an int for reproducible results.
    """,
)

_add(
    "tol",
    type="float",
    default=1e-4,
    default_text="1e-4",
    constraint=[Interval(Real, 0, None, closed="left")],
    doc="""
    Tolerance of the optimisation. An epoch improves if its loss falls (or its
    validation score rises) by at least ``tol``; for 'lbfgs' it ends when no
    component of the gradient exceeds ``tol``.
    """,
)

_add(
    "verbose",
    type="bool, int or 'progress'",
    default=False,
    constraint=["verbose", StrOptions({"progress"})],
    summary='also `"progress"`, one line with loss, score, speed and the time left.',
    changes_steps=False,
    doc="""
    Whether to print scikit-learn's lines: the loss of each epoch, the validation score,
    why training ends. With 'lbfgs' they are SciPy's, which has none since version 1.15.
    'progress' is one line for any solver, with the loss, the validation score, the speed
    and the time left. Notebooks and, where rich is installed, terminals redraw it in
    place; elsewhere a plain line is printed now and then. Where other fits may show
    theirs, as in a search, it begins with which fit this is.
    """,
)

_add(
    "warm_start",
    type="bool",
    default=False,
    constraint=["boolean"],
    doc="""
    Whether ``fit`` goes on with the network of the last fit instead of
    starting from a new one.
    """,
)

_add(
    "momentum",
    type="float",
    default=0.9,
    constraint=[Interval(Real, 0, 1, closed="both")],
    used_with=_used_by_solvers("momentum"),
    doc=f"""
    Momentum of gradient descent, in [0, 1]. Only used with {_solvers_of("momentum")}.
    """,
)

_add(
    "nesterovs_momentum",
    type="bool",
    default=True,
    constraint=["boolean"],
    used_with=_used_by_solvers("nesterovs_momentum"),
    doc=f"""
    Whether the momentum is Nesterov's. Only used with {_solvers_of("nesterovs_momentum")}.
    """,
)

_add(
    "early_stopping",
    type="bool",
    default=False,
    constraint=["boolean"],
    used_with=Use(
        "a solver other than 'lbfgs', or a validation set of your own",
        lambda model, validated: model.solver != "lbfgs" or validated,
    ),
    summary="for lbfgs, too, and in `partial_fit`, with a validation set of your own.",
    doc="""
    Whether to stop when the score of a validation set does not improve by ``tol`` for
    ``n_iter_no_change`` epochs (iterations of 'lbfgs') in a row. The validation set is the
    ``X_val`` and ``y_val`` of ``fit``, or else ``validation_fraction`` of the training data, set
    aside. {stratified}Without early stopping, the training loss
    decides. With solver='lbfgs' nothing is set aside, as in scikit-learn, and early stopping needs
    an ``X_val``.

    Wherever there is a validation set, the fitted weights are those of its best score. If no score
    was a finite number, as that of a single sample may be none, a warning says so, and they are the
    last ones (with scikit-learn's scores of rows that were set aside, those that the training began
    with, as there).

    Where a fit goes on with a fitted network (``warm_start=True``) and sets rows aside anew, the
    best score of all fits is the mark to beat, and a fit that does not beat it ends with its last
    weights. With an ``X_val`` the score of the fitted network is the mark; the model has the best
    weights of all calls, while training goes on from the last ones.

    ``partial_fit`` needs an ``X_val`` for early stopping, and does with one as warm-started fits
    do; a call without one gives the model the last weights. Once early stopping has ended the
    training, further calls change nothing.
    """,
)

_add(
    "validation_fraction",
    type="float",
    default=0.1,
    constraint=[Interval(Real, 0, 1, closed="left")],
    used_with=Use(
        "early_stopping=True, a solver other than 'lbfgs', and without a validation set of your "
        "own",
        lambda model, validated: splits_off(model) and not validated,
    ),
    doc="""
    The part of the training data to set aside for early stopping, in [0, 1).
    Only used with early_stopping=True, without an ``X_val``, and not with solver='lbfgs'.
    """,
)

_add(
    "beta_1",
    type="float",
    default=0.9,
    constraint=[Interval(Real, 0, 1, closed="left")],
    used_with=_used_by_solvers("beta_1"),
    doc=f"""
    Decay rate of the average of the gradients, in [0, 1). Only used with
    {_solvers_of("beta_1")}.
    """,
)

_add(
    "beta_2",
    type="float",
    default=0.999,
    constraint=[Interval(Real, 0, 1, closed="left")],
    used_with=_used_by_solvers("beta_2"),
    doc=f"""
    Decay rate of the average of their squares, in [0, 1); of lion the decay rate of
    the momentum. Only used with {_solvers_of("beta_2")}.
    """,
)

_add(
    "epsilon",
    type="float",
    default=1e-8,
    default_text="1e-8",
    constraint=[Interval(Real, 0, None, closed="neither")],
    used_with=_used_by_solvers("epsilon"),
    doc=f"""
    Added to the denominator of the step. Only used with {_solvers_of("epsilon")}.
    """,
)

_add(
    "n_iter_no_change",
    type="int or numpy.inf",
    default=10,
    constraint=[
        Interval(Integral, 1, None, closed="left"),
        Options(Real, {np.inf}),
    ],
    used_with=Use(
        "a solver other than 'lbfgs', or early_stopping=True and a validation set of your own",
        lambda model, validated: model.solver != "lbfgs" or (model.early_stopping and validated),
    ),
    doc="""
    The most epochs in a row without an improvement by ``tol``. With solver='lbfgs' only used
    with early_stopping=True and an ``X_val``.
    """,
)

_add(
    "max_fun",
    type="int",
    default=15000,
    constraint=[Interval(Integral, 1, None, closed="left")],
    used_with=Use("solver='lbfgs'", lambda model, _: model.solver == "lbfgs"),
    doc="""
    The most evaluations of the loss. Only used with solver='lbfgs'.
    """,
)
