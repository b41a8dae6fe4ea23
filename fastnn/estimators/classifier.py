"""MLPClassifier, with scikit-learn's interface."""

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils.metaestimators import available_if

from fastnn.estimators.base import BaseMultilayerPerceptron
from fastnn.estimators.classes import ClassesMixin, predicts_margins
from fastnn.estimators.docs import fill_docstring
from fastnn.estimators.parameter_table import constraints_of
from fastnn.estimators.parameter_table.parameter import CLASSIFIER
from fastnn.estimators.parameters import has_partial_fit
from fastnn.estimators.validation_set import Given


def _has_probabilities(model):
    """Whether the loss gives outputs that are probabilities; else AttributeError."""
    if predicts_margins(model):
        raise AttributeError(
            "probability estimates are not available for loss='hinge'. Use decision_function, "
            "or train with loss='log_loss'."
        )
    return True


def _has_margins(model):
    """Whether the outputs are margins, not probabilities; else AttributeError."""
    if not predicts_margins(model):
        raise AttributeError(
            "decision_function is only available with loss='hinge'; this model has "
            f"loss={model.loss!r}. Use predict_proba."
        )
    return True


@fill_docstring(
    stratified=(
        "The split is stratified in binary\n    classification, and as scikit-learn's "
        "otherwise random. "
    ),
    metric="accuracy",
)
class MLPClassifier(ClassesMixin, ClassifierMixin, BaseMultilayerPerceptron):
    """Multi-layer perceptron classifier.

    Minimises the log-loss by L-BFGS or stochastic gradient descent, in compiled
    code. It takes the place of `sklearn.neural_network.MLPClassifier`.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels, sorted.

    {attributes}

    See Also
    --------
    MLPRegressor : Multi-layer perceptron regressor.
    sklearn.neural_network.MLPClassifier : The interface that this class follows.

    Notes
    -----
    Two classes have one output unit with the logistic function; more have one
    each, with softmax. Multilabel targets, indicator matrices of shape (n_samples,
    n_labels), dense or sparse, have one logistic unit a label.

    X is not copied as a whole if it is an aligned array of native float32 or float64, of any
    strides, or CSR in canonical format; sparse X is never made dense. A fit that fails
    leaves the estimator as it was, and so does Ctrl-C before the first epoch is done; after it,
    Ctrl-C ends the fit with a warning and a usable model.

    References
    ----------
    {references}

    Examples
    --------
    >>> from fastnn import MLPClassifier
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.model_selection import train_test_split
    >>> X, y = make_classification(n_samples=100, random_state=1)
    >>> X_train, X_test, y_train, y_test = train_test_split(
    ...     X, y, stratify=y, random_state=1
    ... )
    >>> clf = MLPClassifier(random_state=1, max_iter=300).fit(X_train, y_train)
    >>> print(clf.predict_proba(X_test[:1]).round(2))
    [[0.04 0.96]]
    >>> clf.predict(X_test[:5])
    array([1, 0, 1, 0, 1])
    >>> clf.score(X_test, y_test)
    0.88
    """

    _parameter_constraints: dict = constraints_of(CLASSIFIER)
    _y_numeric = False

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        l1_ratio=0.0,
        dropout=0.0,
        input_dropout=0.0,
        batch_norm=False,
        batch_norm_momentum=0.1,
        max_grad_norm=None,
        weight_average=None,
        warmup_fraction=0.0,
        weight_init="auto",
        augment=None,
        scoring=None,
        max_time=None,
        dtype="auto",
        device=None,
        n_jobs=None,
        loss="log_loss",
        label_smoothing=0.0,
        class_weight=None,
    ):
        # Every parameter becomes the attribute of its name, nothing else happens here.
        parameters = dict(locals())
        del parameters["self"]
        for name, value in parameters.items():
            setattr(self, name, value)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X,
        y,
        sample_weight=None,
        *,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
    ):
        """Fit the model to data X and labels y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The training data.

        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Class labels, numbers or strings, or a multilabel indicator of 0 and 1.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, not all zero.

        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            A validation set of your own, which is not trained on: its scores and losses are
            recorded, and the best weights are kept; with ``early_stopping=True`` it decides when
            training ends, and nothing is split off X. In a Pipeline it is transformed as
            X is with ``Pipeline(..., transform_input=["X_val"])`` and metadata routing.

        y_val : {array-like, sparse matrix} of shape (n_val,) or (n_val, n_labels), default=None
            Its targets; given with X_val.

        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of its samples.

        Returns
        -------
        self : MLPClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y, sample_weight or a parameter is not valid, or if the weights of the
            network became non-finite.

        Examples
        --------
        >>> from fastnn import MLPClassifier
        >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], ["off", "on", "on", "off"]
        >>> clf = MLPClassifier(hidden_layer_sizes=8, solver="lbfgs", random_state=0)
        >>> clf.fit(X, y).predict(X).tolist()
        ['off', 'on', 'on', 'off']
        """
        given = Given(X, y, sample_weight, X_val, y_val, sample_weight_val)
        return self._fit(given)

    @available_if(has_partial_fit)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X,
        y,
        sample_weight=None,
        classes=None,
        *,
        X_val=None,
        y_val=None,
        sample_weight_val=None,
    ):
        """Update the model with a single epoch over the given data.

        Not available with solver='lbfgs'.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The training data.

        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Class labels, or a multilabel indicator.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, not all zero.

        classes : array-like of shape (n_classes,), default=None
            The classes of all calls. Needed in the first call; later it may be left
            out, or must be the same. y does not need to contain all of them.
            For a multilabel y, ``range(n_labels)``.

        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            A validation set of your own, which is not trained on: its scores and losses are
            recorded, and the best weights are kept; with ``early_stopping=True`` it decides when
            training ends, and nothing is split off X. In a Pipeline it is transformed as
            X is with ``Pipeline(..., transform_input=["X_val"])`` and metadata routing.

        y_val : {array-like, sparse matrix} of shape (n_val,) or (n_val, n_labels), default=None
            Its targets; given with X_val.

        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of its samples.

        Returns
        -------
        self : MLPClassifier
            The estimator.

        Raises
        ------
        ValueError
            As in `fit`; if classes is missing in the first call or differs later; if y
            has a label that is not among the classes; if class_weight is 'balanced'; if
            early_stopping is set and there is no X_val.

        Examples
        --------
        >>> from fastnn import MLPClassifier
        >>> clf = MLPClassifier(random_state=0)
        >>> clf = clf.partial_fit([[0.0], [1.0]], ["a", "b"], classes=["a", "b", "c"])
        >>> clf.partial_fit([[2.0]], ["c"]).t_
        3
        """
        self._check_classes(classes)
        given = Given(X, y, sample_weight, X_val, y_val, sample_weight_val)
        return self._fit(given, classes=classes, incremental=True)

    def predict(self, X):
        """Predict class labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        y : ndarray of shape (n_samples,), or {ndarray, sparse matrix} of shape \
(n_samples, n_labels)
            The most probable class of each sample. For multilabel targets the
            indicator of the labels with a probability above 0.5, sparse if y was.
        """
        return self._as_of_now()._predict(X)

    @available_if(_has_margins)
    def decision_function(self, X):
        """Predict margins: how far each sample is on the side of each class.

        Only available with loss='hinge'.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        margins : ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes positive where the second is predicted; for more, the largest
            is that of the predicted class. For multilabel targets positive where a label is
            predicted.
        """
        model = self._as_of_now()
        outputs = model._forward_pass_fast(X)
        return outputs[:, 0] if model._labels.kind == "binary" else outputs

    @available_if(_has_probabilities)
    def predict_proba(self, X):
        """Predict class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        y_prob : ndarray of shape (n_samples, n_classes)
            The probability of each class, in the order of ``classes_``. For multilabel
            targets the probability of each label.
        """
        model = self._as_of_now()
        outputs = model._forward_pass_fast(X)
        return outputs if model.n_outputs_ > 1 else np.hstack([1 - outputs, outputs])

    @available_if(_has_probabilities)
    def predict_log_proba(self, X):
        """Predict the logarithm of class probabilities, minus infinity where one is 0.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        log_y_prob : ndarray of shape (n_samples, n_classes)
            The log-probability of each class, in the order of ``classes_``.
        """
        return np.log(self.predict_proba(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
