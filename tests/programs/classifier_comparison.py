"""Scores of a network with a large penalty, beside another classifier, on data in the plane."""

import numpy as np
from sklearn.datasets import make_circles, make_classification, make_moons
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X, y = make_classification(
    n_features=2, n_redundant=0, n_informative=2, random_state=1, n_clusters_per_class=1
)
X += 2 * np.random.RandomState(2).uniform(size=X.shape)
DATA = {
    "moons": make_moons(noise=0.3, random_state=0),
    "circles": make_circles(noise=0.2, factor=0.5, random_state=1),
    "separable": (X, y),
}
CLASSIFIERS = {
    "nearest neighbours": KNeighborsClassifier(3),
    "neural net": MLPClassifier(alpha=1, max_iter=1000, random_state=42),
}
for data, (X, y) in DATA.items():
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=42)
    for name, classifier in CLASSIFIERS.items():
        model = make_pipeline(StandardScaler(), classifier).fit(X_train, y_train)
        grid = np.stack(np.meshgrid(np.linspace(-3, 3, 7), np.linspace(-3, 3, 7)), axis=-1)
        surface = model.predict_proba(grid.reshape(-1, 2))[:, 1]
        print(f"{data}, {name}: {model.score(X_test, y_test):.6f}, {surface.round(4).tolist()}")
