"""The classes of a classifier: how labels become targets, and outputs become labels."""

import numpy as np
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import unique_labels

from fastnn.estimators.checks import NO_WEIGHT
from fastnn.estimators.targets import Labels, binarizer_among, is_plain
from fastnn.kernels.losses import LOSSES


def predicts_margins(model):
    """Whether the outputs are margins: those of the fitted network, or as the loss will have it."""
    trained = vars(model).get("_trained")
    if trained is None:
        return model.loss == "hinge"
    return LOSSES[trained.network.loss].out_activation == "identity"


class ClassesMixin:
    """Answers to the stages of a fit, and to predictions, about the classes of a classifier."""

    def _check_classes(self, classes):
        """Check what partial_fit was told about the classes, before any of its other arguments."""
        known = getattr(self, "classes_", None)
        if classes is None:
            if known is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            return
        announced = unique_labels(classes)
        if known is not None and not np.array_equal(known, announced):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to "
                f"partial_fit, was: {known!r}"
            )

    def _encode_target(self, y, classes, incremental):
        """Define ``classes_``, or check y against them; return y for the network."""
        known = getattr(self, "classes_", None)
        if known is None and incremental:
            self._take_classes(binarizer_among(classes, y), unique_labels(classes))
        elif known is None or not (incremental or self.warm_start):
            binarizer = LabelBinarizer().fit(y)
            self._take_classes(binarizer, binarizer.classes_)
        if incremental or (self.warm_start and known is not None):
            self._check_seen_classes(unique_labels(y), incremental)
        return self._labels.encode(y)

    def _take_classes(self, binarizer, classes):
        self._label_binarizer, self.classes_ = binarizer, classes

    def _check_seen_classes(self, seen, incremental):
        if self.warm_start and set(seen) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same "
                "classes as in the previous call to fit. Previously "
                f"got {self.classes_}, `y` has {seen}"
            )
        if incremental and len(np.setdiff1d(seen, self.classes_, assume_unique=True)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. 'y' has {seen}."
            )

    def _encode_held_out(self, y):
        """Encode a y_val; its labels have to be among those of y."""
        unknown = np.setdiff1d(unique_labels(y), self.classes_)
        if len(unknown):
            raise ValueError(
                f"y_val has labels that y does not have: {unknown}. The classes are "
                f"{self.classes_}."
            )
        return self._labels.encode(y)

    def _loss_weights(self, encoded, sample_weight, incremental):
        """Weights of the samples times those of their classes; None where all are 1."""
        if self.class_weight is None:
            self._class_weights = None
            return sample_weight
        if incremental and isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight {self.class_weight!r} is not supported for partial_fit. In order "
                "to use 'balanced' weights, use compute_class_weight('balanced', "
                "classes=classes, y=y). In place of y you can use a large enough sample of the "
                "full training set target to properly estimate the class frequency "
                "distributions. Pass the resulting weights as the class_weight parameter."
            )
        self._class_weights = self._labels.class_weights(self.class_weight, encoded, sample_weight)
        weights = self._held_out_weights(encoded, sample_weight)
        if not weights.any() and not incremental:
            raise ValueError(f"{NO_WEIGHT} class_weight={self.class_weight!r} makes all zero.")
        return weights

    def _held_out_weights(self, encoded, sample_weight):
        if self._class_weights is None:
            return sample_weight
        weights = np.ones(len(encoded)) if sample_weight is None else sample_weight.astype(float)
        for table, column in zip(self._class_weights, encoded.T, strict=True):
            weights *= table[column]
        return weights

    def _n_outputs(self, y):
        return self._labels.n_outputs

    def _network_loss(self):
        return self._labels.loss(self.loss, self.label_smoothing), self.label_smoothing

    @property
    def _threshold(self):
        """Above it an output speaks for its class."""
        return 0.0 if predicts_margins(self) else 0.5

    @property
    def _label_binarizer(self):
        """scikit-learn's LabelBinarizer, from which predictions take the labels.

        Converters such as skl2onnx look for it, which know nothing of batch normalisation.
        """
        binarizer = vars(self).get("_label_binarizer")
        if binarizer is None:
            raise AttributeError(f"{type(self).__name__!r} has no attribute '_label_binarizer'")
        trained = vars(self).get("_trained")
        if trained is not None and trained.network.batch_norm:
            raise AttributeError("convert what to_sklearn() returns, without batch normalisation")
        return binarizer

    @_label_binarizer.setter
    def _label_binarizer(self, binarizer):
        vars(self)["_label_binarizer"] = binarizer

    def _binarizer(self):
        """The label binarizer, made of ``classes_`` where there is none."""
        return vars(self).get("_label_binarizer") or self._labels.to_binarizer()

    @property
    def _labels(self):
        """The `Labels` of the label binarizer, or of ``classes_`` where a user has set no other."""
        binarizer = vars(self).get("_label_binarizer")
        if binarizer is not None:
            return Labels.of(binarizer)
        n_outputs = np.shape(self.coefs_[-1])[1]
        several = "multiclass" if self.out_activation_ == "softmax" else "multilabel-indicator"
        kind = "binary" if n_outputs == 1 else several
        classes = getattr(self, "classes_", range(max(n_outputs, 2)))
        return Labels(kind, np.asarray(classes))

    def _decode(self, outputs):
        """The labels that outputs (n, n_outputs) speak for."""
        binarizer = vars(self).get("_label_binarizer")
        if binarizer is None and "classes_" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__!r} has neither '_label_binarizer' nor 'classes_', to "
                "predict labels by."
            )
        if binarizer is None or is_plain(binarizer):
            labels = self._labels
            if labels.n_outputs == outputs.shape[1]:
                return labels.decode(outputs, self._threshold)
        if binarizer is None:
            raise ValueError(
                f"The network has {outputs.shape[1]} outputs, but there are {len(self.classes_)} "
                "classes_."
            )
        return binarizer.inverse_transform(outputs.ravel() if self.n_outputs_ == 1 else outputs)

    def _indicator(self, encoded):
        return self._labels.indicator(encoded)

    def _stratification(self, y):
        # scikit-learn stratifies where there is one output, that is for two classes.
        return y[:, 0] if self._labels.kind == "binary" else None

    def _score_outputs(self, y, outputs, sample_weight):
        threshold = 0.0 if self.loss == "hinge" else 0.5
        return self._labels.accuracy(y, outputs, threshold, sample_weight)
