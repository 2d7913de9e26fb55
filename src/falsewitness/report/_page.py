"""Everything that stands on the page, in the order in which it stands there."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from falsewitness.report._answers import RULES, Answer, answer
from falsewitness.report._columns import MAP_COLUMNS, MODEL_COLUMNS, STAMP_COLUMNS, Column
from falsewitness.report._curves import Chart, charts
from falsewitness.report._facts import count_of, data_line, environment_facts, lead, run_facts, setting
from falsewitness.report._gallery import Example, Tile, examples, glimpse, scale_of
from falsewitness.report._panels import Panel, panel
from falsewitness.report._run import Run
from falsewitness.report._side_by_side import Comparison, comparisons
from falsewitness.report._tables import (
    ClassTable,
    MeasurementRow,
    ModelRow,
    class_table,
    measurement_row,
    model_row,
)
from falsewitness.report._text import clean_text
from falsewitness.report._tiles import Picture, Scale, colour_bar
from falsewitness.report._titles import titles

_ROLES = ("clean", "control", "attack")


@dataclass(frozen=True)
class ModelTable:
    """A table of models with its headings."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[ModelRow, ...]


@dataclass(frozen=True)
class Bar:
    """The colours of one auditor's maps."""

    number: int
    auditor: str
    picture: Picture
    low: str
    high: str


@dataclass(frozen=True)
class RunView:
    """One run as the page shows it."""

    title: str
    anchor: str
    setting: str
    answer: Answer
    glimpse: tuple[tuple[str, Tile], ...]
    command: str
    facts: tuple[tuple[str, str], ...]
    charts: tuple[Chart, ...]
    measurements: tuple[MeasurementRow, ...]
    classes: ClassTable | None
    spec: str
    environment: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Page:
    """The whole page.

    Attributes:
        lead: What was compared.
        count: How many runs it was made from.
        rules: How the answers follow from the numbers.
        data: The images the runs worked on, a line each.
        left_out: Folders that could not be read, a line each.
        runs: Every run.
        answers: Every run again, attacks first.
        models: The table of models.
        auditors_table: Every model before every auditor; None where no run has more than one.
        numbers: The number of each auditor on the page, by its label.
        bars: One an auditor, in the order of their numbers.
        comparisons: The same images through all models.
        panels: Each attack's own images.
        pictures: All that the tiles draw, each once.
        outlines: Name on the page of each trigger's edge.
    """

    lead: str
    count: str
    rules: str
    data: tuple[str, ...]
    left_out: tuple[str, ...]
    runs: tuple[RunView, ...]
    answers: tuple[RunView, ...]
    models: ModelTable
    auditors_table: ModelTable | None
    numbers: Mapping[str, int]
    bars: tuple[Bar, ...]
    comparisons: tuple[Comparison, ...]
    panels: tuple[Panel, ...]
    pictures: tuple[Picture, ...]
    outlines: Mapping[str, str]


@dataclass(frozen=True)
class _Named:
    """A run with what it is called on the page."""

    run: Run
    title: str
    anchor: str


def lay_out(runs: Sequence[Run], left_out: Sequence[str]) -> Page:
    """Lay out the page for some runs: clean models first, then controls, then attacks as they were given.

    Args:
        runs: What the page shows.
        left_out: What is wrong with each folder that it does not show.
    """
    ordered = sorted(runs, key=lambda run: _ROLES.index(run.result.role))
    named = [
        _Named(run, title, f"run-{number}")
        for number, (run, title) in enumerate(zip(ordered, titles(ordered), strict=True), start=1)
    ]
    shown = examples([(one.run, one.title, one.anchor) for one in named])
    auditors = _auditors(shown)
    scales = {auditor: scale_of(auditor, shown) for auditor in auditors}
    bars = tuple(_bar(number, auditor, scales[auditor]) for number, auditor in enumerate(auditors))
    side_by_side = tuple(found for auditor in auditors for found in comparisons(shown, auditor, scales[auditor]))
    panels = tuple(panel(example, scales) for example in shown)
    glimpses = {example.anchor: glimpse(example, scales) for example in shown}
    tiles = [
        *(tile for seen in glimpses.values() for _, tile in seen),
        *_tiles_of(side_by_side),
        *(tile for one in panels for tile in one.tiles),
    ]
    views = tuple(_run_view(one, glimpses.get(one.anchor, ())) for one in named)
    outlines = dict.fromkeys(tile.outline for tile in tiles if tile.outline)
    return Page(
        lead=lead(ordered),
        count=count_of(ordered),
        rules=RULES,
        data=tuple(dict.fromkeys(data_line(run.result.data) for run in ordered if run.result.data)),
        left_out=tuple(clean_text(line) for line in left_out),
        runs=views,
        answers=tuple(sorted(views, key=lambda view: view.answer.verdict == "reference")),
        models=_models(named),
        auditors_table=_every_auditor(named),
        numbers={auditor: number for number, auditor in enumerate(auditors)},
        bars=bars,
        comparisons=side_by_side,
        panels=panels,
        pictures=_distinct([*(bar.picture for bar in bars), *(part for tile in tiles for part in tile.pictures)]),
        outlines={path: f"trigger-{number}" for number, path in enumerate(outlines, start=1)},
    )


def _auditors(shown: Sequence[Example]) -> list[str]:
    main = [example.run.result.main_auditor for example in shown]
    drawn = dict.fromkeys(auditor for example in shown for auditor in example.gallery.auditors)
    return sorted(drawn, key=lambda auditor: auditor not in main)


def _bar(number: int, auditor: str, scale: Scale) -> Bar:
    low, high = ("speaks against the class", "speaks for it") if scale == "signed" else ("low", "high")
    return Bar(number, clean_text(auditor), colour_bar(scale), low, high)


def _tiles_of(side_by_side: Iterable[Comparison]) -> Iterator[Tile]:
    for found in side_by_side:
        yield from (tile for row in found.rows for tile in row.tiles if tile)


def _distinct(pictures: Iterable[Picture]) -> tuple[Picture, ...]:
    return tuple({picture.key: picture for picture in pictures}.values())


def _models(named: Sequence[_Named]) -> ModelTable:
    columns = (*MODEL_COLUMNS, *MAP_COLUMNS, *STAMP_COLUMNS)
    rows = tuple(model_row(one.run, one.title, one.anchor, columns, one.run.result.main_auditor) for one in named)
    judges = dict.fromkeys(clean_text(one.run.result.main_auditor or "") for one in named)
    caption = "Value, then its 95 % interval and the number of images."
    if any(judges):
        names = ", ".join(filter(None, judges))
        caption += f" Maps by {names}: the explainer trained against, else the first auditor."
    return ModelTable(caption, columns, rows)


def _every_auditor(named: Sequence[_Named]) -> ModelTable | None:
    if all(len(one.run.result.auditors) < 2 for one in named):
        return None
    rows = tuple(
        model_row(one.run, one.title, one.anchor, MAP_COLUMNS, auditor)
        for one in named
        for auditor in one.run.result.auditors
    )
    return ModelTable("Value, then its 95 % interval and the number of images.", MAP_COLUMNS, rows)


def _run_view(named: _Named, seen: tuple[tuple[str, Tile], ...]) -> RunView:
    run, result = named.run, named.run.result
    return RunView(
        title=named.title,
        anchor=named.anchor,
        setting=setting(result),
        answer=answer(run),
        glimpse=seen,
        command=clean_text(result.command),
        facts=run_facts(run),
        charts=charts(run, named.anchor),
        measurements=tuple(measurement_row(measurement) for measurement in result.measurements),
        classes=class_table(result),
        spec=run.spec,
        environment=environment_facts(run.environment),
    )
