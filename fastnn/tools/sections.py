"""Sections of Markdown files that a program writes, and people do not.

A file says where a section is: ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``, each on a line
of its own. What is between the two is replaced.
"""

import re
from functools import partial

MARKED = re.compile(r"(<!-- (\w+): begin -->\n)(.*?)(<!-- \2: end -->)", re.DOTALL)


def sections_of(path):
    """The sections of a file, by name."""
    return {name: text for _, name, text, _ in MARKED.findall(path.read_text(encoding="utf-8"))}


def write(path, texts):
    """Replace the sections of a file that have these names.

    Raises
    ------
    SystemExit
        If it has none of them.
    """
    if not sections_of(path).keys() & texts.keys():
        raise SystemExit(f"{path} has no markers of {', '.join(texts)}")
    content = path.read_text(encoding="utf-8")
    path.write_text(MARKED.sub(partial(_replaced, texts), content), encoding="utf-8")


def _replaced(texts, match):
    begin, name, _, end = match.groups()
    return f"{begin}{texts[name]}\n{end}" if name in texts else match[0]
