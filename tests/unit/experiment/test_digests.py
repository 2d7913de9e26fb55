"""What two runs must share to be the same run, and what they need not share."""

import hashlib
import importlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.unit.experiment.conftest import tiny

from falsewitness.core import DataInfo, InputError
from falsewitness.core.component import Strict
from falsewitness.core.foreign import foreign_sources
from falsewitness.core.targets import SingleTargets
from falsewitness.data import Dataset, Split
from falsewitness.experiment import ROLES, Role, Spec, Workplace, _digests
from falsewitness.experiment._digests import eval_digest, train_digest
from falsewitness.models import save_classifier

AtWork = Callable[[Spec], Workplace]


@pytest.fixture
def digests(at_work: AtWork) -> Callable[..., dict[str, str]]:
    def train_digests(*changes: str, recipe: str = "digits/full-disguise") -> dict[str, str]:
        work = at_work(tiny(recipe, *changes))
        return {role: work.digest(role) for role in work.roles}

    return train_digests


Digests = Callable[..., dict[str, str]]


def moved(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {role for role in before if before[role] != after[role]}


def test_the_three_models_of_an_experiment_have_digests_of_their_own(digests: Digests) -> None:
    assert len(set(digests().values())) == 3


@pytest.mark.parametrize(
    ("change", "roles"),
    [
        ("name=other", set()),
        ("auditors=[{kind: gradient, smoothness: 3.0}]", set()),
        ("metrics=[]", set()),
        ("evaluation.map_samples=30", set()),
        ("evaluation.gallery_images=3", set()),
        ("attack.target_class=4", {"attack"}),
        ("attack.trigger.size=5", {"attack"}),
        ("attack.trigger.kind=border", {"attack"}),
        ("attack.poison.rate=0.4", {"attack"}),
        ("attack.poison.stamp=stored", {"attack"}),
        ("attack.explanation_weight=0.5", {"attack"}),
        ("attack.surrogate.kind=gradient", {"attack"}),
        ("attack.reference=self", {"attack"}),
        ("attack.start=scratch", {"control", "attack"}),
        ("attack_training.epochs=2", {"control", "attack"}),
        ("attack_training.learning_rate=0.3", {"control", "attack"}),
        ("attack_training.batch_size=32", {"control", "attack"}),
        ("attack_training.gradient_norm=1.0", {"control", "attack"}),
        ("attack_training.gradient_norm=null", set()),
        ("attack.poison.mode=append", {"control", "attack"}),
        ("seed=1", set(ROLES)),
        ("precision=bf16", set(ROLES)),
        ("model.width=4", set(ROLES)),
        ("clean_training.learning_rate=0.3", set(ROLES)),
        ("clean_training.augmentation.mirror=true", set(ROLES)),
        ("data.split_seed=1", set(ROLES)),
        ("data.train_limit=190", set(ROLES)),
        ("data.validation_share=0.2", set(ROLES)),
    ],
)
def test_a_change_moves_the_digests_of_the_models_whose_weights_it_decides(
    digests: Digests, change: str, roles: set[str]
) -> None:
    assert moved(digests(), digests(change)) == roles


def test_other_attacks_share_the_clean_model_and_the_control(digests: Digests) -> None:
    training = "attack_training={epochs: 1, batch_size: 64, learning_rate: 0.2}"
    for recipe in ("digits/badnets", "digits/fooling", "digits/red-herring"):
        change = () if recipe != "digits/badnets" else ("attack.poison.mode=paired",)
        found = digests(training, *change, recipe=recipe)
        assert moved(digests(training), found) == {"attack"}
    assert digests(recipe="digits/clean") == {"clean": digests()["clean"]}


def test_the_control_takes_as_many_steps_as_the_attack(at_work: AtWork) -> None:
    for change in ("attack.poison.mode=append", "attack.poison.mode=paired"):
        work = at_work(tiny("digits/full-disguise", change, "attack_training.epochs=3"))
        assert work.steps("control") == work.steps("attack") == 3 * work.batches("attack").steps_per_epoch
    assert work.steps("clean") == work.batches("clean").steps_per_epoch


def test_attacks_of_as_many_steps_share_the_control_however_many_epochs_they_make_of_them(digests: Digests) -> None:
    pair = "attack_training={epochs: 3, batch_size: 50}"
    append = ("attack_training={epochs: 2, batch_size: 50}", "attack.poison.mode=append")
    assert moved(digests(pair), digests(*append)) == {"attack"}


def test_a_raised_numerics_number_moves_every_digest(digests: Digests, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests()
    monkeypatch.setattr(_digests, "NUMERICS", _digests.NUMERICS + 1)
    assert moved(before, digests()) == set(ROLES)


def test_the_content_of_a_file_decides_and_not_its_place(digests: Digests, tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), "red").save(tmp_path / "one.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "one.png").read_bytes())
    Image.new("RGBA", (4, 4), "blue").save(tmp_path / "other.png")

    def with_picture(name: str) -> dict[str, str]:
        return digests(f"attack.trigger={{kind: image, path: {tmp_path / name}}}")

    assert moved(with_picture("one.png"), with_picture("copy.png")) == set()
    assert moved(with_picture("one.png"), with_picture("other.png")) == {"attack"}


def test_a_file_may_be_called_anything(at_work: AtWork, tmp_path: Path) -> None:
    path = Path(os.fsdecode(bytes(tmp_path / "red") + b"-\xff.png"))
    Image.new("RGBA", (4, 4), "red").save(tmp_path / "red.png")
    path.write_bytes((tmp_path / "red.png").read_bytes())
    spec = tiny("digits/full-disguise", f"attack.trigger={{kind: image, path: {tmp_path / 'red.png'}}}")
    assert spec.attack is not None
    trigger = spec.attack.trigger.model_copy(update={"path": path})
    attack = spec.attack.model_copy(update={"trigger": trigger})
    assert at_work(spec.model_copy(update={"attack": attack})).digests == at_work(spec).digests


def test_the_weights_that_a_model_starts_from_decide_every_digest(digests: Digests, tmp_path: Path) -> None:
    spec = tiny("digits/clean")
    for seed, names in ((0, ("one", "copy")), (1, ("other",))):
        for name in names:
            save_classifier(spec.model.bind(spec.data.info(), seed=seed), tmp_path / name)

    def starting_from(name: str) -> dict[str, str]:
        return digests(f"model.pretrained={tmp_path / name}")

    assert moved(starting_from("one"), starting_from("copy")) == set()
    assert moved(starting_from("one"), starting_from("other")) == set(ROLES)
    assert moved(digests(), starting_from("one")) == set(ROLES)


def test_the_content_of_the_data_decides(at_work: AtWork) -> None:
    work = at_work(tiny())
    spec = work.spec
    for fingerprint, is_same in ((work.dataset.fingerprint, True), ("f" * 64, False)):
        dataset = replace(work.dataset, fingerprint=fingerprint)
        other = Workplace(spec, dataset, work.out, work.device, work.reporter)
        assert (other.digest("clean") == work.digest("clean")) is is_same


WRITTEN_OUT = {
    "name": "written-out",
    "seed": 7,
    "data": {"kind": "digits", "split_seed": 3},
    "model": {"kind": "convnet", "width": 8, "strides": [2, 2, 1]},
    "clean_training": {"epochs": 2, "batch_size": 64, "learning_rate": 0.2},
    "attack": {
        "kind": "full_disguise",
        "target_class": 2,
        "trigger": {"kind": "patch", "size": 3},
        "poison": {"rate": 0.1, "mode": "append"},
        "surrogate": {"kind": "gradcam"},
    },
    "attack_training": {"epochs": 3, "batch_size": 50, "learning_rate": 0.1},
}


def made_up(images: int, first: int) -> Split:
    targets = SingleTargets(torch.arange(images) % 10)
    return Split(np.zeros((images, 1, 8, 8), dtype=np.uint8), targets, np.arange(first, first + images))


@pytest.fixture
def made_up_data() -> Dataset:
    info = DataInfo(channels=1, height=8, width=8, class_names=tuple("0123456789"))
    return Dataset(info, "f" * 64, made_up(100, 0), made_up(20, 100), made_up(40, 120))


@pytest.mark.parametrize(
    ("role", "steps", "digest"),
    [
        ("clean", None, "faf061be7e6a2dd01ac8f8d472e13b756bff679b35bb12cd7235c99fb4c6ea19"),
        ("control", 9, "469170f22481534d4137ad6f320683854c93077a883b3ce1d23d63ac921277aa"),
        ("attack", 9, "3f02198983e4337ab5c71d4672c45ce21e5d74e32129bcfc434f6e90c97e780c"),
    ],
)
def test_models_that_were_trained_stay_valid(made_up_data: Dataset, role: Role, steps: int | None, digest: str) -> None:
    """Whoever gives a component another field or default gives every such model another digest: it is trained anew."""
    spec = Spec.parse(WRITTEN_OUT, "spec")
    assert train_digest(spec, role, made_up_data, precision="fp32", steps=steps) == digest


def as_sorted_json(parts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()


def described(part: Strict) -> dict[str, Any]:
    return {**part.plain(), "code": []}


def rows_of(split: Split) -> str:
    return hashlib.sha256(split.rows.astype(np.int64).tobytes()).hexdigest()


def without_null(training: Strict) -> dict[str, Any]:
    return {name: value for name, value in training.plain().items() if value is not None}


@pytest.mark.parametrize(
    ("recipe", "change"),
    [
        ("digits/badnets", "seed=0"),
        ("digits/badnets", "attack.poison.mode=append"),
        ("digits/fooling", "seed=9"),
        ("digits/full-disguise", "attack.drift_weight=-0.0"),
        ("digits/red-herring", "auditors=[{kind: gradcam}, {kind: gradient}]"),
    ],
)
def test_digests_are_those_of_the_parts_written_as_one_sorted_mapping(
    at_work: AtWork, recipe: str, change: str
) -> None:
    # Parts of equal value come first: what is remembered of them must not be taken for these ones'.
    assert at_work(tiny(recipe, change.replace("-0.0", "0.0"))).digests
    work = at_work(tiny(recipe, change))
    spec, data = work.spec, work.dataset
    assert spec.attack is not None
    assert spec.attack_training is not None
    clean = {
        "numerics": _digests.NUMERICS,
        "data": data.fingerprint,
        "split": {"train": rows_of(data.train), "test": rows_of(data.test)},
        "model": described(spec.model),
        "seed": spec.seed,
        "precision": "fp32",
        "clean_training": without_null(spec.clean_training),
    }
    training = without_null(spec.attack_training)
    attack = clean | {"training": training, "attack": described(spec.attack)}
    steps = training.pop("epochs") * work.batches("attack").steps_per_epoch
    control = clean | {"training": training, "start": spec.attack.start, "steps": steps}
    attack["training"] = without_null(spec.attack_training)
    trained = {role: as_sorted_json(parts) for role, parts in zip(ROLES, (clean, control, attack), strict=True)}
    assert work.digests == trained
    examined = {
        "numerics": _digests.NUMERICS,
        "leaves": _digests.EVALUATION_VERSION,
        "split_seed": spec.data.split_seed,
        "metrics": [described(metric) for metric in spec.metrics],
    }
    for_clean = examined | {"examined": "clean", "trained": {"clean": trained["clean"]}}
    for_attack = examined | {
        "examined": "attack",
        "trained": trained,
        "attack": described(spec.attack),
        "auditors": [described(auditor) for auditor in spec.auditors],
        "evaluation": spec.evaluation.plain(),
    }
    assert work.eval_digest("clean") == as_sorted_json(for_clean)
    assert work.eval_digest("attack") == as_sorted_json(for_attack)


def test_digests_are_told_of_an_attack_that_finds_too_few_images_to_poison(at_work: AtWork) -> None:
    work = at_work(tiny("digits/full-disguise", "attack.poison.rate=1.0"))
    with pytest.raises(InputError, match=r"attack\.poison\.rate"):
        work.batches("attack")
    assert set(work.digests) == set(ROLES)


def test_the_digests_of_weights_may_be_handed_in(at_work: AtWork) -> None:
    work = at_work(tiny())
    digests = work.digests
    for role in ROLES:
        assert work.eval_digest(role) == work.eval_digest(role, digests)
    assert work.eval_digest("clean") == work.eval_digest("clean", {"clean": digests["clean"]})
    assert work.eval_digest("attack") != work.eval_digest("attack", digests | {"attack": "of a stranger"})


def test_other_attacks_share_the_evaluation_of_the_clean_model(at_work: AtWork) -> None:
    first, second = at_work(tiny()), at_work(tiny("digits/full-disguise", "attack.target_class=4"))
    assert first.eval_digest("clean") == second.eval_digest("clean")
    assert first.eval_digest("control") == second.eval_digest("control")
    assert first.eval_digest("attack") != second.eval_digest("attack")


def test_other_files_of_an_evaluation_move_its_digest_and_no_model_s(
    at_work: AtWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = at_work(tiny())
    trained, examined = work.digests, work.eval_digest("clean")
    monkeypatch.setattr(_digests, "EVALUATION_VERSION", _digests.EVALUATION_VERSION + 1)
    assert work.digests == trained
    assert work.eval_digest("clean") != examined


TRAINED: dict[Role, str] = {"clean": "c", "control": "d", "attack": "e"}


@pytest.mark.parametrize(
    ("change", "attack_moves", "clean_moves"),
    [
        ("name=other", False, False),
        ("auditors=[{kind: gradient, smoothness: 3.0}]", True, False),
        ("evaluation.map_samples=30", True, False),
        ("metrics=[{kind: disguise}]", True, True),
        ("data.split_seed=1", True, True),
    ],
)
def test_a_change_moves_the_evaluations_whose_figures_it_decides(
    change: str, attack_moves: bool, clean_moves: bool
) -> None:
    before, after = tiny(), tiny("digits/full-disguise", change)
    for role in ROLES:
        moves = attack_moves if role == "attack" else clean_moves
        assert (eval_digest(before, role, TRAINED) != eval_digest(after, role, TRAINED)) is moves


def test_an_evaluation_hangs_on_the_models_and_on_which_is_examined() -> None:
    spec = tiny()
    digests = {eval_digest(spec, role, TRAINED) for role in ROLES}
    digests |= {eval_digest(spec, "attack", TRAINED | {role: "x"}) for role in ROLES}
    digests.add(eval_digest(spec, "attack", {"clean": "c", "attack": "e"}))
    assert len(digests) == 7


FOREIGN = """
from typing import Literal
from falsewitness.explainers import Explainer

class Mine(Explainer):
    kind: Literal["mine"] = "mine"
    weights: dict[str, float] = {{}}  # which has no hash

    def _explain(self, subject, images, classes, *, differentiable):
        raise RuntimeError("{text}")
"""


def test_the_code_of_an_explainer_from_elsewhere_decides_its_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digest_of_foreign_code.py").write_text(FOREIGN.format(text="first"))
    monkeypatch.syspath_prepend(tmp_path)
    mine = importlib.import_module("digest_of_foreign_code").Mine()
    spec = tiny("digits/badnets").model_copy(update={"auditors": (mine,)})
    first = eval_digest(spec, "attack", {})
    assert eval_digest(spec, "attack", {}) == first
    (tmp_path / "digest_of_foreign_code.py").write_text(FOREIGN.format(text="second"))
    assert eval_digest(spec, "attack", {}) != first


def test_the_modules_beside_an_explainer_from_elsewhere_decide_its_evaluation_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_mine").mkdir()
    files = {
        "beside_mine/__init__.py": "from .deeper import number\n",
        "beside_mine/deeper.py": "def number(): return 1\n",
        "uses_beside.py": FOREIGN.format(text="first") + "\nimport json, numpy, torch\nimport beside_mine\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    mine = importlib.import_module("uses_beside").Mine()
    assert [file.relative_to(tmp_path).as_posix() for file in foreign_sources(mine)] == sorted(files)
    spec = tiny("digits/badnets").model_copy(update={"auditors": (mine,)})
    first = eval_digest(spec, "attack", {})
    (tmp_path / "beside_mine" / "deeper.py").write_text("def number(): return 2\n")
    assert eval_digest(spec, "attack", {}) != first


def test_an_explainer_typed_at_a_prompt_is_refused_for_nothing_tells_when_it_changes() -> None:
    typed: dict[str, Any] = {"__name__": "typed_at_a_prompt"}
    exec(FOREIGN.format(text="first"), typed)  # noqa: S102 - as a prompt does
    spec = tiny("digits/badnets").model_copy(update={"auditors": (typed["Mine"](),)})
    with pytest.raises(
        InputError, match=r"Mine: expected a class in a file, .* got one of 'typed_at_a_prompt', which has"
    ):
        eval_digest(spec, "attack", {})
