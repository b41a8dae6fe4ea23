"""Class labels and their encoding as what a network is trained on.

scikit-learn's `LabelBinarizer` makes a dense (n, n_classes) indicator of a
multiclass target. Here such a target stays a column of class indices, and only
what is an indicator already (multilabel) is one.
"""

from dataclasses import dataclass
from reprlib import Repr

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import type_of_target, unique_labels

from fastnn.kernels.losses import CLASSIFIER_LOSSES

# Values in messages are written without most of their items where there are many.
_writer = Repr()
_writer.maxdict = _writer.maxlist = 20
_writer.maxstring = _writer.maxother = 100
shortened = _writer.repr


def balanced(column, n_classes, sample_weight=None):
    """Weights (n_classes,) that make the classes of an encoded column count the same.

    ``n / (n_classes * count)``, as scikit-learn's "balanced", after King and Zeng, "Logistic
    regression in rare events data" (2001); with weights of samples in place of counts.
    """
    counts = np.bincount(column, weights=sample_weight, minlength=n_classes).astype(np.float64)
    present = counts > 0
    weights = np.ones(n_classes)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights


def weights_of(classes, class_weight):
    """The weights (n_classes,) that a dict gives to classes; 1 where it does not name one.

    Raises
    ------
    ValueError
        If it names what is no class, unless all classes have a weight: a fold can lack a class.
    """
    labels = classes.tolist()
    named = [label in class_weight for label in labels]
    if not all(named):
        known = set(labels)
        unknown = [key for key in class_weight if key not in known]
        if unknown:
            raise ValueError(
                f"class_weight names {shortened(unknown)}, which are no classes of y; these are "
                f"{classes}."
            )
    weights = np.ones(len(labels))
    for i in np.flatnonzero(named):
        weights[i] = class_weight[labels[i]]
    return weights


def binarizer_among(classes, y):
    """The LabelBinarizer of the labels ``classes``, or of those of a multilabel indicator ``y``."""
    is_multilabel = type_of_target(y).startswith("multilabel")
    return LabelBinarizer().fit(y if is_multilabel else classes)


def is_plain(binarizer):
    """Whether labels are decoded as by scikit-learn's LabelBinarizer with its own settings."""
    return type(binarizer) is LabelBinarizer and (
        (binarizer.neg_label, binarizer.pos_label) == (0, 1)
    )


@dataclass(frozen=True, eq=False)
class Labels:
    """The classes of a target, and the way between labels and network outputs.

    Parameters
    ----------
    kind : {"binary", "multiclass", "multilabel-indicator"}
        The type of target, in scikit-learn's terms.
    classes : ndarray of shape (n_classes,)
        Sorted.
    sparse : bool
        Whether predictions are sparse; they are where the target was.
    """

    kind: str
    classes: np.ndarray
    sparse: bool = False

    @classmethod
    def of(cls, binarizer):
        """The labels of scikit-learn's fitted LabelBinarizer."""
        return cls(binarizer.y_type_, binarizer.classes_, binarizer.sparse_input_)

    def to_binarizer(self):
        """scikit-learn's LabelBinarizer of these labels."""
        binarizer = LabelBinarizer()
        binarizer.y_type_, binarizer.classes_ = self.kind, self.classes
        binarizer.sparse_input_ = self.sparse
        return binarizer

    @property
    def n_outputs(self):
        """Output units that the classes need."""
        return 1 if self.kind == "binary" else len(self.classes)

    def loss(self, name, label_smoothing):
        """Key of the loss in ``LOSSES`` that the estimators' ``loss`` is for these classes."""
        binary, multiclass, smoothed_binary, smoothed_multiclass = CLASSIFIER_LOSSES[name]
        if label_smoothing > 0:
            binary, multiclass = smoothed_binary, smoothed_multiclass
        return multiclass if self.kind == "multiclass" else binary

    def encode(self, y):
        """Encode a validated target whose labels are all among the classes.

        Parameters
        ----------
        y : ndarray of shape (n,), or ndarray or CSR matrix of shape (n, n_classes)
            For multilabel classes, a label of each sample will do.

        Returns
        -------
        encoded : ndarray, C-contiguous
            Class indices (n, 1) int32 for multiclass; 0/1 uint8, (n, 1) for binary
            and (n, n_classes) for multilabel.
        """
        if y.ndim == 2 and self.kind != "multilabel-indicator":
            raise ValueError("The object was not fitted with multilabel input.")
        if y.ndim == 2:
            if y.shape[1] != len(self.classes):
                raise ValueError(
                    f"classes {self.classes} mismatch with the labels "
                    f"{unique_labels(y)} found in the data"
                )
            dense = y.toarray() if sparse.issparse(y) else y
            return np.ascontiguousarray(dense != 0).view(np.uint8)
        if self.kind == "multilabel-indicator":
            return self._indicator_of(y)
        index = np.searchsorted(self.classes, y)
        return index.astype(np.int32 if self.kind == "multiclass" else np.uint8)[:, None]

    def indicator(self, encoded):
        """The indicator of the classes, bool, that scikit-learn trains on."""
        if self.kind == "multiclass":
            return encoded == np.arange(len(self.classes))
        return encoded.astype(bool)

    def _indicator_of(self, y):
        """The indicator (n, n_classes) uint8 of one label a sample, as `LabelBinarizer` has it."""
        found = y[:, None] == self.classes
        if len(self.classes) == 2 and type_of_target(y) == "binary":
            # It makes one column of these, which then counts for both outputs.
            found[:, 0] = found[:, 1]
        return found.view(np.uint8)

    def class_weights(self, class_weight, encoded, sample_weight=None):
        """The weight of each class, for each column of an encoded target.

        Parameters
        ----------
        class_weight : "balanced", dict or list of dict
            In scikit-learn's meaning. Of a multilabel target "balanced" or a list of one dict for
            each label, with keys 0 and 1.
        encoded : ndarray of shape (n, n_columns)
        sample_weight : ndarray of shape (n,) or None
            A sample of weight 2 counts like two.

        Returns
        -------
        tables : list of ndarray of shape (n_classes,)
            Indexed by what a column has.
        """
        multilabel = self.kind == "multilabel-indicator"
        classes = [np.arange(2)] * encoded.shape[1] if multilabel else [self.classes]
        if isinstance(class_weight, str):
            return [
                balanced(column, len(of_column), sample_weight)
                for column, of_column in zip(encoded.T, classes, strict=True)
            ]
        given = class_weight if multilabel else [class_weight]
        if isinstance(given, dict) or not all(isinstance(one, dict) for one in given):
            raise ValueError(
                "class_weight must be a dict or 'balanced', and for multilabel y a list of one "
                f"dict for each label or 'balanced'; got {shortened(class_weight)}."
            )
        if len(given) != len(classes):
            raise ValueError(
                f"For multilabel y, the number of elements in class_weight ({len(given)}) should "
                f"match the number of labels ({len(classes)})."
            )
        tables = [weights_of(labels, one) for labels, one in zip(classes, given, strict=True)]
        for table in tables:
            if not np.all((table >= 0) & (table < np.inf)):
                raise ValueError(
                    "class_weight must have finite weights that are not negative, got "
                    f"{shortened(class_weight)}."
                )
        return tables

    def predicted(self, outputs, threshold):
        """Encode the labels, (n,) class indices or (n, k) indicator, from outputs (n, n_outputs).

        A label or the second of two classes is predicted above the threshold.
        """
        if self.kind == "multilabel-indicator":
            return (outputs > threshold).astype(np.int64)
        if self.kind == "multiclass":
            return outputs.argmax(axis=1)
        if len(self.classes) == 1:
            return np.zeros(len(outputs), dtype=np.int64)
        return (outputs[:, 0] > threshold).astype(np.int64)

    def decode(self, outputs, threshold):
        """The labels that outputs (n, n_outputs) speak for."""
        predicted = self.predicted(outputs, threshold)
        if self.kind != "multilabel-indicator":
            return self.classes[predicted]
        if not self.sparse:
            return predicted
        as_array = get_config().get("sparse_interface") == "sparray"
        return (sparse.csr_array if as_array else sparse.csr_matrix)(predicted)

    def accuracy(self, encoded, outputs, threshold, sample_weight=None):
        """The fraction (by weight) of rows whose labels are all predicted right."""
        predicted = self.predicted(outputs, threshold).reshape(encoded.shape)
        correct = (predicted == encoded).all(axis=1)
        return float(np.average(correct, weights=sample_weight))
