"""Threads of our own that help with tasks, and how a thread that has tasks to share meets them.

They are Python threads that call compiled code, which runs without the GIL. A thread that has tasks
to share is their leader: it takes a *slot* of the *board*, opens the slot's call for one group of
tasks after another, and takes tasks itself. Helpers look for slots that want more of them, and take
tasks of every call that is open. The leader waits for those who are inside its call and for nobody
else: a helper that comes late starts with the next task, and one that never comes is not missed.
So nothing depends on when, or whether, helpers run.

A helper without work watches the board for a moment, because the next job often comes at once, and
then sleeps until the bell rings. One that looks at a slot too late finds the job of that time, or
none: slots are never freed. A process has one pool of helpers, for all the threads that lead; the
child of a fork, where no helper lives on, makes its own.
"""

import os
import threading
from functools import cache
from queue import SimpleQueue

import numpy as np

from fastnn.kernels.cpu import atomics, jit, threads
from fastnn.kernels.cpu.jit import call_with_three
from fastnn.kernels.memory import view

# The first words of a job and of a slot are what a task needs: the addresses of `plan.run_task`, of
# the step's state and of the tables.
RUN_AT, STEP_AT, CHAINS_AT, UNITS_AT = range(4)
# CHAIN and END, the first chain and the end of the tasks, change from call to call. Words that
# different threads write are a cache line apart. The leader alone writes TAKEN, whether it has the
# slot, WANTED, the helpers that it wants, and CALL, a number that is odd while the call is open.
# Everybody writes NEXT, the next task, INSIDE, the threads inside the call, and PRESENT, the
# helpers that are here.
CHAIN, END = 4, 5
TAKEN, WANTED, CALL = 8, 9, 10
NEXT, INSIDE, PRESENT = 16, 24, 32
N_WORDS = 40
SLOT_BYTES = 8 * N_WORDS
# At most N_SLOTS jobs have helpers at one time; any other runs without.
N_SLOTS = 64
# The board is an array (1 + N_SLOTS, N_WORDS). Its first row has the number of jobs so far, the
# helpers that are awake, how often helpers have entered a job and left one, and the tasks that they
# have done.
NEWS, AWAKE, ENTERED, LEFT, HELPED = 0, 8, 16, 24, 32
# A thread that waits gives way to others each time that it has looked at a word PATIENCE times, a
# power of two. A helper goes to sleep after it has looked at the board VIGIL times, which takes it
# somewhat less than a millisecond.
PATIENCE = 2048
VIGIL = 16 * PATIENCE


def take_tasks(slot):
    # Do tasks of the open call until none is left; returns how many.
    n_done = 0
    task = fetch_add(slot, NEXT, 1)
    while task < slot[END]:
        call_run_task(slot, task, slot[CHAIN])
        n_done += 1
        task = fetch_add(slot, NEXT, 1)
    return n_done


def call_run_task(job, task, chain):
    # It is called by its address, as it is compiled once and called from several places.
    call_with_three(job[RUN_AT], job[STEP_AT], task, job[CHAINS_AT], job[UNITS_AT], chain)


def wait(looks):
    pause()
    if looks & (PATIENCE - 1) == 0:
        give_way()


def take_slot(board_at, job, n_helpers):
    # Returns the address of a slot that is now this leader's and has its job; 0 if all are taken.
    for i in range(1, N_SLOTS + 1):
        slot_at = board_at + i * SLOT_BYTES
        slot = view(slot_at, N_WORDS, np.int64)  # (40,)
        if compare_swap(slot, TAKEN, 0, 1):
            for word in range(RUN_AT, UNITS_AT + 1):
                slot[word] = job[word]
            store_word(slot, WANTED, n_helpers)
            fetch_add(view(board_at, N_WORDS, np.int64), NEWS, 1)
            return slot_at
    return 0


def leave_slot(slot_at):
    slot = view(slot_at, N_WORDS, np.int64)  # (40,)
    store_word(slot, WANTED, 0)
    store_word(slot, TAKEN, 0)


def await_helpers(slot_at, n_helpers, looks):
    # Give helpers that are on their way a moment, or what these looks have left of it.
    slot = view(slot_at, N_WORDS, np.int64)  # (40,)
    while looks < PATIENCE and load_word(slot, PRESENT) < n_helpers:
        looks += 1
        pause()
    return looks


def share(slot_at, chain, task, end):
    # Have this thread, and all helpers that come, do the tasks from ``task`` to ``end``.
    slot = view(slot_at, N_WORDS, np.int64)  # (40,)
    slot[CHAIN], slot[END], slot[NEXT] = chain, end, task
    call = slot[CALL]
    store_word(slot, CALL, call + 1)
    take_tasks(slot)
    # A helper that is not inside by now sees that the call is closed.
    store_word(slot, CALL, call + 2)
    looks = 0
    while load_word(slot, INSIDE) > 0:
        looks += 1
        wait(looks)


def follow(slot):
    # Take tasks of every call until there is no job; returns how many.
    n_done, last, looks = 0, 0, 0
    while load_word(slot, WANTED) > 0:
        call = load_word(slot, CALL)
        if call == last or call & 1 == 0:
            looks += 1
            wait(looks)
            continue
        fetch_add(slot, INSIDE, 1)
        # It counts only now that the leader can see this thread: the call may have been closed.
        last, looks = load_word(slot, CALL), 0
        if last & 1 == 1:
            n_done += take_tasks(slot)
        fetch_add(slot, INSIDE, -1)
    return n_done


def join(slot):
    # Count this thread in, if the slot wants more helpers than it has; returns whether it does.
    if load_word(slot, PRESENT) >= load_word(slot, WANTED):
        return False
    if fetch_add(slot, PRESENT, 1) < load_word(slot, WANTED):
        return True
    fetch_add(slot, PRESENT, -1)
    return False


def serve(board_at):
    # Help with all jobs that want it, until none has come for a while.
    board = view(board_at, N_WORDS, np.int64)  # (40,), the first row
    fetch_add(board, AWAKE, 1)
    looks, news = 0, -1
    while looks < VIGIL:
        latest = load_word(board, NEWS)
        if latest == news:
            looks += 1
            wait(looks)
            continue
        news = latest
        for i in range(1, N_SLOTS + 1):
            slot = view(board_at + i * SLOT_BYTES, N_WORDS, np.int64)  # (40,)
            if join(slot):
                fetch_add(board, ENTERED, 1)
                fetch_add(board, HELPED, follow(slot))
                fetch_add(slot, PRESENT, -1)
                fetch_add(board, LEFT, 1)
                # Other jobs may have come meanwhile.
                looks, news = 0, -1
    fetch_add(board, AWAKE, -1)


def leading_parts():
    """The functions that a leader calls, in the order in which they are to be bound."""
    return call_run_task, wait, take_tasks, take_slot, await_helpers, share, leave_slot


def atomic_names():
    """The intrinsics that the functions of this module call, by name."""
    names = ("compare_swap", "fetch_add", "load_word", "store_word", "pause", "give_way")
    return {name: getattr(atomics, name) for name in names}


@cache
def serve_at():
    """The address of `serve`."""
    return jit.unit(
        serve,
        "serve",
        lambda: jit.bindings(call_run_task, wait, take_tasks, follow, join, **atomic_names()),
    )


class Pool:
    """The helpers of this process, and the board where they find their work.

    Attributes
    ----------
    board : ndarray of shape (1 + N_SLOTS, N_WORDS), int64
        Every helper keeps it alive.
    size : int
        The number of helpers that were started.
    """

    def __init__(self):
        self.board = np.zeros((1 + N_SLOTS, N_WORDS), dtype=np.int64)
        self.board_at = threads.address(self.board)
        self.size = 0
        self._bell = SimpleQueue()  # something in it for each helper that is to wake up
        # Reentrant: a signal's handler may want helpers, too.
        self._lock = threading.RLock()
        self._can_grow = True

    def summon(self, n_helpers):
        """Wake or start helpers until so many are idle or on their way; returns ``size``.

        The counts are those of a moment. A helper that falls asleep just then is missing in the
        next job, and one that is woken in vain goes back to sleep.
        """
        counts = self.board[0]
        awake, busy = int(counts[AWAKE]), int(counts[ENTERED] - counts[LEFT])
        on_their_way = self._bell.qsize()
        missing = n_helpers - (awake - busy + on_their_way)
        if missing > 0:
            asleep = self.size - awake - on_their_way
            for _ in range(min(missing, asleep)):
                self._bell.put(None)
            if missing > asleep:
                # Leaders that work at the same time share what processors there are.
                spare = min(busy + n_helpers, threads.n_processors() - 1)
                self._grow(max(n_helpers, spare))
        return self.size

    def _grow(self, size):
        """Start helpers until there are so many, or the system has no more threads to give."""
        function_at = serve_at()
        with self._lock:
            while self.size < size and self._can_grow:
                helper = threading.Thread(
                    target=self._help, args=(function_at,), name="fastnn helper", daemon=True
                )
                try:
                    helper.start()
                except RuntimeError:
                    self._can_grow = False
                else:
                    self.size += 1

    def _help(self, function_at):
        while True:
            threads.call(function_at, self.board_at)
            self._bell.get()


_pool = Pool()


def _after_fork_in_child():
    global _pool
    _pool = Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def pool():
    """The pool of this process."""
    return _pool
