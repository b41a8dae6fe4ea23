"""Perceptron: Rosenblatt's rule, with the step activation and scikit-learn's interface."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    type_of_target,
    unique_labels,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnn import notices, streams
from fastnn.backends import get_backend
from fastnn.estimators import stats
from fastnn.estimators.checks import (
    check_prediction_data,
    check_sample_weight,
    kernel_ready,
    shaped_weights,
)
from fastnn.estimators.concurrency import AtOnceMixin
from fastnn.estimators.docs import fill_docstring
from fastnn.estimators.parameter_table import constraints_of
from fastnn.estimators.parameter_table.parameter import PERCEPTRON

# Where scikit-learn's Perceptron warns.
SKLEARN_MODULE = "sklearn.linear_model._stochastic_gradient"


@fill_docstring()
class Perceptron(AtOnceMixin, ClassifierMixin, BaseEstimator):
    """Rosenblatt's perceptron.

    A linear classifier with the step activation: ``u = 1`` where ``w0 + sum(w * x) > 0``, else
    0. It learns one sample at a time, in compiled code, by ``w += eta0 * (y - u) * x``, with
    ``x0 = 1``, until an epoch makes no error. Classes that a hyperplane separates are learned in
    a finite number of steps. More than two classes have one perceptron each, which tells its
    class from the rest.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels, sorted.

    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        The weights, in one row for two classes, otherwise a row for each class. They may be
        changed or replaced.

    intercept_ : ndarray of shape (1,) or (n_classes,)
        The weights ``w0`` likewise.

    n_iter_ : int
        The epochs of the last fit; 1 after ``partial_fit``.

    error_curve_ : list of int
        The errors of each epoch, of all perceptrons together; each was one step of the rule.
        ``partial_fit`` and ``warm_start`` go on with it.

    t_ : int
        The training samples presented, over the same fits.

    n_features_in_ : int
        Number of features seen in ``fit``.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features seen in ``fit``, where all of them are strings.

    See Also
    --------
    MLPClassifier : Perceptrons in layers, which also learn what no hyperplane separates.
    sklearn.linear_model.Perceptron : The interface that this class follows.

    Notes
    -----
    scikit-learn's class of this name descends the gradient of a loss, which is almost the same
    rule: it also makes a step where the sum of a negative sample is exactly 0, as it is at the
    start. It ends when the loss no longer falls by ``tol``; this one ends when there are no
    errors. Penalties, early stopping and class weights, which are no part of the rule, are not
    here. For sparse X scikit-learn multiplies the steps of the intercept by 0.01; here dense and
    sparse X give the same weights.

    ``fit`` has no ``sample_weight``: a weight of 2 should mean the same as the sample twice, and no
    rule that learns from one sample after another can promise that. ``partial_fit`` has one, for
    what it does: it multiplies the steps.

    Weights and sums are float64 for every X; sums have a fixed order, so that they are the same
    bits on every machine, and the same in training and prediction. X is not copied as a whole if it
    is an aligned array of native float32 or float64 with contiguous rows (without shuffling: of any
    strides), or CSR in canonical format; sparse X is never made dense. A fit that fails leaves the
    estimator as it was; one that is interrupted with Ctrl-C warns and leaves a usable model.

    References
    ----------
    Rosenblatt, F. "The perceptron: a probabilistic model for information storage and
    organization in the brain." Psychological Review 65.6 (1958): 386-408.

    Novikoff, A. B. J. "On convergence proofs on perceptrons." Proceedings of the Symposium
    on the Mathematical Theory of Automata 12 (1962): 615-622.

    Examples
    --------
    Logical OR, from given weights, the samples always in the same order:

    >>> from fastnn import Perceptron
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 1]
    >>> clf = Perceptron(shuffle=False)
    >>> clf.fit(X, y, coef_init=[1, -1], intercept_init=0)
    Perceptron(shuffle=False)
    >>> clf.predict(X)
    array([0, 1, 1, 1])
    >>> clf.intercept_, clf.coef_
    (array([0.]), array([[1., 1.]]))
    >>> clf.error_curve_
    [1, 2, 1, 0]
    """

    _parameter_constraints: dict = constraints_of(PERCEPTRON)

    def __init__(
        self,
        *,
        fit_intercept=True,
        max_iter=1000,
        shuffle=True,
        verbose=0,
        eta0=1.0,
        random_state=0,
        warm_start=False,
    ):
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.verbose = verbose
        self.eta0 = eta0
        self.random_state = random_state
        self.warm_start = warm_start

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, coef_init=None, intercept_init=None):
        """Learn until an epoch makes no error, or for ``max_iter`` epochs.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The training data.

        y : array-like of shape (n_samples,)
            Class labels, numbers or strings, of two classes at least.

        coef_init : array-like of shape (n_features,) or (n_classes, n_features), default=None
            The weights to begin with. None: zero, or with ``warm_start`` those of the last
            fit.

        intercept_init : array-like of shape (1,) or (n_classes,), default=None
            The intercepts to begin with, likewise.

        Returns
        -------
        self : Perceptron
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y, an initial weight or a parameter is not valid, if y has one class only,
            or if the weights became non-finite.

        Warns
        -----
        ConvergenceWarning
            If the last of ``max_iter`` epochs still made errors.

        Examples
        --------
        >>> from fastnn import Perceptron
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = Perceptron().fit(X[:100], y[:100])
        >>> clf.n_iter_, clf.score(X[:100], y[:100])
        (2, 1.0)
        """
        return self._fit(X, y, coef_init, intercept_init)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X, y, classes=None, sample_weight=None, *, coef_init=None, intercept_init=None
    ):
        """Present the given samples once.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The training data.

        y : array-like of shape (n_samples,)
            Class labels.

        classes : array-like of shape (n_classes,), default=None
            The classes of all calls. Needed in the first call; later it may be left out, or
            must be the same. y does not need to contain all of them.

        sample_weight : array-like of shape (n_samples,), default=None
            What the steps of each sample are multiplied by, non-negative and not all zero. A
            sample of weight 0 is as good as absent.

        coef_init : array-like of shape (n_features,) or (n_classes, n_features), default=None
            The weights to begin with. None: those so far, or zero in the first call.

        intercept_init : array-like of shape (1,) or (n_classes,), default=None
            The intercepts to begin with, likewise.

        Returns
        -------
        self : Perceptron
            The estimator.

        Raises
        ------
        ValueError
            As in `fit`; if classes is missing in the first call or differs later; if y has a
            label that is not among the classes; if sample_weight is not valid.

        Examples
        --------
        >>> from fastnn import Perceptron
        >>> clf = Perceptron()
        >>> clf = clf.partial_fit(
        ...     [[2, 1]], [0], classes=[0, 1], coef_init=[0.5, 0.25], intercept_init=-1
        ... )
        >>> clf.intercept_, clf.coef_
        (array([-2.]), array([[-1.5 , -0.75]]))
        >>> clf.predict([[2, 1]])
        array([0])
        """
        how = {"classes": classes, "sample_weight": sample_weight, "incremental": True}
        return self._fit(X, y, coef_init, intercept_init, **how)

    def decision_function(self, X):
        """The sums ``w0 + sum(w * x)``, before the step.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes the sum of the one perceptron, which is above 0 for ``classes_[1]``;
            otherwise the sum of each class's perceptron.
        """
        return self._as_of_now()._sums(X)

    def _sums(self, X):
        if not hasattr(self, "coef_"):
            check_is_fitted(self)
        weights = self._fitted_weights()
        X = check_prediction_data(self, X, weights[0].dtype)
        sums = get_backend().perceptron_sums(X, *weights)
        return sums[:, 0] if self._n_outputs == 1 else sums

    def predict(self, X):
        """Predict class labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            For two classes, the second where the sum is above 0; otherwise the class with the
            largest sum.
        """
        model = self._as_of_now()
        scores = model.decision_function(X)
        if scores.ndim == 1:
            return model.classes_[(scores > 0).astype(np.intp)]
        return model.classes_[scores.argmax(axis=1)]

    # ---- fitting -------------------------------------------------------------------

    def _fit(self, X, y, coef_init, intercept_init, incremental=False, **how):
        """Fit a copy, and take over what it has come to; if that fails, nothing has changed."""
        worker = self._as_of_now()
        before = vars(worker).copy()
        with stats.recorded(self, X, incremental):
            outcome = worker._train(X, y, coef_init, intercept_init, incremental=incremental, **how)
            self._take_over(worker, before)
        # A filter may make an error of a warning; the model is trained all the same.
        if not (incremental and outcome == "max_iter"):
            self._warn_outcome(outcome)
        return self

    def _train(
        self, X, y, coef_init, intercept_init, classes=None, sample_weight=None, incremental=False
    ):
        """Train this estimator; returns how that ended."""
        fresh = not hasattr(self, "coef_") or not (self.warm_start or incremental)
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            dtype=[np.float64, np.float32],
            reset=fresh,
        )
        X = kernel_ready(X)
        sample_weight = check_sample_weight(sample_weight, X.shape[0], ensure_non_negative=True)
        if sample_weight is not None:
            sample_weight = sample_weight.astype(np.float64, copy=False)
        self._set_classes(y, classes, incremental, fresh)
        if self.shuffle and isinstance(X, np.ndarray) and X.strides[1] != X.itemsize:
            # Rows in random order would be slow to collect from columns, epoch after epoch.
            X = np.ascontiguousarray(X)
        learner = get_backend().perceptron_learner(
            X,
            *self._initial_weights(fresh, coef_init, intercept_init),
            self._targets(y),
            rate=self.eta0,
            fit_intercept=self.fit_intercept,
            sample_weight=sample_weight,
        )
        errors, outcome = self._run_epochs(learner, 1 if incremental else self.max_iter)
        if not np.isfinite(learner.weights).all():
            raise ValueError(
                f"Floating-point under-/overflow occurred at epoch #{len(errors)}. Scaling input "
                "data with StandardScaler or MinMaxScaler might help."
            )
        self.coef_ = learner.weights[:, 1:].copy()
        self.intercept_ = learner.weights[:, 0].copy()
        self.n_iter_ = len(errors)
        # Weights that a user has set have no history.
        before = [] if fresh else getattr(self, "error_curve_", [])
        self.error_curve_ = [*before, *errors]
        self.t_ = (0 if fresh else getattr(self, "t_", 0)) + len(errors) * X.shape[0]
        return outcome

    def _run_epochs(self, learner, max_epochs):
        """Train until no error is left.

        Returns
        -------
        curve : list of int
            The errors of each whole epoch.
        outcome : {"converged", "diverged", "interrupted", "max_iter"}
        """
        random_state = check_random_state(self.random_state)
        order = np.arange(learner.n_rows, dtype=np.int64)  # (n,)
        curve = []
        try:
            for epoch in range(1, max_epochs + 1):
                if self.shuffle:
                    order = random_state.permutation(learner.n_rows).astype(np.int64, copy=False)
                errors = learner.run_epoch(order)
                curve.append(errors)
                if self.verbose:
                    streams.write_line(f"Iteration {epoch}, errors = {errors}")
                if errors == 0:
                    return curve, "converged"
                if not np.isfinite(learner.weights).all():
                    return curve, "diverged"
        except KeyboardInterrupt:
            if not curve:
                # There is nothing to keep yet.
                raise
            return curve, "interrupted"
        return curve, "max_iter"

    def _warn_outcome(self, outcome):
        if outcome == "interrupted":
            notices.warn("Training interrupted by user.", module=SKLEARN_MODULE)
        elif outcome == "max_iter":
            notices.warn(
                "Maximum number of iteration reached before convergence. Consider increasing "
                f"max_iter to improve the fit. The last of {self.n_iter_} epochs made "
                f"{self.error_curve_[-1]} errors; where no hyperplane separates the classes, "
                "every epoch makes some.",
                ConvergenceWarning,
                module=SKLEARN_MODULE,
            )

    # ---- classes and weights -------------------------------------------------------

    @property
    def _n_outputs(self):
        """Perceptrons that the classes need."""
        return 1 if len(self.classes_) == 2 else len(self.classes_)

    def _set_classes(self, y, classes, incremental, fresh):
        """Define ``classes_``, or check y against them."""
        # Not check_classification_targets, which warns where scikit-learn's Perceptron does not.
        kind = type_of_target(y, input_name="y")
        if kind not in ("binary", "multiclass"):
            raise ValueError(
                f"Unknown label type: {kind}. Maybe you are trying to fit a classifier, which "
                "expects discrete classes on a regression target with continuous values."
            )
        seen = unique_labels(y)
        if incremental:
            _check_partial_fit_first_call(self, classes)
            if len(np.setdiff1d(seen, self.classes_, assume_unique=True)):
                raise ValueError(
                    "`y` has classes not in `self.classes_`. "
                    f"`self.classes_` has {self.classes_}. 'y' has {seen}."
                )
        elif fresh:
            self.classes_ = seen
        elif set(seen) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same "
                "classes as in the previous call to fit. Previously "
                f"got {self.classes_}, `y` has {seen}"
            )
        if len(self.classes_) < 2:
            raise ValueError(
                f"The number of classes has to be greater than one; got {len(self.classes_)} class"
            )

    def _targets(self, y):
        """The number of the perceptron that is to say 1 for each sample, (n,) int64.

        Two classes have one perceptron, number 0, which says 1 for the second class.
        """
        index = np.searchsorted(self.classes_, y).astype(np.int64, copy=False)
        return 1 - index if self._n_outputs == 1 else index

    def _initial_weights(self, fresh, coef_init, intercept_init):
        """Coef and intercept to begin with."""
        shape = (self._n_outputs, self.n_features_in_)
        return (
            _initial(coef_init, "coef", shape, None if fresh else self.coef_),
            _initial(intercept_init, "intercept", shape[:1], None if fresh else self.intercept_),
        )

    def _fitted_weights(self):
        """``coef_`` and ``intercept_`` as the kernels read them. The user may have set them."""
        shape = (self._n_outputs, self.n_features_in_)
        return (
            shaped_weights(self.coef_, shape, "coef_"),
            shaped_weights(self.intercept_, shape[:1], "intercept_"),
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _initial(given, name, shape, fitted):
    """Weights to begin with: those given, or else those of the last fit, or else zero."""
    if given is not None:
        checks = {"ensure_2d": False, "dtype": np.float64, "input_name": f"{name}_init"}
        return shaped_weights(check_array(np.atleast_1d(given), **checks), shape, f"{name}_init")
    return np.zeros(shape) if fitted is None else shaped_weights(fitted, shape, f"{name}_")
