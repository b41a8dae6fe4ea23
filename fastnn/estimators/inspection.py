"""Looking inside a fitted network: the hidden layers' activations, and gradients of its inputs."""

from numbers import Integral

import numpy as np
from sklearn.base import is_classifier

# Derivatives of the output activations, functions of their output.
LINK_GRADIENTS = {
    "exp": lambda a: a,
    "logistic": lambda a: a * (1 - a),
    "relu": lambda a: a > 0,
    "tanh": lambda a: 1 - a * a,
}


class InspectionMixin:
    """Methods of the estimators that look inside the fitted network."""

    def hidden_activations(self, X, layer=-1):
        """Compute the activations of a hidden layer.

        They are those that a prediction goes through: no unit is left out by dropout, and batch
        normalisation is by its running statistics. Those of the last hidden layer are features,
        learned for the task, in which the output is linear (before the output activation).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        layer : int, default=-1
            Which hidden layer, from 0 for the first; negative from the end, -1 for the last.

        Returns
        -------
        activations : ndarray of shape (n_samples, n_units)
            The output of each unit of the layer, in the precision of the network.

        Raises
        ------
        ValueError
            If the network has no such hidden layer, or X is not valid.
        TypeError
            If layer is not an int.

        Examples
        --------
        Features for another estimator:

        >>> from fastnn import MLPClassifier
        >>> from sklearn.datasets import load_digits
        >>> from sklearn.model_selection import train_test_split
        >>> from sklearn.neighbors import KNeighborsClassifier
        >>> X, y = load_digits(return_X_y=True)
        >>> X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
        >>> clf = MLPClassifier((50, 20), random_state=0, max_iter=500).fit(X_train, y_train)
        >>> features = clf.hidden_activations(X_train)
        >>> features.shape
        (1347, 20)
        >>> neighbors = KNeighborsClassifier().fit(features, y_train)
        >>> neighbors.score(clf.hidden_activations(X_test), y_test) > 0.95
        True
        """
        network, params, X, _ = self._prediction_inputs(X)
        layer = _check_layer(layer, network.layer_units[1:-1])
        return self._backend().hidden(network, params, X, layer)

    def input_gradient(self, X, target=None):
        """Compute the gradient of an output with respect to the inputs, sample by sample.

        What it is the gradient of:

        - Of a regressor, the prediction: with the losses whose output activation is the
          exponential, of the exponential.
        - Of a classifier, a class's raw output, its score before softmax or the logistic
          function, as in [1]_: for three classes or more the raw output of that class, and for a
          label of a multilabel target the raw output of that label. A network for two classes has
          one raw output z, the log-odds of ``classes_[1]`` where the loss is 'log_loss': for
          ``classes_[1]`` it is the gradient of z, and for ``classes_[0]`` that of -z.

        The size of an entry says how much a small change of that feature would change the
        output; [1]_ shows it as a picture, a saliency map.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        target : int or class label, default=None
            Which output, the same one for all samples. For a classifier a label among
            ``classes_``; without it, of each sample the class that `predict` gives. For several
            outputs of a regressor, and for multilabel targets, the index of the output or label;
            it is required there.

        Returns
        -------
        gradient : ndarray of shape (n_samples, n_features)
            The derivative with respect to each feature of each sample, in the precision of the
            network; dense for sparse X, too.

        Raises
        ------
        ValueError
            If target is missing where it is required, or no such output or class; if X is
            not valid.
        TypeError
            If target has to be an int and is not one.

        Notes
        -----
        Batch normalisation is by its running statistics, and nothing is left out by dropout, as in
        predictions. Where an activation has a kink, the derivative is the one that training uses.

        References
        ----------
        .. [1] Simonyan, Vedaldi and Zisserman (2014). "Deep inside convolutional networks:
           Visualising image classification models and saliency maps". ICLR workshop.
           https://arxiv.org/abs/1312.6034

        Examples
        --------
        The slopes of a function that a network has learned:

        >>> import numpy as np
        >>> from fastnn import MLPRegressor
        >>> X = np.random.RandomState(0).uniform(-1, 1, (500, 2))
        >>> regr = MLPRegressor(
        ...     hidden_layer_sizes=(20,), activation="tanh", solver="lbfgs", alpha=0,
        ...     tol=1e-6, max_iter=1000, random_state=0,
        ... ).fit(X, X[:, 0] ** 2 + 3 * X[:, 1])
        >>> print(np.abs(regr.input_gradient([[0.5, 0.0]]) - [1.0, 3.0]).max() < 0.1)
        True

        In a pipeline the last step knows the features that it is given:

        >>> from fastnn import MLPClassifier
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> pipe = make_pipeline(StandardScaler(), MLPClassifier(random_state=0, max_iter=500))
        >>> pipe = pipe.fit(X, np.where(X[:, 0] > 0, "right", "left"))
        >>> gradient = pipe[-1].input_gradient(pipe[:-1].transform(X), target="right")
        >>> print(gradient.mean(axis=0)[0] > 0)
        True
        """
        network, params, X, plans = self._prediction_inputs(X)
        backend = self._backend()

        def outputs():
            return backend.forward(network, params, X, plans=plans)

        choose = self._output_of_class if is_classifier(self) else self._output_of_regression
        output, factor = choose(target, network, outputs)
        weights = np.zeros((X.shape[0], network.n_outputs), params.dtype)
        weights[np.arange(len(weights)), output] = factor
        return backend.input_gradient(network, params, X, weights)

    def _output_of_regression(self, target, network, outputs):
        """Which output, and the derivative of the prediction with respect to its raw value."""
        output = _check_output(target, network.n_outputs, "outputs")
        if network.out_activation == "identity":
            return output, 1
        return output, LINK_GRADIENTS[network.out_activation](outputs()[:, output])

    def _output_of_class(self, target, network, outputs):
        """Which raw output speaks for the class, and 1, or -1 where it speaks against it."""
        labels = self._labels
        if labels.kind == "multilabel-indicator":
            return _check_output(target, labels.n_outputs, "labels"), 1
        if target is None:
            index = labels.predicted(outputs(), self._threshold)
        else:
            index = _index_of_class(target, labels.classes)
        return (0, 2 * index - 1) if labels.kind == "binary" else (index, 1)


def _check_int(value, name):
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an int, got {value!r}.")


def _check_layer(layer, hidden_units):
    """The number of the hidden layer from 0, of these."""
    _check_int(layer, "layer")
    n_hidden = len(hidden_units)
    if n_hidden == 0:
        raise ValueError("The network has no hidden layers: its inputs go to the outputs.")
    if not -n_hidden <= layer < n_hidden:
        raise ValueError(
            f"layer={layer} is out of range: the network has {n_hidden} hidden layer(s), of "
            f"{hidden_units} units; layer goes from 0 to {n_hidden - 1}, or from -1 for the last "
            f"back to {-n_hidden}."
        )
    return int(layer) % n_hidden


def _check_output(target, n_outputs, what):
    """The index of one of several outputs."""
    if target is None:
        if n_outputs == 1 and what == "outputs":
            return 0
        raise ValueError(
            f"The network has {n_outputs} {what}: say which one the gradient is of, "
            f"target=0 to {n_outputs - 1}."
        )
    _check_int(target, "target")
    if not 0 <= target < n_outputs:
        raise ValueError(
            f"target={target} is out of range: the network has {n_outputs} {what}, from 0 "
            f"to {n_outputs - 1}."
        )
    return int(target)


def _index_of_class(target, classes):
    """The place of a label among the classes."""
    if np.ndim(target) == 0:
        for index, label in enumerate(classes):
            if label == target:
                return index
        raise ValueError(f"target={target!r} is not one of the classes {classes}.")
    raise ValueError(
        f"target is one class label for all samples, got an array of shape {np.shape(target)}."
    )
