"""The numbers of the runs side by side, each with its spread and its n."""

from collections.abc import Callable
from dataclasses import dataclass

from falsewitness.report._columns import Column, Source
from falsewitness.report._run import Measurement, Result, Run
from falsewitness.report._text import (
    MISSING,
    NARROW_SPACE,
    clean_text,
    general,
)


@dataclass(frozen=True)
class Cell:
    """One number as it is shown.

    Attributes:
        value: The number; a dash where there is none.
        interval: Its 95 % interval.
        n: From how many images it is.
        note: What stands beside it.
    """

    value: str = MISSING
    interval: str = ""
    n: str = ""
    note: str = ""


def cell(column: Column, result: Result, auditor: str | None) -> Cell:
    """Return what a run has in a column.

    Args:
        column: The column.
        result: The run's outcome.
        auditor: Whose maps a column of maps is about.
    """
    asked = auditor if column.of_maps else None
    if column.of_maps and asked is None:
        return Cell()
    for source in column.sources:
        found = result.find(source.metric, source.name, asked)
        if found is not None:
            return Cell(
                value=column.form(found.value),
                interval=interval(found, column.form),
                n=f"n{NARROW_SPACE}={NARROW_SPACE}{found.n}",
                note=_note(column, source, result, asked),
            )
    return Cell()


def _note(column: Column, source: Source, result: Result, auditor: str | None) -> str:
    notes = [source.note]
    if source.beside:
        title, name = source.beside
        other = result.find(source.metric, name, auditor)
        notes.append(f"{title} {column.form(other.value)}" if other else "")
    return "; ".join(filter(None, notes))


def interval(measurement: Measurement, form: Callable[[float | None], str]) -> str:
    """Write the 95 % interval of a measurement; empty where it has none."""
    if measurement.low is None or measurement.high is None:
        return ""
    low, high = form(measurement.low), form(measurement.high)
    # The unit stands once, behind the upper end.
    return f"{low.split(NARROW_SPACE)[0]} to {high}"


@dataclass(frozen=True)
class ModelRow:
    """One model in the table.

    Attributes:
        title: The run's name.
        anchor: Where on the page its details are.
        role: What it is in the comparison.
        status: How the run ended.
        reason: Why it ended so, where it is not done.
        threat_model: What its attacker must control.
        auditor: Whose maps its columns of maps are about.
        cells: One a column.
    """

    title: str
    anchor: str
    role: str
    status: str
    reason: str
    threat_model: str
    auditor: str
    cells: tuple[Cell, ...]


def model_row(run: Run, title: str, anchor: str, columns: tuple[Column, ...], auditor: str | None) -> ModelRow:
    """Lay out one run's row of a table."""
    result = run.result
    return ModelRow(
        title=title,
        anchor=anchor,
        role=result.role,
        status=result.status,
        reason=clean_text(result.reason),
        threat_model=clean_text(result.attack.threat_model).removeprefix("controls ") if result.attack else MISSING,
        auditor=_auditor_name(result, auditor),
        cells=tuple(cell(column, result, auditor) for column in columns),
    )


def _auditor_name(result: Result, auditor: str | None) -> str:
    if auditor is None:
        return ""
    is_surrogate = result.attack is not None and auditor == result.attack.surrogate_auditor
    return clean_text(auditor) + (" (trained against)" if is_surrogate else "")


@dataclass(frozen=True)
class MeasurementRow:
    """One measurement in the full table, all as text."""

    auditor: str
    metric: str
    name: str
    samples: str
    value: str
    interval: str
    method: str
    n: int
    excluded: int


def measurement_row(measurement: Measurement) -> MeasurementRow:
    """Write out one measurement."""
    spread = interval(measurement, general)
    return MeasurementRow(
        auditor=MISSING if measurement.auditor is None else clean_text(measurement.auditor),
        metric=clean_text(measurement.metric),
        name=clean_text(measurement.name),
        samples=clean_text(measurement.samples),
        value=general(measurement.value),
        interval=spread or MISSING,
        method=clean_text(measurement.interval) if spread else MISSING,
        n=measurement.n,
        excluded=measurement.excluded,
    )


@dataclass(frozen=True)
class ClassTable:
    """The measurements of a run by true class: a row a class, a column a measurement."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def class_table(result: Result) -> ClassTable | None:
    """Lay out what was measured by class; None where nothing was."""
    measured = [m for m in result.measurements if m.per_class]
    if not measured:
        return None
    known = result.data.class_names if result.data else ()
    names = dict.fromkeys(name for m in measured for name in m.per_class)
    ordered = [name for name in known if name in names] + [name for name in names if name not in known]
    return ClassTable(
        headings=tuple(_heading(m) for m in measured),
        rows=tuple((clean_text(name), tuple(general(m.per_class.get(name)) for m in measured)) for name in ordered),
    )


def _heading(measurement: Measurement) -> str:
    metric = measurement.metric if measurement.metric != measurement.name else None
    samples = measurement.samples if measurement.samples != "all" else None
    return " · ".join(clean_text(part) for part in (measurement.auditor, metric, measurement.name, samples) if part)
