"""scikit-learn's multi-layer perceptrons replaced by fastnn's in a program as it is."""

import sys
from abc import ABCMeta

from sklearn.neural_network import _multilayer_perceptron

from fastnn import notices
from fastnn.estimators import config
from fastnn.estimators.base import BaseMultilayerPerceptron
from fastnn.estimators.classifier import MLPClassifier
from fastnn.estimators.regressor import MLPRegressor

# The namespace that defines scikit-learn's classes. Pickles of its models look their class up
# here, so its names stay.
DEFINING = vars(_multilayer_perceptron)
# For each class of ours the one of scikit-learn's with its name.
THEIRS = {
    ours: DEFINING[ours.__name__]
    for ours in (MLPClassifier, MLPRegressor, BaseMultilayerPerceptron)
}
# For each class of both the other of its name.
TWINS = THEIRS | {theirs: ours for ours, theirs in THEIRS.items()}
# Namespace, name, scikit-learn's class and fastnn's of each name that is replaced now.
_replaced = []


class _Interchangeable(ABCMeta):
    """The class of the classes in TWINS while scikit-learn's are replaced.

    For `isinstance` and `issubclass` a class and its twin are then the same. Nothing of that gets
    into the caches that ABCMeta keeps, so it ends when the classes get their own class back.
    """

    def __subclasscheck__(cls, subclass):
        twin = TWINS.get(cls)
        return twin in getattr(subclass, "__mro__", ()) or super().__subclasscheck__(subclass)

    def __instancecheck__(cls, instance):
        return cls.__subclasscheck__(type(instance)) or super().__instancecheck__(instance)


class _Patch:
    """The context of a `patch_sklearn`; its end is that of the patch, if its call began it."""

    def __init__(self, is_first, wanted_advice):
        self._is_first = is_first
        self._wanted_advice = wanted_advice

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._is_first:
            unpatch_sklearn()
        else:
            config.want_advice(self._wanted_advice)


def _namespace(module):
    """A module's dict; None for what is no common module.

    Past ``__getattribute__``, by which modules are loaded that are imported lazily.
    """
    try:
        namespace = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return None
    return namespace if isinstance(namespace, dict) else None


def patch_sklearn(*, advice=False):
    """Replace scikit-learn's MLPClassifier and MLPRegressor by fastnn's.

    The names in `sklearn.neural_network`, and those in modules that have already imported the
    classes from there, mean fastnn's afterwards. Objects that exist, subclasses, and classes kept
    in lists or the like stay as they are. Pickles of scikit-learn's models stay scikit-learn's:
    the module that defines the classes, which pickles name, is left alone. So whoever imports them
    from that private module, ``sklearn.neural_network._multilayer_perceptron``, meanwhile, gets
    scikit-learn's. For `isinstance` and `issubclass`, fastnn's classes and scikit-learn's, and
    their private base classes, are the same meanwhile.

    A second call replaces what modules have imported meanwhile; one `unpatch_sklearn` undoes all.

    Parameters
    ----------
    advice : bool, default=False
        Whether fits give the warnings that scikit-learn does not give, those of category
        `fastnn.exceptions.AdviceWarning`. It counts for the whole process, and for joblib's
        workers, until `unpatch_sklearn`.

    Returns
    -------
    patch : context manager
        In a ``with`` statement, the classes are scikit-learn's again after the block, unless they
        had been replaced before it.

    See Also
    --------
    unpatch_sklearn : The way back.

    Notes
    -----
    ``python -m fastnn script.py`` does this for a program without any change to it. Joblib's
    workers get fastnn's estimators from a program that is patched; a process of the program's own
    that makes estimators itself calls this function itself.

    skl2onnx notes the classes when it is first imported: imported after this call, it converts
    fastnn's models as they are; imported before it, what their ``to_sklearn`` returns.

    Examples
    --------
    >>> import fastnn, sklearn.neural_network
    >>> with fastnn.patch_sklearn():
    ...     sklearn.neural_network.MLPClassifier is fastnn.MLPClassifier
    True
    >>> sklearn.neural_network.MLPClassifier is fastnn.MLPClassifier
    False
    """
    patch = _Patch(not _replaced, notices.advice_is_wanted())
    # By identity, of values of any kind.
    pairs = {id(THEIRS[cls]): cls for cls in (MLPClassifier, MLPRegressor)}
    for module in list(sys.modules.values()):
        namespace = _namespace(module)
        if namespace is None or namespace is DEFINING:
            continue
        for name, value in list(namespace.items()):
            ours = pairs.get(id(value))
            if ours is not None:
                namespace[name] = ours
                _replaced.append((namespace, name, value, ours))
    for cls in TWINS:
        cls.__class__ = _Interchangeable
    config.want_advice(advice)
    return patch


def unpatch_sklearn():
    """Give back every name that `patch_sklearn` replaced.

    A name that was bound to something else meanwhile keeps that. Modules that were first imported
    while the classes were replaced keep fastnn's. Without a patch it does nothing.

    See Also
    --------
    patch_sklearn : The function whose effect this undoes.

    Examples
    --------
    >>> import fastnn, sklearn.neural_network
    >>> patch = fastnn.patch_sklearn()
    >>> fastnn.unpatch_sklearn()
    >>> sklearn.neural_network.MLPClassifier is fastnn.MLPClassifier
    False
    """
    if _replaced:
        config.want_advice(True)
        for cls in TWINS:
            cls.__class__ = ABCMeta
    while _replaced:
        namespace, name, theirs, ours = _replaced.pop()
        if namespace.get(name) is ours:
            namespace[name] = theirs
