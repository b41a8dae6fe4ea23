"""Numbers as the tables show them."""

from statistics import median

UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def number(value):
    """Three significant digits, without an exponent."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def duration(seconds):
    """Seconds in a unit that suits them."""
    size, unit = unit_of(seconds)
    return f"{number(seconds / size)} {unit}"


def spread(seconds):
    """Median (fastest – slowest) in the median's unit."""
    size, unit = unit_of(median(seconds))
    middle, low, high = (number(pick(seconds) / size) for pick in (median, min, max))
    return f"{middle} ({low} – {high}) {unit}"


def unit_of(seconds):
    """The largest unit of which there is at least one."""
    return next((unit for unit in UNITS if seconds >= unit[0]), UNITS[-1])


def ratio(theirs, ours):
    """How many times as long they take, by the medians."""
    times = median(theirs) / median(ours)
    return f"{times:.2f} ×" if times < 2 else f"{times:.1f} ×"


def table(header, rows):
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in lines)
