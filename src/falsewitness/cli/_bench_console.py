"""What ``falsewitness bench`` draws: how a benchmark is worked off, stands, and comes on."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from falsewitness.benchmark import Prepared, Status, Survey, Task, survey
from falsewitness.cli._console import console, duration, say
from falsewitness.cli._table import laid_out
from falsewitness.core.errors import one_line

_MOST_SHOWN = 50
"""Cells or failures that are listed; a benchmark may have thousands."""

_STATES = ("done", "running", "waiting", "failed", "diverged", "skipped")


class BenchConsole:
    """Tells how a driver comes on: a bar on a terminal, a line a model elsewhere, and every failure in both."""

    def __init__(self, prepared: Prepared) -> None:
        self._name = prepared.benchmark.name
        self._total = len(prepared.agenda.tasks)
        self._ended = 0
        self._running = set[str]()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def start(self, left: int) -> None:
        """Begin, with so many models to do."""
        self._ended = self._total - left
        say(f"benchmark {self._name}: {_number(self._total, 'model')}, {left} to do", style="dim")
        if console.is_terminal and left:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=console,
                transient=True,
            )
            self._bar.add_task(self._name, total=self._total, completed=self._ended)
            self._bar.start()

    def begun(self, task: Task) -> None:
        """Count what runs."""
        self._running.add(task.key)
        self._draw()

    def ended(self, task: Task, found: Status, seconds: float) -> None:
        """Print a failure, and away from a terminal everything."""
        self._ended += 1
        self._running.discard(task.key)
        self._draw()
        if found.state != "done":
            say(f"{task.key}: {found.state}: {one_line(found.reason)}", style="red")
        elif self._bar is None:
            took = f" in {duration(seconds)}" if seconds else " by another driver"
            say(f"{task.key}: done{took}, {self._ended} of {self._total}", style="dim")

    def notice(self, text: str) -> None:
        """Print a line."""
        say(one_line(text), style="dim")

    def _draw(self) -> None:
        if self._bar is not None:
            description = f"{self._name}, {len(self._running)} running"
            self._bar.update(self._bar.task_ids[0], completed=self._ended, description=description)


def show_plan(found: Survey) -> None:
    """Print the cells, how each stands, what is to be trained and the time expected."""
    rows = [(_cell_name(found, place), view.state) for place, view in enumerate(found.cells)]
    heading, lines = laid_out(("Cell", "State"), rows[:_MOST_SHOWN], console.width)
    say(heading, style="bold")
    say(lines)
    if len(rows) > _MOST_SHOWN:
        say(f"... and {len(rows) - _MOST_SHOWN} more")
    say(f"\n{_number(len(rows), 'cell')}: {_counted(found.counts)}")
    anew = len(found.to_measure_anew)
    unmeasured = len(found.trained) - anew
    todo = Counter(task.role for task in found.waiting) - Counter(task.role for task in found.trained)
    if todo:
        say(f"to train: {', '.join(f'{count} {role}' for role, count in todo.items())}")
    if unmeasured:
        say(f"to measure, without training: {_number(unmeasured, 'model')}")
    if anew:
        say(
            f"to measure anew, without training: {_number(anew, 'model')}; figures by other auditors or metrics "
            "are replaced (with another --out they stay)"
        )
    if found.waiting:
        say(time_left(found))


def show_standing(found: Survey) -> None:
    """Print how many cells stand how, what failed and why, what runs, and the time that is left."""
    say(f"\n{_heading(found)}", style="bold")
    failed = failures(found)
    for line in failed:
        say(f"  {line}")
    if failed:
        say("  to try them again: the same command with --retry-failed", style="dim")
    for line in _running_lines(found):
        say(line)
    if found.counts["waiting"] or found.counts["running"]:
        say(time_left(found))


def failures(found: Survey) -> list[str]:
    """Return a line for each cell and shared model that came to no figures, with the reason; of many the first."""
    failed = [
        f"{view.state}: {_cell_name(found, place)}: {one_line(view.reason)}"
        for place, view in enumerate(found.cells)
        if view.state in ("failed", "diverged")
    ]
    failed += [f"{status.state}: {key}: {one_line(status.reason)}" for key, status in found.failed_below.items()]
    left = len(failed) - _MOST_SHOWN
    return failed[:_MOST_SHOWN] + ([f"... and {left} more"] if left > 0 else [])


def _cell_name(found: Survey, place: int) -> str:
    return one_line(found.prepared.matrix.named(place))


def watch_standing(prepared: Prepared, every: float) -> None:
    """Draw how a benchmark stands again and again, as long as a driver works on it."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=False) as live:
            for found in _looks(prepared, every):
                live.update(Text("\n".join(_watched(found))), refresh=True)
        return
    told = None
    for found in _looks(prepared, every):
        news = _heading(found), [one.key for one in found.running]
        if news != told:  # a log needs no line for every second that passes
            say("\n".join(_watched(found)))
        told = news


def _looks(prepared: Prepared, every: float) -> Iterator[Survey]:
    while True:
        found = survey(prepared)
        yield found
        if not found.drivers:
            return
        time.sleep(every)


def _watched(found: Survey) -> list[str]:
    return [_heading(found), *_running_lines(found), time_left(found)]


def time_left(found: Survey) -> str:
    """Return what is left to do in words: the work of one worker, as similar models took it."""
    expected = found.expected()
    known = [seconds for seconds in expected.values() if seconds is not None]
    unknown = len(expected) - len(known)
    if not expected:
        return "nothing is left to do"
    if not known:
        return f"time left: not known before a similar model is finished ({_number(unknown, 'model')})"
    started = {one.key: one.since for one in found.running}
    begun = sum(min(expected.get(key) or 0.0, time.time() - since) for key, since in started.items())
    text = f"time left: about {duration(max(0.0, sum(known) - begun))} of one worker"
    return text + (f", and {_number(unknown, 'model')} of which nothing similar is finished" if unknown else "")


def _running_lines(found: Survey) -> Iterator[str]:
    expected = found.expected()
    for one in found.running:
        usual = expected.get(one.key)
        of = "" if usual is None else f" of about {duration(usual)}"
        again = f", try {one.tries}" if one.tries > 1 else ""
        yield f"  running: {one.key} for {duration(max(0.0, time.time() - one.since))}{of}{again}"


def _heading(found: Survey) -> str:
    return f"{found.prepared.benchmark.name}: {_number(len(found.cells), 'cell')}: {_counted(found.counts)}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[state]} {state}" for state in _STATES if counts.get(state)) or "none"
