"""The results as a Markdown table.

python bench/table.py                      # print it
python bench/table.py --write README.md    # put it between README.md's markers
"""

import argparse
import json
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parent / "results"
BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"
LOSS_TOLERANCE = 1e-3
UNITS = {"step": (1e6, "µs a step"), "fit": (1e3, "ms a fit")}
HEADER = (
    "| | precision | | threads | median time (fastest – slowest) | fastnn is faster by "
    "| of FMA peak | final loss |\n"
    "|---|---|---|---|---|---|---|---|"
)


def markdown(results):
    """One table of several results, the compile times, and the machines they come from."""
    if not results:
        return "Not measured yet: `python bench/run.py` measures, `bench/table.py` fills this in."
    lines = [HEADER]
    for result in results:
        for measurement in result["measured"]:
            lines += measurement_lines(result, measurement)
    machines = dict.fromkeys(machine_line(result) for result in results)
    return "\n".join([*lines, "", peak_and_compile_line(results), "", *machines])


def measurement_lines(result, measurement):
    """The table's lines for one row in one precision."""
    ours = measurement["peers"]["fastnn"]
    scale, unit = UNITS[result["unit"]]
    scale /= measurement["n_units"]
    title = f"**{result['row']}**: {result['title']}, batch {result['batch_size']}"
    precision = measurement["dtype"]
    for name, peer in measurement["peers"].items():
        seconds = peer["seconds"]
        middle, fastest, slowest = (number(scale * pick(seconds)) for pick in (median, min, max))
        gflops = measurement["n_flops"] / median(seconds) / 1e9
        fraction = gflops / measurement["peak_gflops"]
        cells = (
            title,
            precision,
            name,
            peer["n_threads"] or "auto",
            f"{middle} ({fastest} – {slowest}) {unit}",
            speedup(ours, peer),
            f"{100 * fraction:.0f} %",
            f"{peer['loss']:.5f}",
        )
        yield "| " + " | ".join(map(str, cells)) + " |"
        title = precision = ""


def speedup(ours, peer):
    """How many times as long the peer takes, where both reach the same loss."""
    if peer is ours:
        return ""
    if not abs(ours["loss"] - peer["loss"]) <= LOSS_TOLERANCE * abs(peer["loss"]):
        return "losses differ"
    return f"{median(peer['seconds']) / median(ours['seconds']):.1f} ×"


def number(value):
    """Three significant digits, without an exponent."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def peak_and_compile_line(results):
    """What was measured beside the times: the largest of each over the results."""
    measured = [measurement for result in results for measurement in result["measured"]]
    peaks, compiling = [], []
    for dtype in dict.fromkeys(measurement["dtype"] for measurement in measured):
        same = [measurement for measurement in measured if measurement["dtype"] == dtype]
        all_cores = max(measurement["peak_gflops"] for measurement in same)
        one_core = max(measurement["peak_gflops_one_core"] for measurement in same)
        seconds = max(m["peers"]["fastnn"]["compile_seconds"] for m in same)
        peaks.append(f"{all_cores:.0f} GFLOP/s in {dtype} ({one_core:.0f} on one core)")
        compiling.append(f"{seconds:.1f} s in {dtype}")
    return (
        f"FMA peak of all cores: {', '.join(peaks)}. "
        f"Compiling fastnn's kernels, not counted above: {', '.join(compiling)}."
    )


def machine_line(result):
    """What a result was measured on."""
    machine = result["machine"]
    packages = ", ".join(f"{name} {release}" for name, release in machine["packages"].items())
    return (
        f"{machine['cpu']} ({machine['llvm_cpu']}), {machine['n_cores']} cores, "
        f"{machine['system']}, Python {machine['python']}, {packages}, "
        f"BLAS: {', '.join(machine['blas'])}."
    )


def load_results():
    """All results on disk, in the order of the rows' definition."""
    from rows import ROWS

    paths = (RESULTS / f"{name}.json" for name in ROWS)
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def write(path, text):
    """Replace what is between the markers of a file."""
    content = path.read_text()
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{path} lacks the markers {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main():
    parser = argparse.ArgumentParser(description="The results as a Markdown table.")
    parser.add_argument("--write", type=Path, metavar="PATH", help="file with the markers")
    path = parser.parse_args().write
    text = markdown(load_results())
    if path:
        write(path, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
