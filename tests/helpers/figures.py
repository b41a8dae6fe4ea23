"""What is written in a figure."""

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def in_pipeline(network, X, y):
    return make_pipeline(StandardScaler(), network).fit(X, y)
