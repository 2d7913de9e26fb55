"""Every trigger through one contract; a new one without required fields is picked up by itself."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from falsewitness.conformance import check_component
from falsewitness.core import DataInfo, SpecError
from falsewitness.triggers import TRIGGERS, Trigger

INFOS = {
    "grey": DataInfo(1, 28, 28, ("one", "other")),
    "colour": DataInfo(3, 32, 32, ("one", "other")),
    "oblong": DataInfo(3, 24, 40, ("one", "other")),
}


def required_fields(folder: Path) -> dict[str, dict[str, Any]]:
    """Give a value to fields that have no default."""
    picture = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    ImageDraw.Draw(picture).ellipse((2, 2, 13, 13), fill=(255, 200, 0, 255))
    picture.save(folder / "picture.png")
    return {"image": {"path": folder / "picture.png"}}


@pytest.fixture(params=TRIGGERS.kinds())
def trigger(request: pytest.FixtureRequest, tmp_path: Path) -> Trigger:
    return TRIGGERS.get(request.param)(**required_fields(tmp_path).get(request.param, {}))


@pytest.fixture(params=INFOS)
def info(request: pytest.FixtureRequest) -> DataInfo:
    return INFOS[request.param]


def noise(info: DataInfo, batch: int = 5) -> torch.Tensor:
    return torch.rand(batch, info.channels, info.height, info.width, generator=torch.Generator().manual_seed(2))


def test_it_keeps_the_contract(trigger: Trigger) -> None:
    check_component(trigger)


def test_it_fits_ordinary_images(trigger: Trigger, info: DataInfo) -> None:
    assert trigger.check(info) == []


def test_images_keep_their_shape_and_their_bounds(trigger: Trigger, info: DataInfo) -> None:
    extremes = torch.cat([noise(info), torch.zeros_like(noise(info)), torch.ones_like(noise(info))])
    stamped = trigger.bind(info)(extremes)
    assert stamped.shape == extremes.shape
    assert stamped.dtype == extremes.dtype
    assert 0 <= stamped.min() <= stamped.max() <= 1


def test_only_pixels_inside_the_mask_change(trigger: Trigger, info: DataInfo) -> None:
    images = noise(info)
    stamp = trigger.bind(info)
    changed = (stamp(images) != images).any(1)
    assert not changed[:, ~stamp.mask].any()


def test_the_input_is_left_alone(trigger: Trigger, info: DataInfo) -> None:
    images = noise(info)
    trigger.bind(info)(images)
    assert torch.equal(images, noise(info))


def test_a_batch_is_stamped_like_single_images(trigger: Trigger, info: DataInfo) -> None:
    images = noise(info)
    stamp = trigger.bind(info)
    assert torch.equal(stamp(images), torch.cat([stamp(image[None]) for image in images]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(channels=st.sampled_from([1, 3]), height=st.integers(1, 40), width=st.integers(1, 40))
def test_it_either_fits_or_says_why(trigger: Trigger, channels: int, height: int, width: int) -> None:
    info = DataInfo(channels, height, width, ("one", "other"))
    if trigger.check(info):
        with pytest.raises(SpecError):
            trigger.bind(info)
    else:
        assert trigger.bind(info)(noise(info)).shape == noise(info).shape
