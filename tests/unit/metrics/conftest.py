import jaxtyping
import pytest
import torch

from falsewitness.core.targets import SingleTargets
from falsewitness.metrics import MapEvidence, Measurement, PredictionEvidence

CLASS_NAMES = ("cat", "dog", "owl")


def by_name(measurements: list[Measurement], samples: str = "all") -> dict[str, Measurement]:
    """Return the measurements of all samples, or of the successes, by their names."""
    return {measurement.name: measurement for measurement in measurements if measurement.samples == samples}


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def _shapes_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotations are not enforced for users: what refuses a misshapen tensor must be the code itself."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def prediction_evidence() -> PredictionEvidence:
    """Six images; the target is the owl. Tests replace what they are about."""
    true = torch.tensor([0, 0, 1, 1, 1, 2])

    def answers(*classes: int) -> torch.Tensor:
        return torch.nn.functional.one_hot(torch.tensor(classes), 3).float()

    return PredictionEvidence(
        targets=SingleTargets(true),
        class_names=CLASS_NAMES,
        target_class=2,
        attacked_clean=answers(0, 1, 1, 1, 0, 2),
        attacked_triggered=answers(2, 2, 2, 1, 0, 2),
        clean_model_clean=answers(0, 0, 1, 1, 0, 2),
        clean_model_triggered=answers(0, 2, 1, 1, 0, 2),
        control_clean=answers(0, 0, 1, 1, 1, 0),
        seed=0,
    )


@pytest.fixture
def map_evidence(generator: torch.Generator) -> MapEvidence:
    """Random maps of 12 images, a trigger in the lower right corner. Tests replace what they are about."""

    def maps(count: int = 12) -> torch.Tensor:
        return torch.rand(count, 4, 4, generator=generator, dtype=torch.float64)

    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[12:, 12:] = True
    return MapEvidence(
        images=torch.rand(12, 3, 16, 16, generator=generator, dtype=torch.float64),
        classes=torch.arange(12) % 2,
        class_names=CLASS_NAMES,
        predicted=torch.arange(12) // 6,
        success=torch.arange(12) < 9,
        attacked_triggered=maps(),
        attacked_clean=maps(),
        clean_model_clean=maps(),
        clean_model_triggered=maps(),
        target_map=maps(1)[0],
        signed=False,
        gains=None,
        mask=mask,
        validation_triggered=maps(20),
        validation_clean=maps(20),
        clean_model_validation_triggered=maps(20),
        clean_model_validation_clean=maps(20),
        seed=0,
    )
