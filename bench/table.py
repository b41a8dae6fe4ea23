"""The stored results as Markdown.

    python bench/table.py                                     # print them all
    python bench/table.py --write README.md bench/README.md   # put them into these files

A file says where, between the markers that `fastnn.tools.sections` describes. Their names are those
that `sections` returns.
"""

import argparse
import json
from pathlib import Path

import training_table
from fastnn.tools.sections import write
from measures import OTHERS, TRAINING

RESULTS = Path(__file__).parent / "results"
NOT_MEASURED = "Not measured yet: `python bench/run.py` measures, `bench/table.py` fills this in."


def load(name):
    """A row's stored result; None where there is none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def sections():
    """Markdown by name: "benchmark" and "training" of the rows that train, and the other rows."""
    trained = [result for name in TRAINING if (result := load(name))]
    texts = {
        "benchmark": training_table.summary(trained) if trained else NOT_MEASURED,
        "training": training_table.full(trained) if trained else NOT_MEASURED,
    }
    for name, measure in OTHERS.items():
        result = load(name)
        texts[name] = measure.markdown(result) if result else NOT_MEASURED
    return texts


def main():
    parser = argparse.ArgumentParser(description="The stored results as Markdown.")
    parser.add_argument("--write", type=Path, nargs="+", metavar="PATH", help="with the markers")
    paths = parser.parse_args().write
    texts = sections()
    for path in paths or []:
        write(path, texts)
    if not paths:
        for name, text in texts.items():
            print(f"## {name}\n\n{text}\n")


if __name__ == "__main__":
    main()
