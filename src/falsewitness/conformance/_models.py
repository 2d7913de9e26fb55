"""What every architecture must keep."""

import torch

from falsewitness.conformance._contract import ConformanceError, fitting, noise, relative_distance, repeated, require
from falsewitness.core import DataInfo
from falsewitness.models import Architecture, Classifier

_ROUNDING = 1e-4
"""How far two ways to compute the same logits in single precision may lie apart."""


def check_architecture(architecture: Architecture) -> None:
    """Check the classifier that is bound for images of several shapes.

    Raises:
        ConformanceError: With the first promise that it breaks.
    """
    infos = fitting(architecture)
    for info in infos:
        _check_parts(_bound(architecture, info), info)
    info = infos[0]
    models = repeated("bind", lambda: _bound(architecture, info))
    _check_weights(models.first, models.second, _bound(architecture, info, seed=2), info)
    _check_rows(models.first, info)
    _check_blueprint(architecture, models.first, info)
    _check_training(models.first, info)


def _bound(architecture: Architecture, info: DataInfo, seed: int = 1) -> Classifier:
    return architecture.bind(
        info, seed=seed, mean=(0.3, 0.4, 0.5)[: info.channels], std=(0.2, 0.3, 0.4)[: info.channels]
    )


def _check_parts(model: Classifier, info: DataInfo) -> None:
    images = noise(info, 2)
    with torch.no_grad():
        logits, features = model.with_activation(images)
        again = model(images)
    require(len(features) == 2, f"expected a feature map an image, got {len(features)} for two")
    require(
        logits.shape == (2, info.num_classes),
        f"expected forward_head to give logits [batch, {info.num_classes}], got {tuple(logits.shape)}",
    )
    require(bool(logits.isfinite().all()), "expected finite logits of a fresh network, got NaN or infinity")
    require(torch.equal(again, logits), "expected forward_head(forward_features(x)) to be the same every time")
    with torch.no_grad():
        whole = model.network(model.normalised(images))
    require(torch.equal(whole, logits), "expected the network's forward to be forward_head(forward_features(x))")
    if (head := model.linear_head) is not None:
        expected = features.double().mean((2, 3)) @ head.weight.double().T + head.bias.double()
        require(
            relative_distance(expected, logits) < _ROUNDING,
            "expected get_classifier() to be the layer that gives the logits from the averaged feature map",
        )


def _check_blueprint(architecture: Architecture, model: Classifier, info: DataInfo) -> None:
    try:
        blueprint = architecture.blueprint(info)
    except RuntimeError as error:  # what torch raises where a tensor has no values to look at
        reason = str(error).partition("\n")[0]
        raise ConformanceError(f"expected a network that can be built without values of weights: {reason}") from None
    shapes = {name: tensor.shape for name, tensor in blueprint.items()}
    expected = {name: tensor.shape for name, tensor in model.network.state_dict().items()}
    require(shapes == expected, "expected blueprint() to hold the names and shapes of the network's state_dict")


def _check_weights(first: Classifier, again: Classifier, other: Classifier, info: DataInfo) -> None:
    weights, same, different = first.state_dict(), again.state_dict(), other.state_dict()
    require(
        all(torch.equal(weights[name], same[name]) for name in weights),
        "expected initial weights that follow from bind's seed alone, got others the second time",
    )
    require(
        any(not torch.equal(weights[name], different[name]) for name in weights),
        "expected another seed to give other initial weights, got the same",
    )
    other.load_state_dict(weights)
    images = noise(info, 2)
    with torch.no_grad():
        require(
            torch.equal(other(images), first(images)),
            "expected the state_dict to hold all that decides the logits: a saved classifier would differ",
        )


def _check_rows(model: Classifier, info: DataInfo) -> None:
    images = noise(info, 3)
    with torch.no_grad():
        alone, together = model(images[:1]), model(images)[:1]
    require(
        relative_distance(alone, together) < _ROUNDING,
        "expected rows that do not see each other in evaluation mode, got other logits for an image in a batch",
    )


def _check_training(model: Classifier, info: DataInfo) -> None:
    in_place = [name for name, module in model.named_modules() if getattr(module, "inplace", False)]
    require(not in_place, f"expected activations that do not work in place, got {', '.join(in_place)}")
    model.train()(noise(info, 2)).square().sum().backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters()}
    unreached = [name for name, gradient in gradients.items() if gradient is None]
    require(not unreached, f"expected training to reach every weight, got none to {', '.join(unreached[:3])}")
    finite = all(bool(gradient.isfinite().all()) for gradient in gradients.values() if gradient is not None)
    require(finite, "expected finite gradients, got NaN or infinity")
