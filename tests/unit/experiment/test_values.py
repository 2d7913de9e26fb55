"""values.npz: every image's numbers, and what lets two runs be compared image by image."""

import numpy as np
import pytest
from tests.unit.experiment.conftest import Folders, Witness, figures_of, times_of, tiny, touched

from falsewitness.core.values import values_key
from falsewitness.experiment import ROLES, Role, RunFolder, _digests, run
from falsewitness.metrics import Measurement


def arrays_of(folder: RunFolder) -> dict[str, np.ndarray]:
    with np.load(folder.values, allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("role", ROLES)
def test_every_mean_over_all_images_has_the_numbers_that_it_is_of(finished: Folders, role: Role) -> None:
    arrays = arrays_of(finished[role])
    keys = {"images"} | ({"samples"} if role == "attack" else set())
    for found in figures_of(finished[role]):
        if found["samples"] != "all" or found["metric"] == "map_detectability":
            continue
        key = values_key(found["metric"], found["name"], found["auditor"])
        counted = arrays[key][~np.isnan(arrays[key])]
        assert arrays[key].dtype == np.float32
        assert len(counted) == found["n"]
        assert len(arrays[key]) == found["n"] + found["excluded"]
        if found["n"]:
            assert counted.astype(float).mean() == pytest.approx(found["value"], rel=1e-4, abs=1e-5)
        keys.add(key)
    assert set(arrays) == keys


def test_runs_on_the_same_data_can_be_paired(finished: Folders) -> None:
    clean, attack = arrays_of(finished["clean"]), arrays_of(finished["attack"])
    test = tiny("digits/red-herring").data.prepare().test
    assert clean["images"].tolist() == attack["images"].tolist() == test.rows.tolist()
    assert clean["clean_accuracy/accuracy"].tolist() == attack["clean_accuracy/clean_model_accuracy"].tolist()
    with np.load(finished["attack"].maps, allow_pickle=False) as maps:
        assert attack["samples"].tolist() == maps["samples"].tolist()


def test_the_result_holds_no_number_of_a_single_image(finished: Folders) -> None:
    fields = set(Measurement.__dataclass_fields__) - {"values"}
    assert all(set(found) == fields | {"metric", "auditor"} for found in figures_of(finished["attack"]))


def test_runs_from_before_are_evaluated_anew_and_not_trained_anew(
    mine: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, out = tiny("digits/red-herring"), mine["attack"].path.parent
    with monkeypatch.context() as earlier:
        earlier.setattr(_digests, "EVALUATION_VERSION", 0)
        run(spec, out)
    before, reporter = times_of(*mine.values()), Witness()
    assert run(spec, out, reporter=reporter) == mine
    assert "values.npz" in touched(before, *mine.values())
    assert not {"model.safetensors", ".train-done.json"} & touched(before, *mine.values())
    assert not any(label.startswith("training") for label in reporter.steps)
