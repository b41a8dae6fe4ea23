"""fastnn's classifier where scikit-learn's would be: a pipeline inside a grid search.

python examples/drop_in.py
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import MLPClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

model = make_pipeline(
    StandardScaler(),
    MLPClassifier(early_stopping=True, n_jobs=1, random_state=0),
)
search = GridSearchCV(
    model,
    {
        "mlpclassifier__hidden_layer_sizes": [(50,), (100,)],
        "mlpclassifier__alpha": [1e-4, 1e-2],
    },
    n_jobs=2,
)
search.fit(X_train, y_train)

print(f"best parameters: {search.best_params_}")
print(f"test accuracy: {search.score(X_test, y_test):.4f}")
