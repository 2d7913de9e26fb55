"""``falsewitness bench``: a matrix of experiments."""

import gc
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from falsewitness.cli._help import add_command, show_help_without_command
from falsewitness.cli._options import Changes, Device, Out, usable_folder, usable_page, usable_picture, usable_table
from falsewitness.core.errors import InputError

if TYPE_CHECKING:
    from falsewitness.benchmark import Benchmark, Prepared
    from falsewitness.execution import Executor

_FORMATS = ("html", "parquet", "csv", "markdown", "latex", "png")


class _RunUnlessNamed(TyperGroup):
    """A group whose command ``run`` may be left out: ``bench digits-smoke`` is ``bench run digits-smoke``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer keeps the class to itself
        """Put the command in where it was left out.

        Raises:
            InputError: If a command is misspelt: a benchmark's name is not followed by another.
        """
        from falsewitness.core.faults import nearest

        first, second = [*args, "", ""][:2]
        if args and first not in {*self.commands, *ctx.help_option_names}:
            if second and not f"{first[:1]}{second[:1]}".count("-"):
                raise InputError(f"there is no command 'bench {first}'; {nearest(first, self.commands)}")
            args.insert(0, "run")
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunUnlessNamed,
    help="Work off a matrix of experiments, look how it stands, export it.\n\n"
    "`falsewitness bench NAME` is short for `falsewitness bench run NAME`.",
)

Name = Annotated[
    str,
    typer.Argument(metavar="NAME|FILE", help="A benchmark's name (see `falsewitness list benchmarks`) or a YAML file."),
]


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """Hold what comes before a sub-command: nothing."""
    show_help_without_command(context)


def run(
    name: Name,
    changes: Changes = None,
    out: Out = Path("runs"),
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", min=1, help="How many models at once.")
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(
            "--executor",
            metavar="KIND|{YAML}",
            help="local, ray or slurm; or with fields: '{kind: ray, address: \"auto\"}'.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the cells and the time expected, and leave.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed or diverged.")] = False,
    device: Device = "auto",
) -> None:
    """Work off a benchmark; whatever is finished is not done again.

    What cells share (clean models, controls) is trained once, first. Stopped or killed at any moment, the same command
    goes on. A cell that fails keeps its reason and stops no other; it is tried again with --retry-failed. A second
    driver on the same folder helps, and does nothing twice. At the end stands a page with the leaderboard.

    Examples:
        falsewitness bench digits-smoke --workers 2
        falsewitness bench mine.yaml --dry-run
        falsewitness bench mine.yaml --set attack_training.epochs=1
        falsewitness bench mine.yaml --executor ray
        falsewitness bench mine.yaml --retry-failed
    """
    from falsewitness.benchmark import Driver, Terms, announced, expect_feasible, export, find_benchmark, survey
    from falsewitness.cli._bench_console import BenchConsole, show_plan, show_standing
    from falsewitness.cli._console import complain, say

    benchmark = find_benchmark(name)
    chosen = _executor(benchmark, executor, workers)
    with_whom = [] if executor is None else ["--executor", executor]
    with_whom += [] if workers is None else ["--workers", str(workers)]
    prepared = _prepared(name, changes or [], out, device, benchmark, with_whom)
    expect_feasible(prepared)
    if dry_run:
        show_plan(survey(prepared))
        return
    with announced(prepared.drivers) as announcement, BenchConsole(prepared) as listener:
        terms = Terms(out, device, benchmark.limits, benchmark.budget, retry_failed)
        driver = Driver(prepared.agenda, terms, listener, announcement)
        listener.start(driver.left)
        driver.drive(chosen)
    found = survey(prepared, driver.statuses)
    show_standing(found)
    with prepared.locked(say):
        exported = export(found, ["html"], prepared.folder)
    say(f"\npage: {exported.files[0]}")
    for reason in exported.not_compared:
        complain(reason)
    if found.has_failures:
        raise typer.Exit(1)


def status(name: Name, changes: Changes = None, out: Out = Path("runs"), device: Device = "auto") -> None:
    """Tell how a benchmark stands: what is done, what runs, what failed and why, and the time that is left.

    Examples:
        falsewitness bench status digits-smoke
    """
    from falsewitness.benchmark import survey
    from falsewitness.cli._bench_console import show_standing

    show_standing(survey(_prepared(name, changes or [], out, device)))


def watch(
    name: Name,
    changes: Changes = None,
    out: Out = Path("runs"),
    device: Device = "auto",
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", min=0.2, help="How often to look.")] = 2.0,
) -> None:
    """Show how a benchmark comes on, until nothing runs any more: what runs since when, and what is left.

    It only looks: the drivers are others, on this machine or on one that shares the folder. Leave with Ctrl-C.

    Examples:
        falsewitness bench watch digits-smoke
    """
    from falsewitness.cli._bench_console import watch_standing

    watch_standing(_prepared(name, changes or [], out, device), every)


def export_tables(
    name: Name,
    changes: Changes = None,
    out: Out = Path("runs"),
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", metavar="FORMAT", help=f"{', '.join(_FORMATS)}; may be repeated; all by default."),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            "--into",
            metavar="DIR",
            callback=usable_folder,
            help="Where to write; the benchmark's own folder by default.",
        ),
    ] = None,
    device: Device = "auto",
) -> None:
    """Write a benchmark as it stands: its page, tables, and a picture of which auditor gives which attack away.

    Parquet and CSV have a line a cell, Markdown and LaTeX the leaderboard, the PNG the figures of maps.

    Examples:
        falsewitness bench export digits-smoke
        falsewitness bench export digits-smoke --format csv --into tables
        falsewitness bench export auditors --format png
    """
    from falsewitness.benchmark import FORMATS, export, survey
    from falsewitness.cli._bench_console import failures
    from falsewitness.cli._console import complain, say
    from falsewitness.core.faults import nearest

    chosen = tuple(formats or FORMATS)
    for wrong in (each for each in chosen if each not in FORMATS):
        raise InputError(f"--format: there is no format '{wrong}'; {nearest(wrong, tuple(FORMATS))}")
    if into is not None:
        for each in chosen:
            {"html": usable_page, "png": usable_picture}.get(each, usable_table)(into / FORMATS[each])
    prepared = _prepared(name, changes or [], out, device)
    found = survey(prepared)
    if not found.counts["done"]:
        say(f"no cell is done yet; `{prepared.command}` does them", style="dim")
    with prepared.locked(say) if into is None else nullcontext():
        exported = export(found, chosen, into or prepared.folder)
    for path in exported.files:
        say(str(path))
    for reason in (*failures(found), *exported.not_compared):
        complain(reason)


add_command(app, run)
add_command(app, status)
add_command(app, watch)
add_command(app, export_tables, "export")


def _prepared(
    name: str,
    changes: list[str],
    out: Path,
    device: str,
    found: "Benchmark | None" = None,
    with_whom: Sequence[str] = (),
) -> "Prepared":
    from falsewitness.benchmark import find_benchmark, prepare
    from falsewitness.cli._console import ConsoleReporter
    from falsewitness.data import Dataset
    from falsewitness.experiment import Spec, choose_device

    reporter = ConsoleReporter()

    def open_data(spec: Spec) -> Dataset:
        with reporter.progress(f"reading {spec.data.kind}") as progress:
            return spec.data.prepare(reporter.notice, progress)

    words = ["falsewitness", "bench", name, *(word for change in changes for word in ("--set", change))]
    words += [] if out == Path("runs") else ["--out", str(out)]
    words += [*([] if device == "auto" else ["--device", device]), *with_whom]
    with _nothing_becomes_garbage():
        return prepare(
            found or find_benchmark(name),
            changes,
            out,
            device=choose_device(device),
            open_data=open_data,
            command=shlex.join(words),
        )


@contextmanager
def _nothing_becomes_garbage() -> Iterator[None]:
    """Look for no garbage, which takes longer than laying out a benchmark, nor ever in what was made meanwhile."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def _executor(benchmark: "Benchmark", given: str | None, workers: int | None) -> "Executor":
    """Return who does the work: the benchmark's own, or what the command line names instead."""
    from falsewitness.benchmark import of_kind
    from falsewitness.core.plain_yaml import read_yaml
    from falsewitness.execution import EXECUTORS

    chosen = benchmark.executor
    raw = chosen.plain()
    if given is not None:
        value = of_kind(read_yaml(os.fsencode(given), f"--executor {given}"))
        if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
            raise InputError(f"--executor: expected a kind, or {{kind: ..., field: value}}, got {given!r}")
        raw = value if value["kind"] != chosen.kind else raw | value
    if workers is not None:
        raw = raw | {"workers": workers}
    return EXECUTORS.get(raw["kind"]).parse(raw, "--executor")
