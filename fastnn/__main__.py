"""``python -m fastnn``: the demo, or a program with scikit-learn's MLPs replaced by fastnn's."""

import argparse
import atexit
import os
import pkgutil
import runpy
import shutil
import sys
import tempfile
import types
from importlib.machinery import SourceFileLoader
from pathlib import Path
from time import perf_counter

from fastnn import streams
from fastnn.estimators import stats
from fastnn.tools import patching

USAGE = """python -m fastnn [--output PATH]
       python -m fastnn [--stats] [--advice] script.py [arguments ...]
       python -m fastnn [--stats] [--advice] -m module [arguments ...]"""
DESCRIPTION = """Without a program: train fastnn's estimators and scikit-learn's on real data, side
by side. With one: run it with fastnn's MLPClassifier and MLPRegressor in the place of
scikit-learn's."""


def as_python_takes_them(arguments):
    """Arguments with ``-mmodule`` among the options as ``-m module``."""
    for i, argument in enumerate(arguments):
        if argument.startswith("-m") and argument != "-m":
            return [*arguments[:i], "-m", argument[2:], *arguments[i + 1 :]]
        if argument in ("-m", "--") or not argument.startswith("-"):
            break
    return arguments


def parse(arguments):
    """The options, checked."""
    parser = argparse.ArgumentParser(
        prog="python -m fastnn", usage=USAGE, description=DESCRIPTION, allow_abbrev=False
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PATH",
        help="where the demo's picture of the loss curves goes (default: fastnn-demo.png)",
    )
    parser.add_argument(
        "--stats",
        action="store_true",
        help="print to stderr, at the end of the program, what was trained and how long it took",
    )
    parser.add_argument(
        "--advice",
        action="store_true",
        help="warn also of what scikit-learn does not: data that is not scaled, parameters that "
        "do nothing",
    )
    parser.add_argument("-m", action="store_true", dest="is_module", help="the program is a module")
    parser.add_argument(
        "program",
        nargs=argparse.REMAINDER,
        metavar="program [arguments ...]",
        help="a script, or with -m a module, and its arguments",
    )
    options = parser.parse_args(as_python_takes_them(arguments))
    if options.program[:1] == ["--"] and not options.is_module:
        del options.program[0]
    if options.program and options.output:
        parser.error("--output is for the demo, without a program")
    if not options.program and (options.stats or options.advice or options.is_module):
        parser.error("a program is missing: a script, or -m and a module")
    if options.output and (options.output.is_dir() or not options.output.parent.is_dir()):
        parser.error(f"--output needs the path of a file in a folder that exists: {options.output}")
    return options


def print_stats_at_exit():
    """Record fits from now on, and print the table when all else is done."""
    begin = perf_counter()
    pid = os.getpid()
    # Not a TemporaryDirectory, which goes at the end of any process that knows it.
    folder = tempfile.mkdtemp(prefix="fastnn-stats-")
    os.environ[stats.VARIABLE] = folder

    def finish():
        # A child made by fork has this function, too.
        if os.getpid() == pid:
            entries = stats.read(folder)
            shutil.rmtree(folder, ignore_errors=True)
            streams.write_line(stats.table(entries, perf_counter() - begin), to="stderr")

    # The function that is registered first is called last.
    atexit.register(finish)


def run_script(path):
    """Run a script as ``python path`` does."""
    if not os.path.exists(path):
        error = f"can't open file {os.path.abspath(path)!r}: [Errno 2] No such file or directory"
        streams.write_line(f"{sys.executable}: {error}", to="stderr")
        sys.exit(2)
    leave_current_folder()
    if pkgutil.get_importer(path) is not None:
        # A folder or a zip file with a __main__.py, that puts itself on the path.
        run_by_runpy(runpy.run_path, os.path.abspath(path))
        return
    if not sys.flags.safe_path:
        sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    full_path = os.path.abspath(path)
    # Not runpy.run_path: it changes sys.argv[0], and the module would be gone before atexit.
    module = types.ModuleType("__main__")
    module.__file__ = full_path
    module.__builtins__ = sys.modules["builtins"]
    module.__cached__ = None
    module.__loader__ = SourceFileLoader("__main__", full_path)
    sys.modules["__main__"] = module
    exec(compile(Path(full_path).read_bytes(), full_path, "exec", dont_inherit=True), vars(module))


def leave_current_folder():
    """Take what ``python -m`` begins sys.path with off it; workers must still find fastnn."""
    home = str(Path(__file__).parent.parent)
    if not sys.flags.safe_path and sys.path.pop(0) == home and home not in sys.path:
        sys.path.append(home)


def run_module(name):
    """Run a module as ``python -m name`` does."""
    run_by_runpy(runpy.run_module, name, alter_sys=True)


def run_by_runpy(run, what, **options):
    """Run a program by a function of runpy; of one that is not there, say what python says."""
    try:
        run(what, run_name="__main__", **options)
    except ImportError as error:
        if program_frames(error.__traceback__) is None:
            sys.exit(f"{sys.executable}: {error}")
        raise


def program_frames(traceback):
    """The rest of a traceback after the frames that led from here to the program."""
    own = (__file__, runpy.__file__, "<frozen runpy>")
    while traceback is not None and traceback.tb_frame.f_code.co_filename in own:
        traceback = traceback.tb_next
    return traceback


def hide_own_frames():
    """Show uncaught exceptions as if the program had been started without this module."""
    shown_by = sys.excepthook

    def show(kind, error, traceback):
        error.__traceback__ = program_frames(traceback)
        shown_by(kind, error, error.__traceback__)

    sys.excepthook = show


def main(arguments=None):
    """Parse the options and do what they ask for."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    if not options.program:
        from fastnn.tools import demo

        demo.main(options.output or demo.DEFAULT_PICTURE)
        return
    if options.stats:
        print_stats_at_exit()
    patching.patch_sklearn(advice=options.advice)
    sys.argv[:] = options.program
    try:
        if options.is_module:
            run_module(options.program[0])
        else:
            run_script(options.program[0])
    except SystemExit:
        raise
    except BaseException:
        # The program may have set a hook of its own: that shows what is left.
        hide_own_frames()
        raise


if __name__ == "__main__":
    main()
