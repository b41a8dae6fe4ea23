"""The parts of the docstrings that both estimators have, and the decorator that puts them in.

A class docstring says ``{parameters}`` and ``{attributes}`` where the common
entries belong, so that each parameter is described once.
"""

import inspect

from fastnn.kernels.activations import ACTIVATIONS

PARAMETERS = """\
hidden_layer_sizes : int or array-like of int, default=(100,)
    Units of each hidden layer. An empty sequence makes a linear model.

activation : {ACTIVATION_NAMES}, default='relu'
    Activation function of the hidden layers.

ACTIVATION_LIST

solver : {'lbfgs', 'sgd', 'adam'}, default='adam'
    The solver that minimises the loss.

    - 'lbfgs', a quasi-Newton method on the whole training set. Often the best
      for small data.
    - 'sgd', stochastic gradient descent with momentum.
    - 'adam', the stochastic method of Kingma and Ba. Works well on data of
      thousands of samples or more.

    A parameter that is not at its default and that the solver makes no use of
    is named in a UserWarning, once a fit.

alpha : float, default=0.0001
    Strength of the L2 penalty on the weights (not on the intercepts): the loss
    has the term ``alpha / (2 * n) * sum(weights ** 2)``, n being the samples (or the
    sum of their weights) of the batch.

batch_size : int or 'auto', default='auto'
    Samples of a mini-batch of 'sgd' and 'adam'. 'auto' is
    ``min(200, n_samples)``. A larger value than there are samples is clipped,
    with a UserWarning. Only used with solver='sgd' or 'adam'.

learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
    Learning-rate schedule.

    - 'constant' keeps ``learning_rate_init``.
    - 'invscaling' takes ``learning_rate_init / (t_ + 1) ** power_t`` from the
      second epoch on, with ``t_`` the samples seen so far.
    - 'adaptive' divides the rate by 5 each time that ``n_iter_no_change``
      epochs have not improved by ``tol``, and stops when that happens at a
      rate of at most 1e-6.

    Only used with solver='sgd'.

learning_rate_init : float, default=0.001
    The initial learning rate, the size of the steps. Only used with
    solver='sgd' or 'adam'.

power_t : float, default=0.5
    The exponent of the schedule 'invscaling'. Only used with solver='sgd' and
    learning_rate='invscaling'.

max_iter : int, default=200
    The most iterations. For 'sgd' and 'adam' these are epochs (how many times
    each sample is used), not gradient steps.

shuffle : bool, default=True
    Whether to shuffle the samples in each epoch. Only used with solver='sgd'
    or 'adam'.

random_state : int, RandomState instance or None, default=None
    Determines the initial weights, the validation split of early stopping and
    the shuffling, with the same draws as scikit-learn. Pass an int for
    reproducible results.

tol : float, default=1e-4
    Tolerance of the optimisation. An epoch improves if its loss falls (or its
    validation score rises) by at least ``tol``; for 'lbfgs' it ends when no
    component of the gradient exceeds ``tol``.

verbose : bool or int, default=False
    Whether to print the loss of each epoch, or of each iteration of 'lbfgs'.

warm_start : bool, default=False
    Whether ``fit`` goes on with the network of the last fit instead of
    starting from a new one.

momentum : float, default=0.9
    Momentum of gradient descent, in [0, 1]. Only used with solver='sgd'.

nesterovs_momentum : bool, default=True
    Whether the momentum is Nesterov's. Only used with solver='sgd'.

early_stopping : bool, default=False
    Whether to set aside ``validation_fraction`` of the training data and to stop
    when the score on it does not improve by ``tol`` for ``n_iter_no_change``
    epochs in a row; the fitted weights are then those of the best score.
    {stratified}A score that is NaN (the outputs
    overflowed) improves on nothing; if every score was NaN, the fitted weights are
    those that the training began with. Without early stopping, the
    training loss decides. Only used with solver='sgd' or 'adam'; not available in
    ``partial_fit``.

validation_fraction : float, default=0.1
    The part of the training data to set aside for early stopping, in [0, 1).
    Only used with early_stopping=True.

beta_1 : float, default=0.9
    Decay rate of adam's estimate of the first moment, in [0, 1). Only used
    with solver='adam'.

beta_2 : float, default=0.999
    Decay rate of adam's estimate of the second moment, in [0, 1). Only used
    with solver='adam'.

epsilon : float, default=1e-8
    Added to the denominator of adam's step. Only used with solver='adam'.

n_iter_no_change : int or numpy.inf, default=10
    The most epochs in a row without an improvement by ``tol``. Only used with
    solver='sgd' or 'adam'.

max_fun : int, default=15000
    The most evaluations of the loss. Only used with solver='lbfgs'.

dtype : {'auto', 'float32', 'float64'}, default='auto'
    Precision of the weights and of all computation. 'auto' follows X, as
    scikit-learn does: float32 for float32 X, otherwise float64; and for
    solver='lbfgs' always float64. With 'float32', X of float64 is not
    converted as a whole: its mini-batches are.

n_jobs : int or None, default=None
    The most threads for this estimator. None: as many as Numba would use. -1: all
    processors, -2: all but one, and so on. One does the work where it is small, or
    where it is faster by measurement. The result does not depend on the threads."""

ATTRIBUTES = """\
loss_ : float
    The loss of the last iteration.

best_loss_ : float or None
    The lowest training loss of an epoch. None with ``early_stopping=True``. Not
    set by solver='lbfgs'.

loss_curve_ : list of float
    The mean training loss of each epoch. Not set by solver='lbfgs'.

validation_scores_ : list of float or None
    The validation score ({metric}) after each epoch with
    ``early_stopping=True``, otherwise None. Not set by solver='lbfgs'.

best_validation_score_ : float or None
    The best of ``validation_scores_``; -inf if all were NaN. Not set by
    solver='lbfgs'.

t_ : int
    The training samples seen by the stochastic solvers.

coefs_ : list of ndarray of shape (n_in, n_out)
    The weights of each layer: ``coefs_[i]`` leads from layer i to layer i + 1.
    They are views of one flat vector. Their entries may be changed in place,
    and arrays of the list be replaced.

intercepts_ : list of ndarray of shape (n_out,)
    The biases of each layer, views likewise.

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
arXiv:1412.6980 (2014)."""


NAMES = ", ".join(f"'{name}'" for name in ACTIVATIONS)
LIST = "\n".join(f"    - '{name}', {entry.summary}" for name, entry in ACTIVATIONS.items())
PARAMETERS = PARAMETERS.replace("{ACTIVATION_NAMES}", f"{{{NAMES}}}").replace(
    "ACTIVATION_LIST", LIST
)


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
