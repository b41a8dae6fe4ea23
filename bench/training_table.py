"""The results of the rows that train, as Markdown: a summary, and every peer's times."""

from statistics import median

import machine
from formatting import duration, ratio, spread, table

LOSS_TOLERANCE = 1e-3
UNITS = {"step": "a step", "iteration": "an iteration", "fit": "a fit"}
FULL_HEADER = [
    "", "precision", "", "threads", "median time (fastest – slowest)", "fastnn is faster by",
    "of FMA peak", "final loss", "compiling",
]  # fmt: skip


def summary(results):
    """A line for each row and precision: fastnn's time, and how many times as long others take."""
    names = dict.fromkeys(
        name for _, measured in measurements(results) for name in measured["peers"]
    )
    others = [name for name in names if name != "fastnn"]
    lines = []
    for result, measured in measurements(results):
        title = row_title(result) if measured is result["measured"][0] else ""
        cells = [title, measured["dtype"], *own_cells(result, measured)]
        cells += [speedup(measured, name) for name in others]
        lines.append(cells)
    parts = [table(["", "precision", "fastnn", "of FMA peak", *others], lines)]
    parts += [peak_line(results), compile_line(results), *missing_lines(results)]
    parts += dict.fromkeys(machine.line(result["machine"]) for result in results)
    return "\n\n".join(parts)


def full(results):
    """A line for each row, precision and peer."""
    lines = []
    for result, measured in measurements(results):
        title, precision = row_title(result), measured["dtype"]
        for name in measured["peers"]:
            lines.append([title, precision, *peer_cells(result, measured, name)])
            title = precision = ""
    parts = [table(FULL_HEADER, lines), peak_line(results), *missing_lines(results)]
    parts += dict.fromkeys(machine.line(result["machine"]) for result in results)
    return "\n\n".join(parts)


def full_of_one(result):
    return full([result])


def measurements(results):
    """Pairs of a result and its measurement in a precision."""
    return [(result, measured) for result in results for measured in result["measured"]]


def row_title(result):
    rate = result["learning_rate"]
    return f"**{result['row']}**: {result['title']}, batch {result['batch_size']:,}" + (
        "" if rate == 1e-3 else f", rate {rate:g}"
    )


def own_cells(result, measured):
    """fastnn's time and its fraction of the peak."""
    seconds = measured["peers"]["fastnn"]["seconds"]
    time = duration(median(seconds) / measured["n_units"])
    return f"{time} {UNITS[result['unit']]}", peak_fraction(measured, seconds)


def peer_cells(result, measured, name):
    """One library in one precision."""
    peer = measured["peers"][name]
    seconds = peer["seconds"]
    times = spread([total / measured["n_units"] for total in seconds])
    compiling = peer["compile_seconds"]
    return [
        name,
        peer["n_threads"] or "auto",
        f"{times} {UNITS[result['unit']]}",
        speedup(measured, name) if name != "fastnn" else "",
        peak_fraction(measured, seconds),
        f"{peer['loss']:.5f}",
        "" if compiling is None else f"{compiling:.1f} s",
    ]


def peak_fraction(measured, seconds):
    """The operations of the matrix products, as a part of what the cores could do."""
    if measured["n_flops"] is None:
        return ""
    gflops = measured["n_flops"] / median(seconds) / 1e9
    return f"{100 * gflops / measured['peak_gflops']:.0f} %"


def speedup(measured, name):
    """How many times as long the peer takes, where both reach the same loss."""
    if name not in measured["peers"]:
        return ""
    ours, peer = measured["peers"]["fastnn"], measured["peers"][name]
    if not abs(ours["loss"] - peer["loss"]) <= LOSS_TOLERANCE * abs(peer["loss"]):
        return "losses differ"
    return ratio(peer["seconds"], ours["seconds"])


def peak_line(results):
    """The peak that fractions refer to: the largest that was measured."""
    peaks = []
    for dtype, same in by_dtype(results).items():
        all_cores = max(measured["peak_gflops"] for measured in same)
        one_core = max(measured["peak_gflops_one_core"] for measured in same)
        peaks.append(f"{all_cores:.0f} GFLOP/s in {dtype} ({one_core:.0f} on one core)")
    return f"FMA peak of all cores: {', '.join(peaks)}."


def compile_line(results):
    """The time that each library compiled, beside the times: the least and the most of the rows."""
    seconds = {}
    for _, measured in measurements(results):
        for name, peer in measured["peers"].items():
            if peer["compile_seconds"] is not None:
                seconds.setdefault(name, []).append(peer["compile_seconds"])
    parts = [f"{name} {min(all_):.1f} – {max(all_):.1f} s" for name, all_ in seconds.items()]
    return f"Compiling, not counted above: {', '.join(parts)}."


def missing_lines(results):
    """Who was not measured, and why."""
    missing = {}
    for result in results:
        missing |= result["missing"]
    return [f"{name} was not measured: {reason}." for name, reason in missing.items()]


def by_dtype(results):
    """The measurements of each precision."""
    groups = {}
    for _, measured in measurements(results):
        groups.setdefault(measured["dtype"], []).append(measured)
    return groups
