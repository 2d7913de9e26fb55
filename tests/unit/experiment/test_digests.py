"""What two runs must share to be the same run, and what they need not share."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from tests.unit.experiment.conftest import tiny

from falsewitness.experiment import Spec, _digests
from falsewitness.experiment._digests import eval_digest
from falsewitness.experiment._spec import Role
from falsewitness.experiment._workplace import Workplace
from falsewitness.models import save_classifier

ROLES: tuple[Role, ...] = ("clean", "control", "attack")
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
        dataset = type(work.dataset)(**(vars(work.dataset) | {"fingerprint": fingerprint}))
        other = Workplace(spec, dataset, work.out, work.device, work.reporter)
        assert (other.digest("clean") == work.digest("clean")) is is_same


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

    def _explain(self, model, images, classes, *, differentiable):
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
