"""The parts of the docstrings that estimators share, and the decorator that puts them in.

A class docstring says ``{parameters}`` where the entries of the table of parameters belong, and
``{attributes}`` and ``{references}`` where those of this module do.
"""

import inspect

from fastnn.estimators.parameter_table import parameters_of

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


def fill_docstring(**own):
    """Class decorator: put the shared entries, and after them ``own``, into the class docstring."""

    def decorate(cls):
        if cls.__doc__ is not None:  # It is None under python -OO.
            doc = inspect.cleandoc(cls.__doc__)
            entries = [entry.docstring for entry in parameters_of(cls.__name__).values()]
            for name, text in (
                ("parameters", "\n\n".join(entries)),
                ("attributes", ATTRIBUTES),
                ("references", REFERENCES),
                *own.items(),
            ):
                doc = doc.replace("{" + name + "}", text)
            cls.__doc__ = doc
        return cls

    return decorate
