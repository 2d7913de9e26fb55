import pytest
import torch

from falsewitness.training import autocast, resolve_precision

CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))


@pytest.mark.parametrize("device", [CPU, CUDA, MPS])
def test_a_precision_that_is_asked_for_is_had(device: torch.device) -> None:
    assert resolve_precision("fp32", device) == "fp32"
    assert resolve_precision("bf16", device) == "bf16"


@pytest.mark.parametrize(("supported", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_asks_the_device(supported: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: supported)
    # Older cards imitate it, which takes longer than single precision: that does not count.
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation or supported)
    assert resolve_precision("auto", CPU) == expected
    assert resolve_precision("auto", CUDA) == expected


def test_auto_on_an_unknown_device_is_single() -> None:
    assert resolve_precision("auto", MPS) == "fp32"


def test_forward_passes_run_in_the_precision() -> None:
    layer, images = torch.nn.Linear(3, 2), torch.rand(4, 3)
    with autocast("bf16", CPU):
        assert layer(images).dtype == torch.bfloat16
    with autocast("fp32", CPU):
        assert layer(images).dtype == torch.float32
