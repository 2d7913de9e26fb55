"""What holds for every explainer that only asks for answers."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from falsewitness.core import DataInfo
from falsewitness.explainers import BoundExplainer
from falsewitness.explainers._budget import bytes_of_activations, inputs_at_once
from falsewitness.explainers._queries import AnswersOnly
from falsewitness.explainers.kernel_shap import KernelShap
from falsewitness.explainers.lime import Lime
from falsewitness.explainers.occlusion import Occlusion
from falsewitness.explainers.rise import Rise
from falsewitness.models.convnet import ConvNet

INFO = DataInfo(3, 12, 12, ("one", "two", "three"))
FEW_MB = 0.5

EXPLAINERS: list[AnswersOnly] = [
    Occlusion(window=4, stride=2),
    Rise(masks=40),
    Lime(grid=3, samples=40),
    KernelShap(grid=3, samples=40, background=2),
]


def images(batch: int = 4) -> Tensor:
    return torch.rand(batch, 3, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=EXPLAINERS, ids=lambda explainer: str(explainer.kind))
def explain(request: pytest.FixtureRequest) -> BoundExplainer:
    explainer: AnswersOnly = request.param
    model = ConvNet(width=4, strides=(1, 2)).bind(INFO, seed=0).eval()
    background = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    return explainer.bind(model, background=background)


@pytest.mark.parametrize("memory_mb", [1e-6, FEW_MB, 1000.0])
@pytest.mark.parametrize("batch", [1, 3, 4])
def test_maps_do_not_depend_on_the_batch_or_on_memory(explain: BoundExplainer, memory_mb: float, batch: int) -> None:
    expected = explain(images()).maps
    sparing = replace(explain, memory_mb=memory_mb)
    parts = [sparing(images()[start : start + batch]).maps for start in range(0, 4, batch)]
    assert torch.allclose(torch.cat(parts), expected, atol=1e-6)
    assert expected.abs().max() > 1e-3


def test_no_more_images_go_through_the_model_than_may(explain: BoundExplainer) -> None:
    most = inputs_at_once(bytes_of_activations(explain.model, images()[:1]), torch.device("cpu"), FEW_MB)
    assert 8 < most < 40, "the budget must matter for this test to say anything"
    seen: list[int] = []
    explain.model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    replace(explain, memory_mb=FEW_MB)(images())
    assert max(seen) <= most
    assert max(seen) > most - 4, "as many as may, in whole copies of the batch"


def test_one_set_of_questions_answers_for_all_classes(explain: BoundExplainer) -> None:
    seen: list[int] = []
    explain.model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    explain(images(), torch.zeros(4, dtype=torch.long))
    for_one = sum(seen)
    seen.clear()
    explain.columns(images())
    assert sum(seen) == for_one - 1, "what an image takes was measured by the first call"


@pytest.mark.parametrize("explain", EXPLAINERS[1:], indirect=True, ids=lambda explainer: str(explainer.kind))
def test_the_cost_it_tells_is_what_it_asks(explain: BoundExplainer) -> None:
    seen: list[int] = []
    explain.model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    explain(images())
    asked = (sum(seen) - 1) / 4  # one image goes through beforehand to measure the memory it takes
    assert 0.9 * 3 * explain.explainer.passes_per_audit < asked <= 3 * explain.explainer.passes_per_audit + 1e-6


def test_weights_get_no_gradients_and_need_none(explain: BoundExplainer) -> None:
    graded: list[bool] = []
    explain.model.register_forward_hook(lambda _model, _inputs, logits: graded.append(logits.requires_grad))
    explain(images())
    assert not any(graded)


def test_no_image_gives_no_map_and_asks_nothing(explain: BoundExplainer) -> None:
    seen: list[int] = []
    explain.model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    assert explain(images(0)).maps.shape == (0, 12, 12)
    assert explain.columns(images(0)).maps.shape == (0, 3, 12, 12)
    assert not sum(seen)
    assert len(seen) == 2


def test_answers_in_half_precision_give_maps_in_single(explain: BoundExplainer) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = explain(images(), torch.zeros(4, dtype=torch.long)).maps
    exact = explain(images(), torch.zeros(4, dtype=torch.long)).maps
    assert rounded.dtype == torch.float32
    assert (rounded - exact).norm() < 0.1 * exact.norm()
