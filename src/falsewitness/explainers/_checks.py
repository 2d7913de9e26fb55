"""What a bound explainer checks of what it is given, and of what comes back."""

import torch
from torch import Tensor

from falsewitness.core.shapes import Classes, Images
from falsewitness.models import Classifier, as_audited


def expect_shapes(images: Images, classes: Classes | None) -> None:
    """Expect images, and a whole number for each: what can be told without looking at values.

    Raises:
        ValueError: If they are not.
    """
    if images.ndim != 4:
        raise ValueError(f"expected images [batch, channels, height, width], got shape {tuple(images.shape)}")
    if classes is None:
        return
    if classes.shape != images.shape[:1]:
        raise ValueError(f"expected one class an image ({len(images)}), got shape {tuple(classes.shape)}")
    if classes.is_floating_point() or classes.is_complex() or classes.dtype == torch.bool:
        raise ValueError(f"expected classes as whole numbers, got {classes.dtype}")


def expect_known_to_model(model: Classifier, images: Images, classes: Classes | None) -> None:
    """Expect channels and classes that the model has; not in training, where a GPU would wait for it.

    Args:
        model: The model; one that does not say what it is for is asked about an image.
        images: What is explained.
        classes: For which classes; the predicted ones where None.

    Raises:
        ValueError: If it has none such.
    """
    info = model.info
    if info is not None and images.shape[1] != info.channels:
        raise ValueError(f"expected images of {info.channels} channels, as the model's are, got {images.shape[1]}")
    if classes is None or not len(classes):
        return
    low, high = int(classes.min()), int(classes.max())
    known = _count_of_classes(model, images[:1]) if info is None else info.num_classes
    if low < 0 or high >= known:
        raise ValueError(f"expected classes from 0 to {known - 1}, got {low if low < 0 else high}")


@torch.no_grad()
def _count_of_classes(model: Classifier, image: Images) -> int:
    with as_audited(model):
        return len(model(image)[0])


def expect_finite_maps(found: tuple[object, ...], count: int, shape: str, kind: str) -> None:
    """Expect logits and finite maps, as tensors.

    Args:
        found: Both.
        count: Images that were explained.
        shape: Names of the further axes of the maps.
        kind: The explainer's.

    Raises:
        ValueError: If they are not.
    """
    _, maps = found
    if not (isinstance(maps, Tensor) and all(isinstance(part, Tensor) for part in found)):
        raise ValueError(f"expected logits and maps as tensors from explainer '{kind}', got {described(found)}")
    if maps.ndim != 2 + shape.count(",") or len(maps) != count:
        raise ValueError(f"expected maps [{count}, {shape}], got {tuple(maps.shape)}")
    if not maps.is_floating_point():
        raise ValueError(f"expected maps of floating-point numbers, got {maps.dtype}")
    if not maps.isfinite().all():
        raise ValueError(f"expected finite maps, got a value that is not from explainer '{kind}'")


def described(found: object) -> str:
    """Return what something is, and of a tuple what it holds."""
    name = type(found).__name__
    return f"{name} of {', '.join(type(part).__name__ for part in found)}" if isinstance(found, tuple) else name
