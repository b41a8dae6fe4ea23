"""A plan is a pass over mini-batches as a table: groups of chains of units.

The tasks of one group, of all its chains together, are independent of one another, so they may be
done in any order or at one time; between groups all who do them meet. A task of a chain runs the
chain's units one after another, while what they share is near. A chain has a fixed number of
tasks, or some for every so many rows of the mini-batch. Results do not depend on who does which:
tasks write to separate places, and sums across tasks are taken in a fixed order by a unit of a
later group.

The plan knows no device. Its *machine* does, which has the memory that the units work on, compiles
the units, and runs the table; see machine.py.
"""

from dataclasses import dataclass

import numpy as np

from fastnn.kernels.memory import quotient

# Places in the step's state (8,), int64: first row of the mini-batch in the order, its rows, 1 if
# there is nothing to train on, and the address of the order (n,) in which the data's rows are
# used, or 0.
ROW, ROWS, SKIP, ORDER = range(4)
N_STEP = 8
# The columns of the table of chains are the first of a chain's units and the one after its last;
# and its tasks, in all where ROW_BLOCK is 0, and otherwise for each so many rows.
FIRST_UNIT, LAST_UNIT, TASKS, ROW_BLOCK = range(4)
N_CHAIN = 4
# Arguments of its own that a unit has at most.
MAX_ARGUMENTS = 16
# A row of the table of units has the unit's number, that of its arguments, and the arguments.
N_UNIT = 2 + MAX_ARGUMENTS
# Blocks of rows are multiples of EVEN_ROWS, which are whole register tiles on most processors. It
# decides which sums are taken in parts, and so must not follow the tile.
EVEN_ROWS = 8


def even_block(rows, n_blocks):
    """Rows of a block, for at least so many blocks."""
    return -(-rows // (n_blocks * EVEN_ROWS)) * EVEN_ROWS


def tasks_of(n_tasks, row_block, rows):
    # The tasks of a chain, by its columns, for a mini-batch of that many rows. A template.
    return n_tasks if row_block == 0 else n_tasks * quotient(rows + row_block - 1, row_block)


@dataclass(frozen=True)
class Late:
    """An argument that a plan is told before each run, by this name."""

    name: str


@dataclass(frozen=True)
class Tables:
    """The tables of a plan.

    Parameters
    ----------
    groups : ndarray of shape (groups + 1,), int64
        The first chain of each group, and the number of all.
    chains : ndarray of shape (chains, N_CHAIN), int64
    units : ndarray of shape (units, N_UNIT), int64
    late : dict
        The row and the column of late arguments in the table of units, by their names.
    addresses : list of tuple
        The row and the column of arguments that are addresses in the table of units, and the
        memory there, which this keeps alive.
    """

    groups: np.ndarray
    chains: np.ndarray
    units: np.ndarray
    late: dict
    addresses: list

    @property
    def n_groups(self):
        return len(self.groups) - 1

    def n_tasks(self, group, rows):
        """Tasks of a group for a mini-batch of that many rows."""
        chains = self.chains[self.groups[group] : self.groups[group + 1]].tolist()
        return sum(tasks * (-(-rows // block) if block else 1) for *_, tasks, block in chains)

    def most_tasks(self, rows):
        """Tasks of the largest group for a mini-batch of that many rows."""
        return max(self.n_tasks(group, rows) for group in range(self.n_groups))


class Plan:
    """A table of groups of chains of units, and the memory that their arguments point into.

    Parameters
    ----------
    machine : Machine
        What runs it.

    Attributes
    ----------
    groups, chains, units : list
        The rows of its `Tables`.
    late : dict
        As in these.
    """

    def __init__(self, machine):
        self.machine = machine
        self.groups, self.chains, self.units = [0], [], []
        self.late = {}
        self._addresses = []

    def group(self):
        """Begin a group: its tasks start when all tasks of the one before are done."""
        self.groups.append(self.groups[-1])

    def chain(self, *, tasks=1, row_block=0):
        """Begin a chain of the current group, of so many tasks, or so many for each block."""
        self.chains.append([len(self.units), len(self.units), tasks, row_block])
        self.groups[-1] += 1

    def add(self, unit, **arguments):
        """Add a unit to the current chain; memory stands for its address."""
        if set(arguments) != set(unit.fields):
            raise TypeError(f"{unit.name} takes {unit.fields}, got {tuple(arguments)}")
        words, row = [], len(self.units)
        for place, field in enumerate(unit.fields, start=2):
            word, memory = self._word(arguments[field])
            words.append(word)
            if memory is not None:
                self._addresses.append((row, place, memory))
            if isinstance(arguments[field], Late):
                self.late[arguments[field].name] = (row, place)
        padding = [0] * (MAX_ARGUMENTS - len(words))
        number = self.machine.compiler.compile(unit)
        self.units.append([number, len(words), *words, *padding])
        self.chains[-1][LAST_UNIT] += 1

    def _word(self, value):
        """An argument as an integer, and the memory that it is the address of, or None."""
        if value is None or isinstance(value, Late):
            return 0, None
        if isinstance(value, (int, np.integer, np.bool_)):
            return int(value), None
        memory, address = self.machine.locate(value)
        return address, memory

    def compile(self):
        """Freeze the tables."""
        self.tables = Tables(
            np.array(self.groups, dtype=np.int64),
            np.array(self.chains, dtype=np.int64).reshape(-1, N_CHAIN),
            np.array(self.units, dtype=np.int64).reshape(-1, N_UNIT),
            self.late,
            self._addresses,
        )
        self.program = self.machine.program(self.tables)
        return self
