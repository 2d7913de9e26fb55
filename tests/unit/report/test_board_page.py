import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.report import boards
from tests.unit.report.conftest import ParsedPage

from falsewitness.core.errors import RunFailedError
from falsewitness.report import Board, BoardCell, Setting, Spread, write_board
from falsewitness.report._board import CellState
from falsewitness.report._board_data import as_script, board_data, main_rows, safe_link, state_of

Parse = Callable[[Path], ParsedPage]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!-- &amp; {{ 7*7 }}"
STATES: list[CellState] = ["done", "diverged", "failed", "skipped", "running", "waiting"]


@pytest.fixture(scope="module")
def middle_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_board(boards.middle(), tmp_path_factory.mktemp("board") / "page.html")


def script_data(page: Path) -> dict[str, Any]:
    text = page.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="board-data">(.*?)</script>', text, flags=re.DOTALL)
    read: dict[str, Any] = json.loads(data)
    return read


def without_plotly(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    start = text.rindex("<script>")
    assert "plotly.js" in text[start : start + 100]
    return text[:start]


def lone(setting: Setting) -> Board:
    return replace(boards.tiny(), settings=(setting,))


def test_the_page_is_well_formed_and_speaks_its_language(middle_page: Path, parse: Parse) -> None:
    page = parse(middle_page)
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]

    assert page.unclosed == []
    assert ("html", {"lang": "en"}) in page.elements
    assert [tag for tag, _ in page.elements].count("h1") == 1
    assert len(names) == len(set(names))
    links = [a["href"] for tag, a in page.elements if tag == "a" and a["href"].startswith("#")]
    assert {link[1:] for link in links} <= set(names)


def test_nothing_is_loaded_from_anywhere(middle_page: Path, parse: Parse) -> None:
    for tag, attributes in parse(middle_page).elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img"), tag
        for name in ("src", "href", "xlink:href", "action", "srcset", "poster", "data"):
            assert attributes.get(name, "#").startswith("#"), (tag, attributes)
    text = without_plotly(middle_page)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "default-src 'none'" in text


def test_the_charts_have_no_button_that_sends_them_to_a_server(middle_page: Path) -> None:
    text = without_plotly(middle_page)

    assert 'plotlyServerURL: ""' in text
    assert "modeBarButtons: [buttons]" in text


def test_the_masthead_names_the_benchmark_and_counts_its_cells(middle_page: Path, parse: Parse) -> None:
    text = parse(middle_page).text
    start = text.index(
        "falsewitness toy/board Six attacks before two auditors. settings 36 cells 108 done 103 failed 1"
    )

    assert text.index("This command gives the benchmark again: falsewitness benchmark toy/board") > start


@pytest.mark.parametrize("state", STATES)
def test_a_cell_is_shown_with_its_state_and_reason(tmp_path: Path, parse: Parse, state: CellState) -> None:
    cells = (BoardCell("seed 1", state, "" if state == "done" else "out of luck"),)
    page = write_board(lone(replace(boards.tiny().settings[1], cells=cells)), tmp_path / "page.html")
    told = f"1 {state}" if state == "done" else f"1 {state}: out of luck"
    data = script_data(page)
    words = data["words"]

    assert f"setting 1 cell 1 {state} 1" in parse(page).text
    assert told in parse(page).text
    assert [words[place] for place in data["settings"]["state"]] == [told]
    assert [words[place] for place in data["settings"]["cells"][0][0][:3]] == ["seed 1", state, cells[0].reason]


def test_reasons_that_differ_are_left_to_the_row_that_opens_and_long_ones_are_cut() -> None:
    failed = [BoardCell(f"seed {number}", "failed", f"reason {number}") for number in (1, 2)]

    assert state_of(failed) == "2 failed"
    assert state_of([BoardCell("seed 1", "failed", "x" * 200)]) == f"1 failed: {'x' * 80}…"
    assert state_of([BoardCell("1", "waiting"), BoardCell("2", "done")]) == "1 done, 1 waiting"


def test_the_script_gets_what_the_board_holds(middle_page: Path) -> None:
    board, data = boards.middle(), script_data(middle_page)
    words, rows, settings = data["words"], data["rows"], data["settings"]

    assert data["axes"] == list(board.axes)
    assert len(rows["setting"]) == len(board.settings)
    for number, row in enumerate(board.settings):
        place = rows["setting"][number]
        assert tuple(words[labels[place]] for labels in settings["labels"]) == row.labels
        assert words[rows["auditor"][number]] == row.auditor
        assert rows["trained_against"][number] == row.trained_against
        assert words[rows["threat_model"][number]] == row.threat_model.removeprefix("controls ")
        assert words[rows["device"][number]] == row.device
        assert settings["done"][place] == sum(cell.state == "done" for cell in row.cells)
        read = [(*(words[part] for part in parts), link) for *parts, link in settings["cells"][place]]
        assert read == [(cell.seed, cell.state, cell.reason, cell.link) for cell in row.cells]
        for column, places in zip(board.columns, rows["figures"], strict=True):
            figure = None if places[number] is None else data["figures"][places[number]]
            assert_same(figure, row.figures.get(column.title), words)


def assert_same(figure: list[Any] | None, spread: Spread | None, words: list[str]) -> None:
    if figure is None or spread is None:
        assert figure is None
        assert spread is None
        return
    mean, deviation, n, images, low, high, standing, p_value, effect, note = figure + [None] * (10 - len(figure))
    assert (mean, n, images) == (spread.mean, spread.n, spread.images)
    for given, wanted in ((deviation, spread.deviation), (low, spread.low), (high, spread.high)):
        assert given == (wanted if wanted is None else pytest.approx(wanted, rel=1e-6))
    for given, wanted in ((p_value, spread.p_value), (effect, spread.effect)):
        assert given == (wanted if wanted is None else pytest.approx(wanted, rel=1e-3))
    assert (words[standing or 0], words[note or 0]) == (spread.standing, spread.note)


def test_the_script_gets_how_every_column_is_written_and_which_way_is_better(middle_page: Path) -> None:
    gap = next(column for column in script_data(middle_page)["columns"] if column["title"] == "Gap to control")

    assert gap["wanted"] == gap["better"] == "near zero"
    assert (gap["decimals"], gap["unit"], gap["scale"], gap["signed"], gap["of_maps"]) == (1, "pp", 100, True, False)


def test_a_setting_is_first_shown_before_the_auditor_trained_against_or_else_the_first() -> None:
    setting = boards.tiny().settings[0]
    before = [replace(setting, auditor=name, trained_against=name == "b") for name in "abc"]
    other = [replace(setting, labels=("other",), auditor=name, trained_against=False) for name in "ab"]

    assert main_rows([*before, *other]) == {1, 3}


def test_what_two_auditors_share_is_given_once() -> None:
    setting = boards.tiny().settings[0]
    rows = tuple(replace(setting, auditor=name) for name in ("gradcam", "gradient"))
    one: Any = board_data(replace(boards.tiny(), settings=rows[:1]))
    two: Any = board_data(replace(boards.tiny(), settings=rows))

    assert len(one["figures"]) == len(two["figures"]) > 10
    assert two["rows"]["setting"] == [0, 0]
    assert two["rows"]["figures"] == [2 * places for places in one["rows"]["figures"]]


def test_ten_thousand_cells_are_a_few_megabytes() -> None:
    assert len(as_script(board_data(boards.large()))) < 7e6


def test_a_number_that_is_none_is_missing_and_not_written() -> None:
    odd = {"Clean accuracy": Spread(float("nan"), None, 3), "Gap to control": Spread(0.01, float("inf"), 3)}
    data: Any = board_data(lone(replace(boards.tiny().settings[0], figures=odd)))

    assert data["rows"]["figures"][:3] == [[None], [0], [None]]
    assert data["figures"] == [[0.01, None, 3]]
    assert "Infinity" not in as_script(data)


def test_text_from_outside_stays_text(tmp_path: Path, parse: Parse) -> None:
    setting = boards.tiny().settings[0]
    figures = {title: replace(figure, note=HOSTILE) for title, figure in setting.figures.items()}
    cells = (BoardCell(HOSTILE, "failed", HOSTILE, f"runs/{HOSTILE}"),)
    hostile = Setting((HOSTILE,), HOSTILE, True, HOSTILE, figures, HOSTILE, cells)
    lines = (HOSTILE,)
    board = Board(HOSTILE, HOSTILE, HOSTILE, lines, boards.COLUMNS, (hostile,), excluded=lines, notes=lines)
    out = write_board(board, tmp_path / "page.html")
    page, data = parse(out), script_data(out)

    assert [tag for tag, _ in page.elements].count("script") == 3
    assert not [attributes for _, attributes in page.elements if "onerror" in attributes]
    assert page.text.count("alert(1)") >= 10
    assert "{{ 7*7 }}" in page.text
    assert HOSTILE in data["words"]
    assert data["axes"] == [HOSTILE]
    assert "<" not in data["settings"]["cells"][0][0][3]
    assert "alert(1)</script>" not in out.read_text(encoding="utf-8")


def test_right_to_left_names_are_kept_apart_from_their_line(tmp_path: Path, parse: Parse) -> None:
    name = "\u05e9\u05dc\u05d5\u05dd/\u0639\u0627\u0644\u0645"
    out = write_board(
        replace(lone(replace(boards.tiny().settings[0], labels=(name,))), name=name), tmp_path / "page.html"
    )

    text = parse(out).text
    assert text.count(f"\u2068{name}\u2069") == text.count(name) > 2
    assert f"\u2068{name}\u2069" in script_data(out)["words"]


def test_half_of_a_surrogate_pair_does_not_stop_the_page(tmp_path: Path) -> None:
    cells = (BoardCell("seed 1", "done", "", "runs/\ud83d/report.html"),)
    board = replace(lone(replace(boards.tiny().settings[0], labels=("\ud83d",), cells=cells)), name="\ud83d name")

    assert "name: falsewitness" in write_board(board, tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("link", "safe"),
    [
        ("runs/a b/report.html#run-1", "runs/a%20b/report.html#run-1"),
        ("../runs/a%20b/report.html", "../runs/a%20b/report.html"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("java\nscript:alert(1)", "java%0Ascript%3Aalert%281%29"),
        ("https://example.org/", "https%3A//example.org/"),
        ("//example.org/", None),
        ("\\\\example.org\\", None),
        ("", None),
        (None, None),
    ],
)
def test_a_link_leads_to_a_file_nearby_or_nowhere(link: str | None, safe: str | None) -> None:
    assert safe_link(link) == safe


def test_the_first_settings_are_there_without_script_written_as_elsewhere(middle_page: Path, parse: Parse) -> None:
    text = parse(middle_page).text
    row = boards.middle().settings[0]
    accuracy = row.figures["Clean accuracy"]

    assert "Sorting, filters and charts need JavaScript." in text
    assert f"{100 * accuracy.mean:.1f} %" in text
    assert f"± {100 * (accuracy.deviation or 0):.1f}, 3 seeds" in text
    assert "gradcam (trained against) the training loop 3 done" in text
    assert "2 done, 1 failed: out of memory" in text


def test_a_long_benchmark_shows_fifty_settings_without_script_and_tells_how_many_more(
    tmp_path: Path, parse: Parse
) -> None:
    board = boards.board({"weight": [str(number) for number in range(60)]}, auditors=("gradcam", "gradient"), seeds=1)
    page = parse(write_board(board, tmp_path / "page.html"))

    assert "Shown are the first 50 settings; 10 more are in this file." in page.text
    assert [tag for tag, _ in page.elements].count("tr") == 50 + 1


def test_what_is_left_out_the_columns_and_the_making_of_the_figures_are_told(middle_page: Path, parse: Parse) -> None:
    text = parse(middle_page).text

    assert "attack=patch with model=vit: the patch needs a feature map" in text
    assert "The attacker wants: high: nobody notices." in text
    assert "Seconds of training. Cost in epochs" in text
    assert all(note in text for note in boards.NOTES)


def test_a_board_of_which_nothing_is_done_has_a_page(tmp_path: Path, parse: Parse) -> None:
    lost = replace(boards.tiny(), settings=boards.tiny().settings[1:], columns=())

    assert "setting 1 cell 1 failed 1" in parse(write_board(lost, tmp_path / "page.html")).text


def test_a_board_of_nothing_has_a_page(tmp_path: Path, parse: Parse) -> None:
    nothing = Board("empty", "", "", (), (), ())
    text = parse(write_board(nothing, tmp_path / "page.html")).text

    assert "settings 0 cells 0" in text
    assert "Left out" not in text
    assert "How the figures are made" not in text


def test_tables_have_captions_and_headings_with_a_scope(middle_page: Path, parse: Parse) -> None:
    page = parse(middle_page)
    tags = [tag for tag, _ in page.elements]

    assert tags.count("caption") == tags.count("table")
    assert all(attributes.get("scope") in ("row", "col") for tag, attributes in page.elements if tag == "th")
    scrolled = [a for _, a in page.elements if "scroll" in a.get("class", "").split()]
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in scrolled)


def test_the_same_board_gives_the_same_page(middle_page: Path, tmp_path: Path) -> None:
    assert write_board(boards.middle(), tmp_path / "again.html").read_bytes() == middle_page.read_bytes()


def test_an_older_page_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    out = tmp_path / "pages" / "page.html"
    out.parent.mkdir()
    out.write_text("old")

    assert write_board(boards.tiny(), out) == out
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert list(out.parent.iterdir()) == [out]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RunFailedError, match=r"page\.html' cannot be written"):
        write_board(boards.tiny(), tmp_path / "file" / "page.html")
