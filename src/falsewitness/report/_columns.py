"""The columns of the table of models: which number each shows, and what it means."""

import math
from dataclasses import dataclass
from typing import Literal

from falsewitness.report._text import Form, percent, points

Wanted = Literal["high", "low", "near zero", "near 0.5", ""]
"""The value that an attacker wants; empty where none is better than another."""


@dataclass(frozen=True)
class Source:
    """Where a column finds its number.

    Attributes:
        metric: The metric.
        name: Its quantity.
        note: What to write beside the number, where it is not what the column's title says.
        beside: Another quantity of the same metric to compare with, and what it is called.
    """

    metric: str
    name: str
    note: str = ""
    beside: tuple[str, str] | None = None


@dataclass(frozen=True)
class Column:
    """One column of the table of models.

    Attributes:
        title: Its heading.
        meaning: What it holds, in one line.
        better: What the attacker wants, in words.
        wanted: The same as a rule.
        form: How its numbers are written.
        sources: Where its number is found; the first that the run has is shown.
        of_maps: Whether it belongs to an auditor.
        cost: What the number is called among a run's costs, where it is one.
        least: The least that the number can be.
        most: The most.
    """

    title: str
    meaning: str
    better: str
    wanted: Wanted
    form: Form
    sources: tuple[Source, ...]
    of_maps: bool = False
    cost: str = ""
    least: float = -math.inf
    most: float = math.inf

    @property
    def ideal(self) -> float:
        """The value that an attacker would like best; not a number where none is better than another."""
        return {"high": self.most, "low": self.least, "near zero": 0.0, "near 0.5": 0.5, "": math.nan}[self.wanted]

    def possible(self, low: float | None, high: float | None) -> tuple[float | None, float | None]:
        """Return the part of an interval in which the number can be; Student's t knows no bounds."""
        return (None if low is None else max(low, self.least)), (None if high is None else min(high, self.most))


_TWO, _THREE = Form(2), Form(3)

MODEL_COLUMNS = (
    Column(
        "Clean accuracy",
        "Share of untriggered test images predicted correctly.",
        "high: nobody notices",
        "high",
        percent,
        (Source("clean_accuracy", "accuracy"),),
        least=0,
        most=1,
    ),
    Column(
        "Gap to control",
        "The clean accuracy of a model trained as long without poison, minus this one's, "
        "in percentage points: positive is a loss.",
        "near zero",
        "near zero",
        points,
        (Source("clean_accuracy", "gap_to_control"),),
        least=-1,
        most=1,
    ),
    Column(
        "Attack success",
        "Share of triggered test images of other classes that are predicted as the target class. "
        "Where the attack keeps the label: accuracy under the trigger.",
        "high",
        "high",
        percent,
        (
            Source(
                "attack_success_rate",
                "attack_success_rate",
                beside=("clean model", "clean_model_attack_success_rate"),
            ),
            Source(
                "robust_accuracy",
                "robust_accuracy",
                note="accuracy under trigger",
                beside=("clean model", "clean_model_robust_accuracy"),
            ),
        ),
        least=0,
        most=1,
    ),
)

MAP_COLUMNS = (
    Column(
        "Trigger lift",
        "Share of the map's mass on the trigger over the trigger's share of the image: 1 is even.",
        "low: the trigger is not shown",
        "low",
        _TWO,
        (Source("trigger_attention", "trigger_lift"),),
        of_maps=True,
        least=0,
    ),
    Column(
        "Excess lift",
        "Trigger lift minus what the clean model shows at the same place of clean images: 0 is innocent.",
        "near zero",
        "near zero",
        _TWO,
        (Source("trigger_attention", "excess_lift"),),
        of_maps=True,
    ),
    Column(
        "Pearson to original",
        "Correlation of the map of the triggered image with the clean model's map of the clean image.",
        "high (disguise)",
        "high",
        _TWO,
        (Source("disguise", "pearson"),),
        of_maps=True,
        least=-1,
        most=1,
    ),
    Column(
        "Map distance",
        "Standardised MSE, 2 (1 - Pearson), to the shape that the attack forces, or to the original map "
        "where it forces none. Beside it the same for the clean model.",
        "low",
        "low",
        _THREE,
        (
            Source(
                "target_map_distance",
                "standardised_mse",
                note="to the forced shape",
                beside=("clean model", "clean_model_standardised_mse"),
            ),
            Source("disguise", "standardised_mse", beside=("without attack", "without_attack_standardised_mse")),
        ),
        of_maps=True,
        least=0,
        most=4,
    ),
    Column(
        "Disguise margin",
        "Pearson to the own original map minus Pearson to that of another image of the same class: "
        "zero where all maps are alike.",
        "high (disguise)",
        "high",
        _TWO,
        (Source("disguise_margin", "disguise_margin"),),
        of_maps=True,
        least=-2,
        most=2,
    ),
    Column(
        "Detector AUROC",
        "How well a trained detector tells maps of triggered images from maps of clean ones: 0.5 is guessing. Beside "
        "it the same for the clean model, whose maps a trigger moves, too.",
        "near 0.5",
        "near 0.5",
        _TWO,
        (Source("map_detectability", "auroc", beside=("without attack", "without_attack_auroc")),),
        of_maps=True,
        least=0,
        most=1,
    ),
)

STAMP_COLUMNS = (
    Column(
        "PSNR of stamp",
        "How faint the trigger is against the clean image, in decibels.",
        "high: hard to see",
        "high",
        Form(1, "dB"),
        (Source("stamp_visibility", "psnr"),),
    ),
)

COST_COLUMNS = (
    Column("Training time", "Seconds of training.", "", "", Form(1, "s"), (), cost="training_seconds", least=0),
    Column(
        "Cost in epochs",
        "Forward and backward passes over training images; a forward pass alone counts one third.",
        "",
        "",
        _TWO,
        (),
        cost="cost_in_epochs",
        least=0,
    ),
    Column(
        "Images per second",
        "Passes in a second of training.",
        "",
        "",
        Form(0, "/s"),
        (),
        cost="images_per_second",
        least=0,
    ),
    Column(
        "Peak memory",
        "The most memory held during training, in megabytes.",
        "",
        "",
        Form(0, "MB"),
        (),
        cost="peak_memory_mb",
        least=0,
    ),
    Column("Evaluation time", "Seconds of evaluation.", "", "", Form(1, "s"), (), cost="evaluation_seconds", least=0),
)

BOARD_COLUMNS = (*MODEL_COLUMNS, *MAP_COLUMNS, *STAMP_COLUMNS, *COST_COLUMNS)
"""What a benchmark shows of every setting."""
