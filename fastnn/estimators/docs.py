"""The parts of the docstrings that both estimators have, and the decorator that puts them in.

A class docstring says ``{parameters}`` and ``{attributes}`` where the common
entries belong, so that each parameter is described once.
"""

import inspect
from textwrap import TextWrapper

from fastnn.kernels.activations import ACTIVATIONS
from fastnn.kernels.optimizers import OPTIMIZERS, SOLVERS
from fastnn.network.initializers import INITIALIZERS

PARAMETERS = """\
hidden_layer_sizes : int or array-like of int, default=(100,)
    Units of each hidden layer. An empty sequence makes a linear model.

activation : {ACTIVATION_NAMES} or a sequence of these, default='relu'
    Activation function of the hidden layers, or of each; also one of
    `register_activation`.

ACTIVATION_LIST

solver : {'lbfgs', SOLVER_NAMES}, default='adam'
    The solver that minimises the loss.

    - 'lbfgs', a quasi-Newton method on the whole training set. Often the best
      for small data.
SOLVER_LIST

    A parameter that is not at its default and that the solver makes no use of
    is named in an `~fastnn.exceptions.AdviceWarning`, once a fit.

alpha : float, default=0.0001
    Strength of the L2 penalty on the weights (not on the intercepts): the loss
    has the term ``alpha / (2 * n) * sum(weights ** 2)``, n being the samples (or the
    sum of their weights) of the batch. With DECOUPLED instead the
    weights shrink by ``alpha`` times the learning rate in each step.

batch_size : int or 'auto', default='auto'
    Samples of a mini-batch. 'auto' is ``min(200, n_samples)``. A larger value than
    there are samples is clipped, with a UserWarning. Not used with solver='lbfgs'.

learning_rate : {'constant', 'invscaling', 'adaptive', 'cosine', 'one_cycle'} or callable, \
default='constant'
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

learning_rate_init : float, default=0.001
    The initial learning rate, the size of the steps. Not used with
    solver='lbfgs'.

power_t : float, default=0.5
    The exponent of the schedule 'invscaling'. Only used with
    learning_rate='invscaling', and not with solver='adam'.

max_iter : int, default=200
    The most iterations: of 'lbfgs', else epochs (how many times each sample is
    used), not gradient steps.

shuffle : bool, default=True
    Whether to shuffle the samples in each epoch. Not used with solver='lbfgs'.

random_state : int, RandomState instance or None, default=None
    Determines the initial weights, the validation split of early stopping and
    the shuffling, with the same draws as scikit-learn; with dropout one more, of its
    seed, comes before the shuffling. Pass an int for reproducible results.

tol : float, default=1e-4
    Tolerance of the optimisation. An epoch improves if its loss falls (or its
    validation score rises) by at least ``tol``; for 'lbfgs' it ends when no
    component of the gradient exceeds ``tol``.

verbose : bool, int or 'progress', default=False
    Whether to print scikit-learn's lines: the loss of each epoch, the validation score,
    why training ends. With 'lbfgs' they are SciPy's, which has none since version 1.15.
    'progress' is one line for any solver, with the loss, the validation score, the speed
    and the time left. Notebooks and, where rich is installed, terminals redraw it in
    place; elsewhere a plain line is printed now and then. Where other fits may show
    theirs, as in a search, it begins with which fit this is.

warm_start : bool, default=False
    Whether ``fit`` goes on with the network of the last fit instead of
    starting from a new one.

momentum : float, default=0.9
    Momentum of gradient descent, in [0, 1]. Only used with MOMENTUM_SOLVERS.

nesterovs_momentum : bool, default=True
    Whether the momentum is Nesterov's. Only used with MOMENTUM_SOLVERS.

early_stopping : bool, default=False
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

validation_fraction : float, default=0.1
    The part of the training data to set aside for early stopping, in [0, 1).
    Only used with early_stopping=True, without an ``X_val``, and not with solver='lbfgs'.

beta_1 : float, default=0.9
    Decay rate of the average of the gradients, in [0, 1). Only used with
    BETA_1.

beta_2 : float, default=0.999
    Decay rate of the average of their squares, in [0, 1); of lion the decay rate of
    the momentum. Only used with BETA_2.

epsilon : float, default=1e-8
    Added to the denominator of the step. Only used with EPSILON.

n_iter_no_change : int or numpy.inf, default=10
    The most epochs in a row without an improvement by ``tol``. With solver='lbfgs' only used
    with early_stopping=True and an ``X_val``.

max_fun : int, default=15000
    The most evaluations of the loss. Only used with solver='lbfgs'.

l1_ratio : float, default=0.0
    The part of ``alpha`` that is the strength of an L1 penalty, in [0, 1]: the loss has
    the term ``alpha * l1_ratio / n * sum(abs(weights))``, and 1 - l1_ratio of alpha is
    left to the L2 penalty (or to the decay). Not used with solver='lbfgs'.

dropout : float or array-like of float, default=0.0
    The probability with which a unit of a hidden layer is left out in a step of training,
    or that of each hidden layer, in [0, 1). The others are scaled up, so that predictions
    need nothing. Which are left out depends on ``random_state`` alone, not on threads.
    Not used with solver='lbfgs'.

input_dropout : float, default=0.0
    The same for the input features.

batch_norm : bool, default=False
    Whether each hidden layer's inputs are normalised, unit by unit, to the mean and variance
    of the mini-batch, before a learned scale and shift and the activation. Predictions take
    running averages of mean and variance. Sample weights do not count in these. Not
    available with solver='lbfgs'.

batch_norm_momentum : float, default=0.1
    The weight of a mini-batch in these averages, in (0, 1]. Only used with
    batch_norm=True.

max_grad_norm : float or None, default=None
    Where the gradient of all parameters together has a larger Euclidean norm than this,
    it is scaled down to it. Not used with solver='lbfgs'.

weight_average : float or None, default=None
    The decay of an exponential moving average of the weights over the steps, in (0, 1),
    such as 0.999: the fitted weights are then the average, and validation scores are its
    scores. It is an average from the first step on. ``partial_fit`` goes on from the
    weights that the last call came to. Not used with solver='lbfgs'.

warmup_fraction : float, default=0.0
    The part of ``max_iter`` epochs in which the learning rate first rises from 0, step by
    step, before the schedule begins; in [0, 1). Not used with solver='lbfgs'.

weight_init : {'auto', INITIALIZER_NAMES}, default='auto'
    How the weights are drawn, for a layer of n_in inputs and n_out units.

    - 'auto', as scikit-learn does: weights and biases uniform within
      sqrt(6 / (n_in + n_out)), and with 2 instead of 6 for the logistic activation.
INITIALIZER_LIST

    But for 'auto' biases begin as zero.

augment : ImageAugmenter or None, default=None
    What changes the images in the rows of X at random each time that they are trained on; see
    `ImageAugmenter`. Validation and prediction see them as they are. Not used with
    solver='lbfgs'.

scoring : str, callable or None, default=None
    The score of the validation set: None for {metric}, 'loss' for the loss (without the penalty
    on the weights; as a score it is negative), or any scorer, a name of
    `sklearn.metrics.get_scorer_names` or a callable ``scorer(estimator, X_val, y_val)``. If there
    are weights of the validation samples, it is called with them as ``sample_weight``. Where the
    classes are strings, some scorers need to know which counts as positive:
    ``make_scorer(f1_score, pos_label="yes")``.
    Only used where there is a validation set.

max_time : float or None, default=None
    The most seconds that ``fit``, or a call of ``partial_fit``, should take; compiling kernels,
    once on a machine, does not count. It is looked at between mini-batches, so that an epoch may
    be cut short; at least some mini-batches are trained on, or one iteration of 'lbfgs'. A model
    that is stopped so depends on the machine's speed.

dtype : {'auto', 'float32', 'float64'}, default='auto'
    Precision of the weights and of all computation. 'auto' follows X, as
    scikit-learn does: float32 for float32 X, otherwise float64; and for
    solver='lbfgs' always float64. With 'float32', X of float64 is not
    converted as a whole: its mini-batches are. At its default, what `config_context` says.

device : {'cpu'} or None, default=None
    Where to compute. None: as `config_context` says, by default on the CPU.

n_jobs : int or None, default=None
    The most threads for this estimator. None: as `config_context` says, by default one for each
    processor that the process may use by its CPU affinity and its container's quota, or as many
    as NUMBA_NUM_THREADS, OMP_NUM_THREADS or threadpoolctl allow, if that is fewer. -1: all
    processors, -2: all but one, and so on, within the same limits. A positive number overrules
    OMP_NUM_THREADS and limits on BLAS, but none of the others. One thread does the work where it
    is small, or where that is faster by measurement. The result does not depend on the
    threads."""

ATTRIBUTES = """\
loss_ : float
    The loss of the last iteration.

best_loss_ : float or None
    The lowest training loss of an epoch. None with ``early_stopping=True``.

loss_curve_ : list of float
    The mean training loss of each epoch, or the training loss of each iteration of 'lbfgs'.

learning_rate_curve_ : list of float
    The learning rate at the end of each epoch. Not set by solver='lbfgs'.

validation_scores_ : list of float or None
    The validation score ({metric}, or what ``scoring`` is) after each epoch, or iteration of
    'lbfgs'; NaN for earlier ones without a validation set. None if the last fit had none.

validation_loss_curve_ : list of float or None
    The mean loss of the validation set likewise, without the penalty on the weights.

best_validation_score_ : float or None
    The best of ``validation_scores_``; -inf if none was a finite number.

best_epoch_ : int or None
    The epoch, or iteration of 'lbfgs', with the best validation score: its loss is
    ``loss_curve_[best_epoch_ - 1]``, and the fitted weights are those after it, unless a warm start
    with early stopping and no ``X_val`` ended with its last. None without a validation set, if no
    score was a finite number, or if what training began with remains the best.

stop_reason_ : str or None
    Why training ended, in words. None after a call of ``partial_fit`` that has trained one epoch
    and seen no reason to stop.

t_ : int
    The training samples seen by the stochastic solvers.

coefs_ : list of ndarray of shape (n_in, n_out)
    The weights of each layer: ``coefs_[i]`` leads from layer i to layer i + 1.
    They are views of one flat vector. Their entries may be changed in place,
    and arrays of the list be replaced.

intercepts_ : list of ndarray of shape (n_out,)
    The biases of each layer, views likewise.

activation_params_ : list of ndarray of shape (1,) or None
    What the activation of each hidden layer has learned: the slope of 'prelu'. Views of the
    vector that ``coefs_`` are views of.

batch_norm_scale_ : list of ndarray of shape (n_out,)
    The scale that each hidden layer's batch normalisation has learned, views likewise. Like
    the next three, empty without ``batch_norm``.

batch_norm_shift_ : list of ndarray of shape (n_out,)
    The shift.

batch_norm_mean_ : list of ndarray of shape (n_out,)
    The running mean.

batch_norm_var_ : list of ndarray of shape (n_out,)
    The running variance.

n_features_in_ : int
    Number of features seen in ``fit``.

feature_names_in_ : ndarray of shape (n_features_in_,)
    Names of the features seen in ``fit``, where all of them are strings.

n_iter_ : int
    Epochs, or iterations of L-BFGS, of the last fit.

n_layers_ : int
    Number of layers, input and output included.

n_outputs_ : int
    Number of output units.

n_parameters_ : int
    Number of parameters that training learns: weights, biases and, where there are any, the
    activations' and batch normalisation's.

out_activation_ : str
    Name of the output activation function."""

REFERENCES = """\
Hinton, G. E. "Connectionist learning procedures." Artificial Intelligence
40.1 (1989): 185-234.

Glorot, X., and Bengio, Y. "Understanding the difficulty of training deep
feedforward neural networks." AISTATS (2010).

He, K., et al. "Delving deep into rectifiers: surpassing human-level performance on
ImageNet classification." arXiv:1502.01852 (2015).

Kingma, D., and Ba, J. "Adam: a method for stochastic optimization."
arXiv:1412.6980 (2014).

Ioffe, S., and Szegedy, C. "Batch normalization: accelerating deep network training by
reducing internal covariate shift." ICML (2015).

Srivastava, N., et al. "Dropout: a simple way to prevent neural networks from
overfitting." JMLR 15 (2014).

Pascanu, R., et al. "On the difficulty of training recurrent neural networks."
ICML (2013)."""


def _names(registry):
    return ", ".join(f"'{name}'" for name in registry)


def _list(registry, names):
    """A line for each entry, wrapped."""
    wrap = TextWrapper(96, initial_indent="    - ", subsequent_indent="      ")
    return "\n".join(wrap.fill(f"'{name}', {registry[name].summary}") for name in names)


def _users(parameter):
    """The solvers that make use of a parameter, in words."""
    users = [repr(name) for name in SOLVERS if parameter in OPTIMIZERS[name].parameters]
    return f"solver={' or '.join(users)}" if len(users) < 4 else f"the solvers {', '.join(users)}"


for placeholder, text in (
    ("{ACTIVATION_NAMES}", f"{{{_names(ACTIVATIONS)}}}"),
    ("ACTIVATION_LIST", _list(ACTIVATIONS, ACTIVATIONS)),
    ("SOLVER_NAMES", _names(SOLVERS)),
    ("SOLVER_LIST", _list(OPTIMIZERS, SOLVERS)),
    ("INITIALIZER_NAMES", _names(INITIALIZERS)),
    ("INITIALIZER_LIST", _list(INITIALIZERS, INITIALIZERS)),
    ("DECOUPLED", f"solver={' or '.join(repr(s) for s in SOLVERS if OPTIMIZERS[s].decoupled)}"),
    ("MOMENTUM_SOLVERS", _users("momentum")),
    ("BETA_1", _users("beta_1")),
    ("BETA_2", _users("beta_2")),
    ("EPSILON", _users("epsilon")),
):
    PARAMETERS = PARAMETERS.replace(placeholder, text)


def fill_docstring(**own):
    """Class decorator: put the common entries and ``own`` into the class docstring.

    Each placeholder stands on a line of its own, at the margin of the docstring.
    """

    def decorate(cls):
        if cls.__doc__ is not None:  # It is None under python -OO.
            doc = inspect.cleandoc(cls.__doc__)
            for name, text in (
                ("parameters", PARAMETERS),
                ("attributes", ATTRIBUTES),
                ("references", REFERENCES),
                *own.items(),
            ):
                doc = doc.replace("{" + name + "}", text)
            cls.__doc__ = doc
        return cls

    return decorate
