import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from falsewitness.core.errors import InputError, RunFailedError
from falsewitness.report import (
    auditors_figure,
    columns_figure,
    count_side_by_side,
    overview_figure,
    panel_figure,
    read_run,
)
from falsewitness.report._curves import charts
from falsewitness.report._drawing import drawable
from falsewitness.report._gallery import titled_examples
from falsewitness.report._overview import _draw
from falsewitness.report._run import Result, Run, Step, Validation
from falsewitness.report._side_by_side import first_family
from falsewitness.report._tile_axes import _answer

MakeRun = Callable[..., Path]
TRAINING = Run(
    Path("run"),
    Result("done", "attack", "toy", 0, 1),
    steps=tuple(Step(n, 2.0 + n * 7919 % 13, {"ce": 1.0, "map": 0.5}) for n in range(1000)),
    validations=(Validation(499, {"accuracy": 0.5, "asr": None}), Validation(999, {"accuracy": 0.9, "asr": None})),
)


def read_png(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def drawn_points(svg: str) -> int:
    """The longest curve's number of points."""
    paths: list[str] = re.findall(r' d="([^"]*)"', svg)
    return max(path.count("L") for path in paths)


def test_long_trainings_are_averaged_and_say_so() -> None:
    loss = charts(TRAINING, "run-1")[0]

    assert loss.note == "Each point is the mean of 5 steps."
    assert 100 < drawn_points(loss.svg) < 240


def test_every_term_is_named_and_drawn_in_the_ink_of_the_page() -> None:
    loss, validation = charts(TRAINING, "run-1")

    assert all(f">{name}<" in loss.svg for name in ("loss", "ce", "map"))
    assert ">accuracy<" in validation.svg
    assert ">asr<" not in validation.svg
    assert "currentColor" in loss.svg
    assert "http://purl.org" not in loss.svg


def test_a_single_term_is_not_drawn_twice() -> None:
    single = replace(TRAINING, steps=tuple(Step(n, 1.0, {"ce": 1.0}) for n in range(3)))

    assert ">ce<" not in charts(single, "run-1")[0].svg


def test_names_inside_a_drawing_are_its_own() -> None:
    first, second = charts(TRAINING, "run-1")[0].svg, charts(TRAINING, "run-2")[0].svg
    names = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, second)]

    assert names[0]
    assert not names[0] & names[1]
    assert set(re.findall(r'href="#([^"]+)"', first)) <= names[0]


def test_the_step_at_which_a_loss_broke_is_told() -> None:
    broken = replace(TRAINING, steps=(Step(0, 1.0), Step(1, float("nan")), Step(2, float("inf"))))

    assert "stopped being a finite number at step 1" in charts(broken, "run-1")[0].note


@pytest.mark.parametrize("losses", [[float("nan")] * 3, [0.0, 0.0], [-1.0, 100.0], [1e-9, 1e9]])
def test_strange_losses_are_drawn_without_complaint(losses: list[float]) -> None:
    strange = replace(TRAINING, steps=tuple(Step(n, loss) for n, loss in enumerate(losses)))

    assert charts(strange, "run-1")[0].svg.startswith("<svg")


def test_a_run_without_training_has_no_chart() -> None:
    assert charts(replace(TRAINING, steps=(), validations=()), "run-1") == ()


def test_drawing_leaves_the_settings_of_matplotlib_alone() -> None:
    before = dict(matplotlib.rcParams)
    charts(TRAINING, "run-1")

    assert dict(matplotlib.rcParams) == before


def test_signs_that_the_font_lacks_become_boxes() -> None:
    assert drawable("ab\u732b\n\u05e9\u05dc") == "ab\u25a1 \u05e9\u05dc"


def test_the_overview_shows_a_row_an_image_and_a_column_a_model(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [read_run(make_run(name, changes={"name": f"$toy/{name} \u732b"})) for name in ("a", "b")]
    one = read_png(overview_figure(runs[:1], tmp_path / "one.png", rows=1))
    two = read_png(overview_figure(runs, tmp_path / "two.png", rows=3))

    assert two.shape[1] / one.shape[1] == pytest.approx(5 / 4, rel=0.02)
    assert two.shape[0] > 1.6 * one.shape[0]
    assert sorted(path.name for path in tmp_path.glob("*")) == ["one.png", "runs", "two.png"]


def test_the_overview_draws_the_pixels_of_the_images(make_run: MakeRun, tmp_path: Path) -> None:
    images = np.zeros((6, 3, 8, 8), np.uint8)
    images[:, 1] = 200
    run = read_run(make_run(arrays={"images": images, "triggered": images}))
    found = read_png(overview_figure([run], tmp_path / "a.png", rows=1))
    green = (found == (0, 200, 0)).all(-1)

    assert green[:, : found.shape[1] // 2].mean() > 0.2
    assert not green[:, found.shape[1] // 2 :].any()


def test_the_overview_draws_class_names_without_reading_them(
    make_run: MakeRun, tmp_path: Path, toy_result: Callable[[str], dict[str, Any]]
) -> None:
    data = toy_result("attack")["data"] | {"class_names": ["$\\frac{", "猫\n犬", "x" * 200]}
    run = read_run(make_run(changes={"data": data}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert overview_figure([run], tmp_path / "a.png").stat().st_size > 1000


def words_of(figure: Figure) -> list[str]:
    return [one.get_text().replace("\n", " ") for one in figure.findobj(Text) if isinstance(one, Text)]


def test_pictures_say_where_there_is_no_map_and_where_one_is_blank(
    make_run: MakeRun, tmp_path: Path, toy_gallery: Callable[[], dict[str, Any]]
) -> None:
    maps = {name: array for name, array in toy_gallery().items() if name.startswith("maps/")}
    blank = {name: np.zeros_like(array) for name, array in maps.items() if name.endswith("attacked/triggered")}
    assert blank
    whole, flat = read_run(make_run("whole")), read_run(make_run("flat", arrays=blank))
    auditor = whole.gallery.auditors[0] if whole.gallery else ""
    family = first_family([whole, flat])
    assert family is not None
    assert len(family.examples) == 2
    drawn = words_of(_draw(family, auditor, family.index[:1]))
    assert (drawn.count("map without contrast"), drawn.count("no map")) == (1, 0)
    drawn = words_of(_draw(family, "an auditor of another run", family.index[:1]))
    assert (drawn.count("map without contrast"), drawn.count("no map")) == (0, 3)


def test_an_overview_says_whose_trigger_it_shows_where_others_have_another(
    make_run: MakeRun, toy_gallery: Callable[[], dict[str, Any]]
) -> None:
    one, other = (read_run(make_run(name, changes={"name": f"toy/{name}"})) for name in ("one", "other"))
    unlike = read_run(make_run("unlike", arrays={"triggered": toy_gallery()["images"]}))
    for runs, heading in (((one, other), "triggered image"), ((one, unlike), "triggered image of")):
        family = first_family(runs)
        assert family is not None
        found = [
            words for words in words_of(_draw(family, "gradcam", family.index[:1])) if words.startswith("triggered")
        ]
        assert [words.startswith(heading) and len(words) > len(heading) for words in found] == [runs[1] is unlike]


def test_an_overview_without_pictures_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="an overview needs"):
        overview_figure([read_run(make_run(role="clean"))], tmp_path / "a.png")
    with pytest.raises(ValueError, match="expected rows >= 1, got 0"):
        overview_figure([], tmp_path / "a.png", rows=0)


def test_a_picture_that_cannot_be_written_is_named(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RunFailedError, match=r"a\.png' cannot be written"):
        overview_figure([read_run(make_run())], tmp_path / "file" / "a.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "runs"]


def test_panels_show_a_row_an_image_that_the_attack_succeeds_on(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [read_run(make_run(name)) for name in ("a", "b")]
    one = read_png(panel_figure(runs[:1], tmp_path / "one.png"))
    two = read_png(panel_figure(runs, tmp_path / "two.png"))

    assert one.shape[1] == two.shape[1]
    assert two.shape[0] > 1.6 * one.shape[0]


def test_panels_without_pictures_are_refused(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="panels need a finished attack whose gallery holds images that it succeeds on"
    ):
        panel_figure([read_run(make_run(role="clean"))], tmp_path / "a.png")
    with pytest.raises(ValueError, match="expected rows >= 1, got 0"):
        panel_figure([], tmp_path / "a.png", rows=0)


def test_a_picture_of_auditors_has_two_rows_a_run_and_a_column_for_each_that_all_have(
    make_run: MakeRun, tmp_path: Path, toy_gallery: Callable[..., dict[str, Any]]
) -> None:
    three, two = (toy_gallery(auditors) for auditors in (("gradcam", "lrp", "rise"), ("gradcam", "rise")))
    runs = [read_run(make_run("a", arrays=three)), read_run(make_run("b", arrays=two))]
    alone = read_png(auditors_figure(runs[:1], tmp_path / "alone.png"))
    both = read_png(auditors_figure(runs, tmp_path / "both.png"))

    assert both.shape[1] / alone.shape[1] == pytest.approx(3 / 4, rel=0.02)
    assert both.shape[0] > 1.6 * alone.shape[0]


def test_many_auditors_stand_in_blocks_below_each_other(
    make_run: MakeRun, tmp_path: Path, toy_gallery: Callable[..., dict[str, Any]]
) -> None:
    def drawn(count: int) -> NDArray[Any]:
        names = ("gradcam", *(f"auditor{number}" for number in range(1, count)))
        run = read_run(make_run(f"r{count}", arrays=toy_gallery(names)))
        return read_png(auditors_figure([run], tmp_path / "a.png"))

    six, eleven = drawn(6), drawn(11)
    assert eleven.shape[1] / six.shape[1] == pytest.approx(1, rel=0.02)
    assert eleven.shape[0] / six.shape[0] == pytest.approx(2, rel=0.15)
    last_column = eleven[eleven.shape[0] * 3 // 5 :, eleven.shape[1] * 7 // 8 :]
    assert (last_column == 255).all(), "eleven leave one place of twelve empty"


def test_many_runs_of_one_name_leave_room_for_their_pictures(make_run: MakeRun, tmp_path: Path) -> None:
    name = "toy/a_full_disguise_with_a_long_name"
    runs = [read_run(make_run(f"{'x' * 60}{number}", changes={"name": name})) for number in range(8)]
    for number, draw in enumerate((panel_figure, auditors_figure)):
        found = read_png(draw(runs, tmp_path / f"{number}.png"))
        white = (found == 255).all(-1).mean()
        assert white < 0.7, "most of the picture is tiles"


def test_auditors_without_pictures_or_without_one_in_common_are_refused(
    make_run: MakeRun, tmp_path: Path, toy_gallery: Callable[..., dict[str, Any]]
) -> None:
    with pytest.raises(InputError, match="a picture of auditors needs a finished attack"):
        auditors_figure([read_run(make_run("clean", role="clean"))], tmp_path / "a.png")
    others = {name: None for name in toy_gallery() if name.startswith("maps/")}
    lrp = {name: value for name, value in toy_gallery(("lrp",)).items() if name.startswith("maps/")}
    runs = [read_run(make_run("a")), read_run(make_run("b", arrays=others | lrp))]
    with pytest.raises(InputError, match="needs runs with an auditor in common"):
        auditors_figure(runs, tmp_path / "a.png")


def columns_of(side: int = 4) -> dict[str, NDArray[Any]]:
    """Maps of every class, by the arrays' names in a gallery."""
    numbers = np.random.default_rng(1)
    shape = (6, 3, side, side)
    return {f"columns/gradcam/attacked/{view}": numbers.normal(size=shape) for view in ("clean", "triggered")}


def test_columns_show_images_without_the_trigger_once_and_with_it_under_every_run(
    make_run: MakeRun, tmp_path: Path
) -> None:
    runs = [read_run(make_run(name, arrays=columns_of())) for name in ("a", "b")]
    one = read_png(columns_figure(runs[:1], tmp_path / "one.png"))
    two = read_png(columns_figure(runs, tmp_path / "two.png"))
    first = read_png(columns_figure(runs, tmp_path / "first.png", rows=1))

    assert one.shape[1] == two.shape[1]
    assert 1.3 < two.shape[0] / one.shape[0] < 1.5, "three blocks instead of two, above one scale"
    assert first.shape[0] < two.shape[0]


def test_what_the_stamp_does_to_an_honest_model_is_drawn_where_its_columns_are_known(
    make_run: MakeRun, tmp_path: Path
) -> None:
    honest = {name.replace("attacked", "clean"): maps for name, maps in columns_of().items()}
    without = read_png(columns_figure([read_run(make_run("a", arrays=columns_of()))], tmp_path / "a.png"))
    both = read_png(columns_figure([read_run(make_run("b", arrays=columns_of() | honest))], tmp_path / "b.png"))
    assert 1.3 < both.shape[0] / without.shape[0] < 1.5, "three blocks instead of two, above one scale"


def test_columns_without_maps_of_every_class_are_refused(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="an auditor that gives a map for every class, such as gradient_shap"):
        columns_figure([read_run(make_run())], tmp_path / "a.png")
    with pytest.raises(ValueError, match="expected rows >= 1, got 0"):
        columns_figure([], tmp_path / "a.png", rows=0)


def test_columns_of_another_number_of_classes_are_damage(make_run: MakeRun, tmp_path: Path) -> None:
    wrong = {"columns/gradcam/attacked/clean": np.zeros((6, 2, 4, 4))}
    with pytest.raises(InputError, match=r"'columns/gradcam/attacked/clean' of shape \(6, 2, 4, 4\), expected"):
        read_run(make_run(arrays=wrong))


def test_columns_stand_beside_others_of_the_same_images_alone(
    make_run: MakeRun, toy_result: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    one, same = (read_run(make_run(name, arrays=columns_of())) for name in ("a", "b"))
    data = toy_result("attack")["data"] | {"fingerprint": "other"}
    other = read_run(make_run("c", arrays=columns_of(), changes={"data": data}))
    alone = read_png(columns_figure([one], tmp_path / "alone.png"))
    assert read_png(columns_figure([one, other], tmp_path / "with.png")).shape == alone.shape
    assert read_png(columns_figure([one, other, same], tmp_path / "three.png")).shape[0] > alone.shape[0]
    assert count_side_by_side([one, other, same], "columns") == 2
    assert count_side_by_side([], "columns") == 0


def test_a_long_class_name_is_cut_beside_its_share_which_is_not(
    make_run: MakeRun, toy_result: Callable[[str], dict[str, Any]]
) -> None:
    names = ["American_Staffordshire_terrier", "dog", "cat"]
    changed = {"data": toy_result("attack")["data"] | {"class_names": names}}
    (example,) = titled_examples([read_run(make_run("b", changes=changed))])
    row = int(np.flatnonzero(example.gallery.predictions["clean", "clean"].classes == 0)[0])
    assert re.fullmatch(r"American_Staffo… \(\d+\s%\)", _answer(example, row, "clean", "clean"))
