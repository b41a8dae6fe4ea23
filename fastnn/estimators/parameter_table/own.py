"""The parameters that scikit-learn's estimators do not have, in the order of the constructors."""

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval, StrOptions

from fastnn.backends import DEVICES
from fastnn.estimators.augmenter import ImageAugmenter
from fastnn.estimators.parameter_table.parameter import (
    CLASSIFIER,
    HIDDEN_LAYERS,
    REGRESSOR,
    STOCHASTIC,
    Parameter,
    Use,
    has_hidden_layers,
    in_words,
    list_of,
    one_of,
    splits_off,
)
from fastnn.kernels.losses import CLASSIFIER_LOSSES
from fastnn.network.initializers import INITIALIZERS

OWN = []


def _add(name, **fields):
    """Add a parameter of our own."""
    OWN.append(Parameter(name, is_own=True, **fields))


# ---- of both estimators ------------------------------------------------------------------

_add(
    "l1_ratio",
    type="float",
    default=0.0,
    constraint=[Interval(Real, 0, 1, closed="both")],
    used_with=STOCHASTIC,
    summary="the part of `alpha` that is an L1 penalty.",
    doc="""
    The part of ``alpha`` that is the strength of an L1 penalty, in [0, 1]: the loss has
    the term ``alpha * l1_ratio / n * sum(abs(weights))``, and 1 - l1_ratio of alpha is
    left to the L2 penalty (or to the decay). Not used with solver='lbfgs'.
    """,
)

_add(
    "dropout",
    type="float or array-like of float",
    default=0.0,
    constraint=[Interval(Real, 0, 1, closed="left"), "array-like"],
    used_with=Use(
        "hidden layers and a solver other than 'lbfgs'",
        lambda model, _: model.solver != "lbfgs" and has_hidden_layers(model),
    ),
    summary=(
        "against overfitting, the probability with which a unit of a hidden layer is left out in a "
        "step; a number, or one for each hidden layer."
    ),
    doc="""
    The probability with which a unit of a hidden layer is left out in a step of training,
    or that of each hidden layer, in [0, 1). The others are scaled up, so that predictions
    need nothing. Which are left out depends on ``random_state`` alone, not on threads.
    Not used with solver='lbfgs'.
    """,
)

_add(
    "input_dropout",
    type="float",
    default=0.0,
    constraint=[Interval(Real, 0, 1, closed="left")],
    used_with=STOCHASTIC,
    summary="the same for the features.",
    doc="""
    The same for the input features.
    """,
)

_add(
    "batch_norm",
    type="bool",
    default=False,
    constraint=["boolean"],
    used_with=HIDDEN_LAYERS,
    summary="whether each hidden layer has batch normalisation.",
    doc="""
    Whether each hidden layer's inputs are normalised, unit by unit, to the mean and variance
    of the mini-batch, before a learned scale and shift and the activation. Predictions take
    running averages of mean and variance. Sample weights do not count in these. Not
    available with solver='lbfgs'.
    """,
)

_add(
    "batch_norm_momentum",
    type="float",
    default=0.1,
    constraint=[Interval(Real, 0, 1, closed="right")],
    used_with=Use(
        "batch_norm=True, hidden layers and a solver other than 'lbfgs'",
        lambda model, _: model.solver != "lbfgs" and model.batch_norm and has_hidden_layers(model),
    ),
    summary="the weight of a mini-batch in its running averages.",
    doc="""
    The weight of a mini-batch in these averages, in (0, 1]. Only used with
    batch_norm=True.
    """,
)

_add(
    "max_grad_norm",
    type="float or None",
    default=None,
    constraint=[Interval(Real, 0, None, closed="neither"), None],
    used_with=STOCHASTIC,
    summary="against gradients that explode, the norm to which longer ones are scaled down.",
    doc="""
    Where the gradient of all parameters together has a larger Euclidean norm than this,
    it is scaled down to it. Not used with solver='lbfgs'.
    """,
)

_add(
    "weight_average",
    type="float or None",
    default=None,
    constraint=[Interval(Real, 0, 1, closed="neither"), None],
    used_with=STOCHASTIC,
    summary="predictions by an exponential average of the weights; its decay, such as 0.999.",
    doc="""
    The decay of an exponential moving average of the weights over the steps, in (0, 1),
    such as 0.999: the fitted weights are then the average, and validation scores are its
    scores. It is an average from the first step on. ``partial_fit`` goes on from the
    weights that the last call came to. Not used with solver='lbfgs'.
    """,
)

_add(
    "warmup_fraction",
    type="float",
    default=0.0,
    constraint=[Interval(Real, 0, 1, closed="left")],
    used_with=STOCHASTIC,
    summary="the part of the training in which the learning rate first rises from 0.",
    doc="""
    The part of ``max_iter`` epochs in which the learning rate first rises from 0, step by
    step, before the schedule begins; in [0, 1). Not used with solver='lbfgs'.
    """,
)

_add(
    "weight_init",
    type=one_of(("auto", *INITIALIZERS)),
    default="auto",
    constraint=[StrOptions({"auto", *INITIALIZERS})],
    summary=(
        "Glorot's, He's and LeCun's, uniform or normal; "
        + ", ".join(f"`{name}`" for name in INITIALIZERS if "_" not in name)
        + "."
    ),
    changes_steps=False,
    doc=f"""
    How the weights are drawn, for a layer of n_in inputs and n_out units.

    - 'auto', as scikit-learn does: weights and biases uniform within
      sqrt(6 / (n_in + n_out)), and with 2 instead of 6 for the logistic activation.
    {list_of(INITIALIZERS)}

    But for 'auto' biases begin as zero.
    """,
)

_add(
    "augment",
    type="ImageAugmenter or None",
    default=None,
    constraint=[ImageAugmenter, None],
    used_with=STOCHASTIC,
    summary="an `ImageAugmenter`, which changes the images of every mini-batch at random.",
    doc="""
    What changes the images in the rows of X at random each time that they are trained on; see
    `ImageAugmenter`. Validation and prediction see them as they are. Not used with
    solver='lbfgs'.
    """,
)

_add(
    "scoring",
    type="str, callable or None",
    default=None,
    constraint=[str, callable, None],
    used_with=Use(
        "early_stopping=True or a validation set of your own (with 'lbfgs' only with the latter)",
        lambda model, validated: splits_off(model) or validated,
    ),
    summary=(
        'the score of the validation set: accuracy or R², `"loss"`, or any scorer of '
        "scikit-learn's."
    ),
    changes_steps=False,
    doc="""
    The score of the validation set: None for {metric}, 'loss' for the loss (without the penalty
    on the weights; as a score it is negative), or any scorer, a name of
    `sklearn.metrics.get_scorer_names` or a callable ``scorer(estimator, X_val, y_val)``. If there
    are weights of the validation samples, it is called with them as ``sample_weight``. Where the
    classes are strings, some scorers need to know which counts as positive:
    ``make_scorer(f1_score, pos_label="yes")``.
    Only used where there is a validation set.
    """,
)

_add(
    "max_time",
    type="float or None",
    default=None,
    constraint=[Interval(Real, 0, None, closed="neither"), None],
    summary="the most seconds that a fit should take.",
    changes_steps=False,
    doc="""
    The most seconds that ``fit``, or a call of ``partial_fit``, should take; compiling kernels,
    once on a machine, does not count. It is looked at between mini-batches, so that an epoch may
    be cut short; at least some mini-batches are trained on, or one iteration of 'lbfgs'. A model
    that is stopped so depends on the machine's speed.
    """,
)

_add(
    "dtype",
    type="{'auto', 'float32', 'float64'}",
    default="auto",
    constraint=[StrOptions({"auto", "float32", "float64"})],
    summary=(
        'the precision of training and of the weights. "auto" is scikit-learn\'s rule (float32 for '
        'float32 data, otherwise float64); "float32" and "float64" choose it, without a converted '
        "copy of the data."
    ),
    setting="auto",
    changes_steps=False,
    doc="""
    Precision of the weights and of all computation. 'auto' follows X, as
    scikit-learn does: float32 for float32 X, otherwise float64; and for
    solver='lbfgs' always float64. With 'float32', X of float64 is not
    converted as a whole: its mini-batches are. At its default, what `config_context` says.
    """,
)

_add(
    "device",
    type=f"{one_of(DEVICES)} or None",
    default=None,
    constraint=[StrOptions(set(DEVICES)), None],
    summary="where to train and predict: `'cpu'`, an NVIDIA GPU (`'cuda'`), or `'auto'`.",
    setting=DEVICES[0],
    changes_steps=False,
    doc="""
    Where to train and predict. 'cuda' is an NVIDIA GPU, and needs the packages of the extra
    ``cuda13`` or ``cuda12``. 'auto' is the GPU where there is one and a training gains by it, and
    else the CPU. The weights are the same, bit for bit. None: as `config_context` says, by default
    the CPU. A model that was trained on a GPU predicts on the CPU where there is none.
    """,
)

_add(
    "n_jobs",
    type="int or None",
    default=None,
    constraint=[
        Interval(Integral, 1, None, closed="left"),
        Interval(Integral, None, -1, closed="right"),
        None,
    ],
    summary=(
        "the most threads for this estimator, with joblib's meaning for negative numbers; one does "
        "the work where that is faster, which the fit finds out as it runs. None: one for each "
        "processor of the process (CPU affinity, container quota), or fewer where "
        "`NUMBA_NUM_THREADS`, `OMP_NUM_THREADS` or threadpoolctl say so. The threads are fastnn's "
        "own: they work beside your `prange`, in children of `fork`, and without an OpenMP "
        "library; `numba.set_num_threads` does not concern them."
    ),
    setting="auto",
    changes_steps=False,
    doc="""
    The most threads for this estimator. None: as `config_context` says, by default one for each
    processor that the process may use by its CPU affinity and its container's quota, or as many
    as NUMBA_NUM_THREADS, OMP_NUM_THREADS or threadpoolctl allow, if that is fewer. -1: all
    processors, -2: all but one, and so on, within the same limits. A positive number overrules
    OMP_NUM_THREADS and limits on BLAS, but none of the others. One thread does the work where it
    is small, or where that is faster by measurement. The result does not depend on the
    threads.
    """,
)
# ---- of the classifier -------------------------------------------------------------------

_add(
    "loss",
    type=one_of(CLASSIFIER_LOSSES),
    default="log_loss",
    constraint=[StrOptions(set(CLASSIFIER_LOSSES))],
    estimators=(CLASSIFIER,),
    summary=f"{in_words(CLASSIFIER_LOSSES)}; the squared error is that of the probabilities.",
    doc="""
    The loss function.

    - 'log_loss', the cross-entropy of the outputs, logistic or softmax.
    - 'squared_error', half the squared error of these outputs (the quadratic cost, or
      Brier score).
    - 'hinge', the margin loss of the raw outputs; for more than two classes that of
      Crammer and Singer. There are no probabilities, but ``decision_function``.
    """,
)

_add(
    "label_smoothing",
    type="float",
    default=0.0,
    constraint=[Interval(Real, 0, 1, closed="left")],
    estimators=(CLASSIFIER,),
    used_with=Use(
        "loss='log_loss' or 'squared_error'",
        lambda model, _: model.loss != "hinge",
    ),
    summary="the part of each target that is spread evenly over all classes.",
    doc="""
    The part of each target that is spread evenly over all classes (for two classes and
    for each of many labels, over both), in [0, 1). Not used with loss='hinge'.
    """,
)

_add(
    "class_weight",
    type="'balanced', dict, list of dict or None",
    default=None,
    constraint=[dict, list, StrOptions({"balanced"}), None],
    estimators=(CLASSIFIER,),
    summary='`"balanced"`, or the weights of classes in a dict.',
    doc="""
    Weights of the classes in the loss, ``{class: weight}``; a class that is not named has
    weight 1. They multiply those of ``sample_weight``, in the loss of a
    validation set too, but not in its score. 'balanced' is ``n_samples / (n_classes * count)``,
    counted by ``sample_weight`` where there is one; ``partial_fit``, which does not see all
    samples, refuses it. For multilabel y, 'balanced' or a list of a dict for each
    label, whose weights are multiplied.
    """,
)
# ---- of the regressor --------------------------------------------------------------------

_add(
    "huber_delta",
    type="float",
    default=1.35,
    constraint=[Interval(Real, 0, None, closed="neither")],
    estimators=(REGRESSOR,),
    used_with=Use("loss='huber'", lambda model, _: model.loss == "huber"),
    summary="where the loss `huber` goes from quadratic to linear.",
    doc="""
    Where the loss 'huber' goes from quadratic to linear. Only used with loss='huber'.
    """,
)

_add(
    "quantile",
    type="float",
    default=0.5,
    constraint=[Interval(Real, 0, 1, closed="neither")],
    estimators=(REGRESSOR,),
    used_with=Use("loss='quantile'", lambda model, _: model.loss == "quantile"),
    summary="the quantile that the loss `quantile` is for.",
    doc="""
    The quantile that the loss 'quantile' is for, in (0, 1). Only used with
    loss='quantile'.
    """,
)
