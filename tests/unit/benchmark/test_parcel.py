"""What is done on a machine that shares no disk comes home as if it had been done there."""

import json
import pickle
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from PIL import Image
from tests.unit.benchmark.conftest import QUICK, Heard, prepared

from falsewitness.benchmark import Driver, Prepared, Task, Terms, announced
from falsewitness.benchmark import _parcel as parcel_module
from falsewitness.benchmark._benchmark import Budget, Limits
from falsewitness.benchmark._job import Order, TaskResult, work_locally, work_remotely
from falsewitness.benchmark._parcel import Parcel, bring_home, packed_model, unpack
from falsewitness.benchmark._status import status_of
from falsewitness.core import RunFailedError
from falsewitness.core.files import move, replacing
from falsewitness.data import Dataset
from falsewitness.execution import Ended, Executor, Pool
from falsewitness.experiment import RunFolder, find_spec

_VARY = {"training_seconds", "images_per_second", "peak_memory_mb", "evaluation_seconds"}


@dataclass(frozen=True)
class Worked:
    """The same benchmark, worked off at home and afar.

    Attributes:
        here: Done in the folder itself.
        afar: Sent away by a driver, and landed.
        reports: What came from afar, by key.
        sticker: The file that the trigger is in.
    """

    here: Prepared
    afar: Prepared
    reports: dict[str, TaskResult]
    sticker: Path


@dataclass
class OtherMachine(Pool):
    """A worker to which everything is sent as bytes, and where arrays cannot be written to."""

    reports: dict[str, TaskResult] = field(default_factory=dict)
    _ended: list[Ended] = field(default_factory=list)

    @property
    def slots(self) -> int:
        return 1

    def submit(self, key: str, function: Callable[..., Any], *arguments: Any, limit: float | None = None) -> None:  # noqa: ANN401
        call, those = pickle.loads(pickle.dumps((function, arguments)))  # noqa: S301
        for part in (
            part for one in those if isinstance(one, Dataset) for part in (one.train, one.validation, one.test)
        ):
            np.asarray(part.images).flags.writeable = part.rows.flags.writeable = False
        self.reports[key] = pickle.loads(pickle.dumps(call(*those)))  # noqa: S301
        self._ended.append(Ended(key, "done", value=self.reports[key]))

    def ended(self, patience: float) -> list[Ended]:
        return [self._ended.pop()]

    def running(self) -> tuple[str, ...]:
        return tuple(end.key for end in self._ended)


class Elsewhere(Executor):
    """An executor that has another machine."""

    kind: Literal["elsewhere"] = "elsewhere"
    shares_disk: ClassVar[bool] = False
    machines: ClassVar[list[OtherMachine]] = []

    @contextmanager
    def open(self) -> Iterator[Pool]:
        yield self.machines[-1]


def order(task: Task) -> Order:
    return Order(task.spec.plain(), task.role, "cpu")


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Worked:
    place = tmp_path_factory.mktemp("worked")
    # A name that YAML must quote, that is too long for a line of it, and that is as long as a name may be.
    sticker = place / f"it's #1: {'ein Übel ' * 22}.png"
    Image.fromarray(np.full((3, 3, 2), 255, np.uint8), "LA").save(sticker)
    trigger = {"kind": "image", "path": str(sticker), "size": 3}
    fields = {"common": {**QUICK, "attack": {"trigger": trigger}}, "axes": {"seed": [0]}}
    here, afar = (prepared(place / name, **fields) for name in ("right here", "far away"))
    for task in here.agenda.tasks.values():
        assert work_locally(order(task), here.out).state == "done"
    machine = OtherMachine()
    Elsewhere.machines.append(machine)
    with announced(afar.drivers) as announcement:
        terms = Terms(afar.out, "cpu", Limits(), Budget(), retry_failed=False)
        driver = Driver(afar.agenda, terms, Heard(), announcement)
        driver.drive(Elsewhere())
    assert {found.state for found in driver.statuses.values()} == {"done"}, driver.statuses
    return Worked(here, afar, machine.reports, sticker)


def attack_of(benchmark: Prepared) -> Task:
    (task,) = (task for task in benchmark.agenda.tasks.values() if task.role == "attack")
    return task


def pairs(worked: Worked) -> list[tuple[RunFolder, RunFolder]]:
    """Each run folder, as it was made at home and as it came home."""
    of_here, of_afar = worked.here.agenda.tasks, worked.afar.agenda.tasks
    assert list(of_here) == list(of_afar)
    return [(task.folder, of_afar[key].folder) for key, task in of_here.items()]


def result_of(folder: RunFolder, out: Path) -> dict[str, Any]:
    """A result without what varies from run to run, and without the name of the folder of run folders."""
    result: dict[str, Any] = json.loads(folder.result.read_text(encoding="utf-8").replace(str(out), "OUT"))
    return result | {"cost": {name: value for name, value in result["cost"].items() if name not in _VARY}}


def test_every_bit_is_the_same_as_at_home(worked: Worked) -> None:
    for here, afar in pairs(worked):
        names = {file.name for file in here.path.iterdir()}
        assert {file.name for file in afar.path.iterdir()} == names
        for name in ("model.safetensors", "plan.parquet", "steps.jsonl", "spec.yaml", "values.npz"):
            assert (afar.path / name).read_bytes() == (here.path / name).read_bytes(), name
        assert result_of(afar, worked.afar.out) == result_of(here, worked.here.out)
    attack, its = pairs(worked)[-1]
    assert attack.maps.read_bytes() == its.maps.read_bytes()
    assert attack.gallery.read_bytes() == its.gallery.read_bytes()


def test_markers_vouch_for_what_landed_and_it_is_done(worked: Worked) -> None:
    for task in worked.afar.agenda.tasks.values():
        assert task.folder.is_done("train", task.train_digest)
        assert task.folder.is_done("evaluate", task.eval_digest)
        assert status_of(task).state == "done"
    here, afar = pairs(worked)[-1]
    for stage in ("train", "evaluate"):
        assert here.marker(stage).files() == afar.marker(stage).files()


def test_texts_name_files_and_folders_of_home(worked: Worked) -> None:
    attack = attack_of(worked.afar)
    command = json.loads(attack.folder.result.read_text(encoding="utf-8"))["command"]
    words = ["falsewitness", "run", attack.folder.spec, "--out", attack.folder.path.parent, "--device", "cpu"]
    assert command == shlex.join(map(str, words))
    assert find_spec(str(attack.folder.spec)).files() == (worked.sticker,)
    parcel = worked.reports[attack.key].parcel
    assert parcel is not None
    assert parcel.out is not None
    place = str(Path(parcel.out).parent)
    assert place in parcel.files["result.json"].decode()
    for _, folder in pairs(worked):
        for file in folder.path.iterdir():
            assert place.encode() not in file.read_bytes(), file


def test_the_page_is_made_at_home_beside_the_models_that_it_compares_with(worked: Worked) -> None:
    for here, afar in pairs(worked):
        assert (here.path / "report.html").is_file() is (afar.path / "report.html").is_file()
    page = (pairs(worked)[-1][1].path / "report.html").read_text(encoding="utf-8")
    assert "Left out, because" not in page
    assert str(worked.afar.out) in page


def test_a_model_that_others_stand_on_is_what_its_marker_vouches_for(worked: Worked, tmp_path: Path) -> None:
    folder = pairs(worked)[0][0]
    parcel = packed_model(folder)
    vouched = json.loads((folder.path / ".train-done.json").read_text(encoding="utf-8"))["files"]
    assert set(parcel.files) == {".train-done.json", *vouched}
    assert "model.safetensors" in parcel.files
    unpack(parcel, tmp_path / "runs")
    there = RunFolder(tmp_path / "runs" / folder.path.name)
    there.marker("train").check()
    assert there.is_done("train", worked.here.agenda.tasks[folder.path.name].train_digest)
    assert not there.marker("evaluate").exists()


def attack_and_parcel(worked: Worked, out: Path) -> tuple[Task, Parcel]:
    """A task whose folder is still empty, and what came for it."""
    task = attack_of(worked.afar)
    parcel = worked.reports[task.key].parcel
    assert parcel is not None
    folder = RunFolder(out / task.key)
    folder.path.mkdir(parents=True)
    return replace(task, folder=folder), parcel


class DeadError(BaseException):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("moves", [0, 1, 8, 11])
def test_what_is_half_in_its_place_is_not_taken_for_done(
    worked: Worked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    task, parcel = attack_and_parcel(worked, tmp_path / "runs")
    bring_home(parcel, task.folder)
    left = [moves]

    def die_in_time(source: Path, target: Path) -> None:
        if left[0] == 0:
            raise DeadError
        left[0] -= 1
        move(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(parcel_module, "move", die_in_time)
        with pytest.raises(DeadError):
            bring_home(parcel, task.folder)
    assert status_of(task).state == "waiting"
    with task.folder.locked(lambda text: None):
        bring_home(parcel, task.folder)
    assert status_of(task).state == "done"
    assert not list(task.folder.path.glob("*.partial"))


@pytest.mark.parametrize("writes", [0, 5])
def test_an_earlier_result_stays_until_the_new_one_is_on_the_disk(
    worked: Worked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    task, parcel = attack_and_parcel(worked, tmp_path / "runs")
    bring_home(parcel, task.folder)
    before = {file: file.read_bytes() for file in task.folder.path.iterdir()}
    left = [writes]

    def until_the_disk_is_full(path: Path) -> Any:  # noqa: ANN401
        if left[0] == 0:
            raise RunFailedError("the disk is full")
        left[0] -= 1
        return replacing(path)

    monkeypatch.setattr(parcel_module, "replacing", until_the_disk_is_full)
    with pytest.raises(RunFailedError, match="the disk is full"):
        bring_home(parcel, task.folder)
    assert {file: file.read_bytes() for file in task.folder.path.iterdir()} == before
    assert status_of(task).state == "done"


def test_a_checkpoint_of_a_training_that_was_begun_here_goes(worked: Worked, tmp_path: Path) -> None:
    task, parcel = attack_and_parcel(worked, tmp_path / "runs")
    task.folder.checkpoint.write_bytes(b"begun")
    bring_home(parcel, task.folder)
    assert not task.folder.checkpoint.exists()


def test_what_was_damaged_on_its_way_is_found_out(worked: Worked, tmp_path: Path) -> None:
    task, parcel = attack_and_parcel(worked, tmp_path / "runs")
    content = bytearray(parcel.files["values.npz"])
    content[100] ^= 1
    bring_home(replace(parcel, files={**parcel.files, "values.npz": bytes(content)}), task.folder)
    with pytest.raises(Exception, match=r"values\.npz' was changed"):
        task.folder.marker("evaluate").check()


@pytest.mark.parametrize("spoilt", ["picture", "parent"])
def test_a_failure_afar_comes_home_with_a_reason_that_names_no_place_that_is_gone(worked: Worked, spoilt: str) -> None:
    task = attack_of(worked.afar)
    picture = b"no picture" if spoilt == "picture" else worked.sticker.read_bytes()
    clean, control = (packed_model(worked.afar.agenda.tasks[need].folder) for need in task.needs)
    if spoilt == "parent":
        clean = replace(clean, files={**clean.files, "model.safetensors": b"x"})
    dataset = worked.afar.agenda.datasets[task.spec.data]
    report = work_remotely(order(task), {str(worked.sticker): picture}, dataset, clean, control)
    assert (report.state, report.parcel) == ("failed", None)
    named = {"picture": str(worked.sticker), "parent": f"'{task.needs[0]}/model.safetensors' was changed"}
    assert named[spoilt] in report.reason
    assert "falsewitness-" not in report.reason
