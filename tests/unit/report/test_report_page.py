from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from falsewitness.report import write_report

if TYPE_CHECKING:
    from tests.unit.report.conftest import ParsedPage

MakeRun = Callable[..., Path]
Parse = Callable[[Path], "ParsedPage"]
Toy = Callable[..., dict[str, Any]]
HOSTILE = "</title></style></script><img src=x onerror=alert(1)>\n\"'&{{ 7*7 }}"


@pytest.fixture
def page(make_run: MakeRun, tmp_path: Path, parse: Parse) -> ParsedPage:
    make_run("clean", role="clean")
    return parse(write_report([make_run()], tmp_path / "page.html"))


def test_the_page_is_well_formed_and_speaks_its_language(page: ParsedPage) -> None:
    assert page.unclosed == []
    assert ("html", {"lang": "en"}) in page.elements
    assert [tag for tag, _ in page.elements].count("h1") == 1


def test_nothing_is_loaded_from_anywhere(make_run: MakeRun, tmp_path: Path, parse: Parse) -> None:
    out = write_report([make_run()], tmp_path / "page.html")

    for tag, attributes in parse(out).elements:
        assert tag not in ("link", "iframe", "object", "embed", "base"), tag
        for name in ("src", "href", "xlink:href", "action", "srcset", "poster", "data"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,")), (tag, attributes)
    text = out.read_text(encoding="utf-8")
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert set(re.findall(r"https?://[^\"' ]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_every_reference_on_the_page_leads_somewhere_and_no_name_is_given_twice(page: ParsedPage) -> None:
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    wanted = {
        attributes[key][1:]
        for _, attributes in page.elements
        for key in ("href", "xlink:href")
        if attributes.get(key, "").startswith("#")
    }
    assert len(names) == len(set(names))
    assert wanted <= set(names)
    assert any(name.startswith("p") for name in wanted)


NUMBERS = [
    *("87.7 %", "80.1 to 91.2 %", "\u22121.2 pp", "93.2 %", "clean model 4.2 %", "1.26", "0.34", "0.91", "0.181"),
    *("without attack 0.083", "123.46", "0.9500", "0.9111", "n = 87", "88.9 %", "12.3 s", "7.50", "9.8.7"),
    *("abc123", "def456", "falsewitness run toy/attack --set seed=5", "25 %", "90 %", "seed: 5"),
    "700 training, 80 validation and 90 test images",
]


def test_the_numbers_of_the_files_are_on_the_page(page: ParsedPage) -> None:
    assert [number for number in NUMBERS if number not in page.text] == []


def test_every_decimal_on_the_page_is_from_the_files_or_a_rule(page: ParsedPage) -> None:
    shown = {"87.7", "80.1", "91.2", "1.2", "3.1", "0.7", "93.2", "4.2", "1.26", "0.34", "0.91", "0.181", "0.083"}
    shown |= {"123.46", "88.9", "12.3", "7.50", "2.0", "9.8"}
    in_full = {"0.8771", "0.8012", "0.9123", "0.0123", "0.0310", "0.0070", "0.9321", "0.0417", "1.2600", "0.3400"}
    in_full |= {"0.9100", "0.9500", "0.1810", "0.0830", "0.8888", "0.9111", "1.0000"}
    rules = {"0.5", "1.0", "0.8"}

    assert set(re.findall(r"\d+\.\d+", page.text)) == shown | in_full | rules


def test_the_unknown_measurement_is_in_the_full_table(page: ParsedPage) -> None:
    assert "a_metric_of_tomorrow novelty all 123.46" in page.text


def test_text_from_data_stays_text(make_run: MakeRun, tmp_path: Path, parse: Parse, toy_result: Toy) -> None:
    hostile = toy_result("attack")
    hostile["name"] = hostile["reason"] = hostile["command"] = HOSTILE
    hostile["data"] |= {"class_names": ["cat", HOSTILE, "<b>ship</b>"], "kind": HOSTILE}
    hostile["attack"] |= {"target_class": HOSTILE, "surrogate": HOSTILE, "kind": HOSTILE}
    hostile["measurements"] = [m | {"auditor": HOSTILE, "per_class": {HOSTILE: 1.0}} for m in hostile["measurements"]]
    maps = np.random.default_rng(0).random((6, 4, 4), dtype=np.float32)
    keys = {
        f"maps/{HOSTILE}/{model}/{view}": maps for model in ("clean", "attacked") for view in ("clean", "triggered")
    }
    lines = '{"epoch": 0, "step": 0, "loss": 1, "terms": {"<i>a": 1, "$b_": 2}}'
    folder = make_run(changes=hostile, arrays=keys, files={"spec.yaml": HOSTILE, "steps.jsonl": lines})
    out = write_report([folder], tmp_path / "page.html")
    found = parse(out)

    assert not [tag for tag, _ in found.elements if tag in ("b:ship", "i")]
    assert not [attributes for _, attributes in found.elements if "onerror" in attributes or attributes.get("src")]
    assert [tag for tag, _ in found.elements].count("script") == 1
    assert "<b>ship</b>" in found.text
    assert "{{ 7*7 }}" in found.text
    assert "alert(1)" in found.text
    assert "<i>a" in found.drawn


def test_right_to_left_names_are_kept_apart_from_their_line(make_run: MakeRun, tmp_path: Path, parse: Parse) -> None:
    name = "\u05e9\u05dc\u05d5\u05dd/\u0639\u0627\u0644\u0645"
    found = parse(write_report([make_run(changes={"name": name})], tmp_path / "page.html"))

    assert f"\u2068{name}\u2069" in found.text


def test_half_of_a_surrogate_pair_does_not_stop_the_page(make_run: MakeRun, tmp_path: Path) -> None:
    out = write_report([make_run(files={"env.json": '{"host": "\\ud83d"}'})], tmp_path / "page.html")

    assert "host" in out.read_text(encoding="utf-8")


def test_parents_beside_a_run_are_shown_once_and_first(make_run: MakeRun, tmp_path: Path, parse: Parse) -> None:
    clean = make_run("clean", role="clean")
    found = parse(write_report([make_run(), clean, clean], tmp_path / "page.html"))

    assert "One attacked model beside one clean model." in found.text
    assert [a["id"] for _, a in found.elements if a.get("class") == "run"] == ["run-1", "run-2"]
    table = found.text[found.text.index("Models side by side", 400) :]
    assert table.index("toy/clean") < table.index("toy/attack")


def test_a_run_alone_has_a_page(make_run: MakeRun, tmp_path: Path, parse: Parse) -> None:
    assert "One attacked model." in parse(write_report([make_run()], tmp_path / "a.html")).text
    alone = parse(write_report([make_run("c", role="clean")], tmp_path / "c.html"))
    assert "One clean model." in alone.text
    assert "Pictures" not in alone.text


@pytest.mark.parametrize("status", ["diverged", "failed", "skipped"])
def test_a_run_that_is_not_done_is_shown_with_its_reason(
    make_run: MakeRun, tmp_path: Path, parse: Parse, status: str
) -> None:
    nothing = dict.fromkeys(["steps.jsonl", "env.json", "spec.yaml", "gallery.npz"])
    changes = {"status": status, "reason": "ran out of luck", "measurements": [], "name": "toy/lost"}
    lost = make_run("lost", changes=changes, files=nothing)
    found = parse(write_report([make_run(), lost], tmp_path / "page.html"))

    assert f"{status.capitalize()} toy/lost" in found.text
    assert f"{status}: ran out of luck" in found.text


def test_every_picture_is_described_in_words(page: ParsedPage) -> None:
    tiles = [attributes for tag, attributes in page.elements if tag == "svg" and attributes.get("role") == "img"]

    assert len(tiles) > 20
    assert all(tile["aria-label"] for tile in tiles)
    described = [tile["aria-label"] for tile in tiles]
    assert "clean test image 11, of class cat" in described
    assert "gradcam map of toy/attack over triggered test image 11; predicted dog" in described
    assert "gradcam map of the clean model over clean test image 22; predicted <b>ship</b>" in described


def test_panels_hold_successes_and_failures_with_their_predictions(page: ParsedPage) -> None:
    assert "Where the attack succeeds" in page.text
    assert "Where the attack fails" in page.text
    for index in (33, 44, 55, 66):
        assert f"Test image {index}, true class" in page.text
    assert "(b) triggered dog (target) 66 %" in page.text


def test_the_rule_by_which_images_were_chosen_is_told_where_the_run_tells_it(
    make_run: MakeRun, tmp_path: Path, parse: Parse
) -> None:
    rule = {"rule/success": np.array("the first one of every class")}
    found = parse(write_report([make_run(arrays=rule)], tmp_path / "page.html"))

    assert "the first one of every class" in found.text


def test_a_map_without_contrast_says_so(make_run: MakeRun, tmp_path: Path, parse: Parse) -> None:
    flat = {"maps/gradcam/attacked/triggered": np.zeros((6, 4, 4), np.float32)}

    assert "map without contrast" in parse(write_report([make_run(arrays=flat)], tmp_path / "page.html")).text


def test_the_trigger_is_outlined_where_it_is(page: ParsedPage) -> None:
    paths = [attributes["d"] for tag, attributes in page.elements if attributes.get("id", "").startswith("trigger-")]

    assert paths == ["M5 5L7 5M5 7L7 7M5 5L5 7M7 5L7 7"]


def test_several_auditors_can_be_chosen_and_are_all_there_without_script(
    make_run: MakeRun, tmp_path: Path, parse: Parse, toy_gallery: Toy
) -> None:
    found = parse(write_report([make_run(arrays=toy_gallery(["gradcam", "gradient"]))], tmp_path / "page.html"))
    chooser = next(attributes for tag, attributes in found.elements if tag == "fieldset")

    assert "hidden" in chooser
    assert [a["value"] for tag, a in found.elements if tag == "input"] == ["0", "1"]
    assert {a["data-auditor"] for _, a in found.elements if "data-auditor" in a} == {"0", "1"}
    assert not [a for _, a in found.elements if "data-auditor" in a and ("hidden" in a or "off" in a.get("class", ""))]


def test_one_auditor_needs_no_chooser(page: ParsedPage) -> None:
    assert not [tag for tag, _ in page.elements if tag == "fieldset"]


def test_the_page_fits_a_phone(make_run: MakeRun, tmp_path: Path, parse: Parse) -> None:
    out = write_report([make_run()], tmp_path / "page.html")
    found = parse(out)
    style = out.read_text(encoding="utf-8").partition("</style>")[0]

    viewport = next(a for tag, a in found.elements if tag == "meta" and a.get("name") == "viewport")
    assert viewport["content"] == "width=device-width, initial-scale=1"
    assert float(re.findall(r"font: ([\d.]+)rem", style)[0]) >= 1
    assert ".scroll { overflow-x: auto;" in style
    scrolled = [a for _, a in found.elements if a.get("class") == "scroll"]
    tables = [tag for tag, _ in found.elements if tag == "table"]
    assert len(scrolled) == len(tables)
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in scrolled)


def test_tables_have_captions_and_headings_with_a_scope(page: ParsedPage) -> None:
    tags = [tag for tag, _ in page.elements]

    assert tags.count("caption") == tags.count("table")
    assert all(attributes.get("scope") in ("row", "col") for tag, attributes in page.elements if tag == "th")
