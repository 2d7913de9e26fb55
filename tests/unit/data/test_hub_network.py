import io
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import errors
from PIL import Image

from falsewitness.core import InputError
from falsewitness.data import DATA, DataSource, describe_cache


def source(kind: str, **fields: Any) -> DataSource:  # noqa: ANN401
    return DATA.get(kind).parse({"kind": kind} | fields, "data")


def tiny_set() -> datasets.DatasetDict:
    """Give what ``datasets`` gives: images of 28x28 whose shade is ten times their label."""
    labels = [*range(10)] * 3
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=[str(digit) for digit in range(10)])}
    )
    columns = {"image": [{"bytes": png(10 * label), "path": None} for label in labels], "label": labels}
    split = datasets.Dataset.from_dict(columns, features=features)
    return datasets.DatasetDict({"train": split, "test": split})


def png(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (28, 28), shade).save(stream, format="PNG")
    return stream.getvalue()


def assert_shades_are_labels(data: DataSource) -> None:
    test = data.prepare().test
    assert (np.asarray(test.images)[:, 0, 0, 0] // 10).tolist() == test.targets.values.tolist()


def answer(monkeypatch: pytest.MonkeyPatch, found: object) -> None:
    """Let the hub answer, or raise, what is given."""

    def dataset_info(self: object, hub_id: str, timeout: float) -> object:
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)


def http_error(kind: type[errors.HfHubHTTPError]) -> errors.HfHubHTTPError:
    return kind.__new__(kind)


def test_a_set_on_the_hub_is_read_at_the_commit_that_the_hub_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[object, ...]] = []

    def load_dataset(name: str, config: str | None, revision: str) -> datasets.DatasetDict:
        asked.append((name, config, revision))
        return tiny_set()

    answer(monkeypatch, SimpleNamespace(sha="c0ffee"))
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    data = source("hub", name="owner/set", config="small")
    assert_shades_are_labels(data)
    assert asked == [("owner/set", "small", "c0ffee")]

    report = describe_cache(data)
    assert report.data is not None
    assert report.data.manifest.revision == "c0ffee"


def test_a_decoded_set_of_the_hub_opens_without_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, SimpleNamespace(sha="c0ffee"))
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: tiny_set())
    data = source("hub", name="owner/set")
    first = data.prepare()
    answer(monkeypatch, AssertionError("the hub was asked"))
    assert data.prepare().fingerprint == first.fingerprint
    assert data.info() == first.info


@pytest.mark.parametrize("found", [ConnectionError("no route"), TimeoutError("timed out"), OSError("reset")])
def test_without_a_network_one_line_says_what_to_get_and_where_to_put_it(
    found: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, found)
    with pytest.raises(InputError) as error:
        source("cifar10").prepare()
    message = str(error.value)
    assert "\n" not in message
    assert "huggingface.co/datasets/uoft-cs/cifar10" in message
    assert "$FALSEWITNESS_DATA/cifar10" in message
    assert "data.root" in message
    assert str(found) in message


def test_without_a_network_the_copy_that_datasets_keeps_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offline: list[bool] = []

    def load_dataset(name: str, config: str | None) -> datasets.DatasetDict:
        offline.append(datasets.config.HF_HUB_OFFLINE)
        return tiny_set()

    answer(monkeypatch, ConnectionError("no route"))
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert_shades_are_labels(source("mnist"))
    assert offline == [True]
    assert datasets.config.HF_HUB_OFFLINE is False


@pytest.mark.parametrize("name", ["a--b/c", "me/data.git", "-a/b", "a/" + "b" * 97])
def test_a_name_that_no_set_of_the_hub_can_have_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    with pytest.raises(InputError, match=f"^{re.escape(name)}: this is no name of a data set"):
        source("hub", name=name).prepare()


def test_a_set_that_the_hub_does_not_have_is_said_to_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, http_error(errors.RepositoryNotFoundError))
    with pytest.raises(InputError, match="owner/set: the Hugging Face hub has no data set of this name"):
        source("hub", name="owner/set").prepare()
    answer(monkeypatch, http_error(errors.GatedRepoError))
    with pytest.raises(InputError, match="owner/set: accept its terms on https://"):
        source("hub", name="owner/set").info()


PREPARE = """
import time
from falsewitness.core import InputError
from falsewitness.data import DATA
slept = []
time.sleep = slept.append
try:
    DATA.get("fashion_mnist")().prepare()
except InputError as error:
    print(error)
print(sum(slept))
"""


@pytest.mark.parametrize(
    "network",
    [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}],
    ids=["switched off", "dead"],
)
def test_without_a_network_the_error_comes_without_waiting_for_one(network: dict[str, str], tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PREPARE],
        env=os.environ | network | {"HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    error, slept = run.stdout.splitlines()
    assert "zalando-datasets/fashion_mnist: not on this machine" in error
    assert float(slept) < 2
