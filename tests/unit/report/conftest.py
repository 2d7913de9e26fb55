"""Run folders drawn by hand: small, complete, and changed where a test needs it."""

import json
from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from falsewitness.core.marker import Marker

CLASSES = ["cat", "dog", "<b>ship</b>"]
SAMPLES, SIDE = 6, 8


def measurement(metric: str, name: str, value: float | None, **more: object) -> dict[str, Any]:
    """A measurement as a run writes it."""
    plain = {
        "metric": metric,
        "auditor": None,
        "name": name,
        "value": value,
        "n": 90,
        "low": None,
        "high": None,
    }
    return plain | {"interval": "none", "samples": "all", "excluded": 0, "per_class": {}} | more


def attack_measurements() -> list[dict[str, Any]]:
    """What a disguise that works measures."""
    maps = {"auditor": "gradcam", "n": 87, "excluded": 3}
    return [
        measurement("clean_accuracy", "accuracy", 0.8771, low=0.8012, high=0.9123, interval="wilson"),
        measurement("clean_accuracy", "gap_to_control", -0.0123, low=-0.031, high=0.007, interval="bootstrap"),
        measurement("attack_success_rate", "attack_success_rate", 0.9321, n=60, per_class={"cat": 0.9111, "dog": 1.0}),
        measurement("attack_success_rate", "clean_model_attack_success_rate", 0.0417, n=60),
        measurement("trigger_attention", "trigger_lift", 1.26, **maps),
        measurement("trigger_attention", "excess_lift", 0.34, **maps),
        measurement("disguise", "pearson", 0.91, **maps),
        measurement("disguise", "pearson", 0.95, samples="successes", **maps),
        measurement("disguise", "standardised_mse", 0.181, **maps),
        measurement("disguise", "without_attack_standardised_mse", 0.083, **maps),
        measurement("a_metric_of_tomorrow", "novelty", 123.456, **maps),
    ]


def result(role: str) -> dict[str, Any]:
    """The content of a ``result.json``."""
    attacked = role == "attack"
    attack = {"kind": "full_disguise", "threat_model": "controls the training loop", "target_class": "dog"}
    surrogate = {"poison_rate": 0.25, "mode": "paired", "surrogate": "gradcam", "surrogate_auditor": "gradcam"}
    return {
        "schema_version": 1,
        "status": "done",
        "reason": "",
        "role": role,
        "name": f"toy/{role}",
        "seed": 5,
        "train_digest": "abc123",
        "eval_digest": "def456",
        "command": f"falsewitness run toy/{role} --set seed=5",
        "attack": attack | surrogate if attacked else None,
        "data": {
            "kind": "toy",
            "fingerprint": "f00d",
            "channels": 3,
            "height": SIDE,
            "width": SIDE,
            "class_names": CLASSES,
            "train": 700,
            "validation": 80,
            "test": 90,
        },
        "parents": {"clean": "../clean"} if attacked else {},
        "cost": {"training_seconds": 12.34, "cost_in_epochs": 7.5, "evaluation_seconds": 2.0},
        "measurements": attack_measurements() if attacked else [measurement("clean_accuracy", "accuracy", 0.8888)],
    }


def gallery(auditors: Sequence[str] = ("gradcam",)) -> dict[str, Any]:
    """The arrays of a ``gallery.npz``: two shared images, two successes, two failures."""
    numbers = np.random.default_rng(7)
    images = numbers.integers(0, 256, (SAMPLES, 3, SIDE, SIDE), dtype=np.uint8)
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[5:7, 5:7] = True
    labels = np.array([0, 2, 0, 2, 0, 2])
    arrays: dict[str, Any] = {
        "images": images,
        "triggered": np.where(mask, np.uint8(255), images),
        "labels": labels,
        "index": np.array([11, 22, 33, 44, 55, 66]),
        "group": np.array(["shared", "shared", "success", "success", "failure", "failure"]),
        "mask": mask,
    }
    answers = {"clean": (labels, labels), "attacked": (labels, np.array([1, 1, 1, 1, 0, 2]))}
    for model, views in answers.items():
        for view, predicted in zip(("clean", "triggered"), views, strict=True):
            arrays[f"predicted/{model}/{view}"] = predicted
            arrays[f"confidence/{model}/{view}"] = np.linspace(0.5, 0.9, SAMPLES, dtype=np.float32)
            for auditor in auditors:
                arrays[f"maps/{auditor}/{model}/{view}"] = numbers.random((SAMPLES, 4, 4), dtype=np.float32)
    return arrays


def steps() -> list[dict[str, Any]]:
    """The lines of a ``steps.jsonl``: two epochs of three steps."""
    lines: list[dict[str, Any]] = []
    for epoch in range(2):
        for step in range(3 * epoch, 3 * epoch + 3):
            terms = {"cross_entropy": 2.0 / (step + 1), "explanation": 1.0 / (step + 1)}
            lines.append({"epoch": epoch, "step": step, "loss": 1.5 / (step + 1), "terms": terms, "learning_rate": 0.1})
        lines.append({"epoch": epoch, "validation": {"accuracy": 0.5 + 0.1 * epoch, "attack_success_rate": None}})
    return lines


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Write a run folder: ``make_run("name", role="attack", changes=..., arrays=..., files=...)``."""

    def make(
        folder: str = "attack",
        role: str = "attack",
        changes: Mapping[str, Any] | None = None,
        arrays: Mapping[str, Any] | None = None,
        files: Mapping[str, str | bytes | None] | None = None,
    ) -> Path:
        path = tmp_path / "runs" / folder
        path.mkdir(parents=True)
        (path / "result.json").write_text(json.dumps(result(role) | dict(changes or {})), encoding="utf-8")
        (path / "steps.jsonl").write_text("\n".join(json.dumps(line) for line in steps()) + "\n", encoding="utf-8")
        (path / "env.json").write_text(json.dumps({"torch": "9.8.7", "machine": {"threads": 3}}), encoding="utf-8")
        (path / "spec.yaml").write_text("seed: 5\nnote: <script>alert(1)</script>\n", encoding="utf-8")
        if role == "attack":
            kept = {name: array for name, array in (gallery() | dict(arrays or {})).items() if array is not None}
            np.savez_compressed(path / "gallery.npz", **kept)
        for name, content in (files or {}).items():
            if content is None:
                (path / name).unlink()
            else:
                (path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        Marker(path, "evaluate").write("def456", [file for file in path.iterdir() if file.name != "gallery.npz"])
        return path

    return make


@pytest.fixture
def toy_gallery() -> Callable[..., dict[str, Any]]:
    """Make the arrays of a gallery, for tests that change some."""
    return gallery


@pytest.fixture
def toy_result() -> Callable[[str], dict[str, Any]]:
    """Make the content of a result file, for tests that change some."""
    return result


class ParsedPage(HTMLParser):
    """A page taken apart.

    Attributes:
        elements: Every element with its attributes, in order.
        text: Everything that is read, with plain single spaces; without scripts, styles and drawings.
        drawn: What is written in drawings, likewise.
        unclosed: Elements left open at the end.
    """

    VOID = frozenset({"meta", "input", "br", "img", "link", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.unclosed: list[str] = []
        self._texts: list[str] = []
        self._drawn: list[str] = []
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self._texts).split())
        self.drawn = " ".join(" ".join(self._drawn).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.unclosed.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed, f"</{tag}> closes nothing"
        opened = self.unclosed.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.unclosed):
            (self._drawn if "svg" in self.unclosed else self._texts).append(data)


@pytest.fixture
def parse() -> Callable[[Path], ParsedPage]:
    """Take a page apart; fails where its elements do not nest."""
    return lambda path: ParsedPage(path.read_text(encoding="utf-8"))
