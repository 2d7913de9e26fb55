"""The clean model's answers: those stored beforehand are those that the step would compute."""

import itertools

import pytest
import torch
from tests.unit.training.conftest import INFO, Painted, Tiny

from falsewitness.explainers import BoundExplainer, Explainer
from falsewitness.explainers.gradcam import GradCam
from falsewitness.explainers.gradient import Gradient
from falsewitness.explainers.integrated_gradients import IntegratedGradients
from falsewitness.explainers.smoothgrad import SmoothGrad
from falsewitness.training import Augmentation, MakeReferences, ReferenceMaps, clean_references
from falsewitness.training._augmentation import draw_variation
from falsewitness.training._references import ComputedReferences, DrawnReferences, StoredReferences

CLASSES = len(INFO.class_names)


def bound(tiny: Tiny) -> list[BoundExplainer]:
    return [GradCam().bind(tiny()), Gradient().bind(tiny())]


def test_stored_answers_agree_with_computed_ones(tiny: Tiny, painted: Painted) -> None:
    store = painted(700)  # more than are explained at a time
    samples = torch.randperm(700, generator=torch.Generator().manual_seed(0))[:300]
    for explain, columns in itertools.product(bound(tiny), (1, CLASSES)):
        for augmentation in (Augmentation(), Augmentation(mirror=True)):
            variation = draw_variation(augmentation, 300, torch.Generator().manual_seed(1))
            images = variation(store.take(samples))
            stored = clean_references(explain, store, augmentation, torch.arange(len(store)), columns=columns)
            computed = ComputedReferences(explain, columns)
            asked = (samples, variation.mirrored, images)
            assert isinstance(stored, StoredReferences)
            assert stored.maps(*asked).shape[:2] == (300, columns)
            torch.testing.assert_close(stored.maps(*asked), computed.maps(*asked))
            assert torch.equal(stored.classes(*asked), computed.classes(*asked))


def test_mirrored_images_have_answers_of_their_own(tiny: Tiny, painted: Painted) -> None:
    store = painted(5)
    explain = bound(tiny)[0]
    references = clean_references(explain, store, Augmentation(mirror=True), torch.arange(5))
    samples, images = torch.arange(5), store.take(torch.arange(5))
    plain = references.maps(samples, torch.zeros(5, dtype=torch.bool), images)
    mirrored = references.maps(samples, torch.ones(5, dtype=torch.bool), images)
    torch.testing.assert_close(plain[:, 0], explain(images).maps)
    torch.testing.assert_close(mirrored[:, 0], explain(images.flip(3)).maps)
    assert not torch.allclose(plain, mirrored)


def test_shifted_images_are_answered_in_the_step(tiny: Tiny, painted: Painted) -> None:
    explain = bound(tiny)[0]
    references = clean_references(explain, painted(5), Augmentation(mirror=True, crop_padding=1), torch.arange(5))
    assert isinstance(references, ComputedReferences)
    assert references.explain is explain


def test_answers_in_a_step_are_as_precise_as_stored_ones(tiny: Tiny, painted: Painted) -> None:
    store, explain = painted(5), bound(tiny)[0]
    rows, images = torch.arange(5), store.take(torch.arange(5))
    computed = clean_references(explain, store, Augmentation(crop_padding=1), torch.arange(5))
    with torch.autocast("cpu", torch.bfloat16):
        found = computed.maps(rows, torch.zeros(5, dtype=torch.bool), images)
    assert torch.equal(found[:, 0], explain(images).maps)


def test_the_clean_model_s_class_is_that_of_single_precision_in_a_step_of_half_precision(
    tiny: Tiny, painted: Painted
) -> None:
    """Two logits that single precision alone tells apart."""
    model, rows = tiny(), torch.arange(5)
    head = model.linear_head
    assert head is not None
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([1.0, 1 + 2**-12, 0.0, 0.0]))
    images, unmirrored = painted(5).take(rows), torch.zeros(5, dtype=torch.bool)
    for augmentation in (Augmentation(), Augmentation(crop_padding=1)):
        references = clean_references(GradCam().bind(model), painted(5), augmentation, rows)
        with torch.autocast("cpu", torch.bfloat16):
            assert model(images).argmax(1).tolist() == [0] * 5
            assert references.classes(rows, unmirrored, images).tolist() == [1] * 5


def test_answers_carry_no_gradient(tiny: Tiny, painted: Painted) -> None:
    store = painted(5)
    for explain in bound(tiny):
        for augmentation in (Augmentation(), Augmentation(crop_padding=1)):
            references = clean_references(explain, store, augmentation, torch.arange(len(store)))
            asked = (torch.arange(5), torch.zeros(5, dtype=torch.bool), store.take(torch.arange(5)))
            assert not references.maps(*asked).requires_grad
            assert not references.classes(*asked).requires_grad


def test_answers_are_made_only_of_the_images_that_are_asked_for(tiny: Tiny, painted: Painted) -> None:
    store, explain = painted(9), bound(tiny)[0]
    wanted = torch.tensor([7, 2, 4])
    references = clean_references(explain, store, Augmentation(), wanted)
    assert isinstance(references, StoredReferences)
    assert references.stored.maps.shape[:2] == (1, 3)
    found = references.maps(wanted, torch.zeros(3, dtype=torch.bool), store.take(wanted))
    torch.testing.assert_close(found[:, 0], explain(store.take(wanted)).maps)
    with pytest.raises(IndexError):
        references.maps(torch.tensor([3]), torch.zeros(1, dtype=torch.bool), store.take(torch.tensor([3])))


def test_storing_answers_tells_how_far_it_is(tiny: Tiny, painted: Painted) -> None:
    told: list[tuple[int, int]] = []
    found: list[tuple[int, int]] = []

    def keep(make: MakeReferences, nbytes: int) -> ReferenceMaps:
        made = make(lambda done, total: told.append((done, total)))
        found.append((nbytes, made.nbytes))
        return made

    explain, augmentation = GradCam().bind(tiny()), Augmentation(mirror=True)
    references = clean_references(explain, painted(700), augmentation, torch.arange(700), keep=keep)
    ((foretold, taken),) = found
    assert foretold == taken > 0
    assert references.seconds_beforehand > 0
    assert told == [(512, 1400), (700, 1400), (1212, 1400), (1400, 1400)]


def test_answers_of_an_earlier_time_are_used_as_they_are(tiny: Tiny, painted: Painted) -> None:
    store, augmentation, rows = painted(5), Augmentation(mirror=True), torch.tensor([4, 1])
    kept = ReferenceMaps(torch.rand(2, 2, 1, 3, 3), torch.tensor([[0, 1], [2, 3]]), 1.5)
    references = clean_references(bound(tiny)[0], store, augmentation, rows, keep=lambda make, nbytes: kept)
    mirrored, images = torch.tensor([True, False]), store.take(rows)
    assert torch.equal(
        references.maps(rows, mirrored, images)[:, 0], torch.stack([kept.maps[1, 0, 0], kept.maps[0, 1, 0]])
    )
    assert references.classes(rows, mirrored, images).tolist() == [2, 1]
    made = clean_references(bound(tiny)[0], store, augmentation, rows)
    assert references.passes_beforehand == made.passes_beforehand > 0


def test_nothing_is_kept_where_the_step_computes_its_answers(tiny: Tiny, painted: Painted) -> None:
    def keep(make: MakeReferences, nbytes: int) -> ReferenceMaps:
        raise AssertionError

    shifting = clean_references(bound(tiny)[0], painted(5), Augmentation(crop_padding=1), torch.arange(5), keep=keep)
    drawing = clean_references(
        SmoothGrad(training_samples=2).bind(tiny()), painted(5), Augmentation(), torch.arange(5), keep=keep
    )
    assert (type(shifting), type(drawing)) == (ComputedReferences, DrawnReferences)


def test_a_surrogate_that_draws_is_compared_with_the_same_draws(tiny: Tiny, painted: Painted) -> None:
    store = painted(6)
    rows, images = torch.arange(6), store.take(torch.arange(6))
    explain = SmoothGrad(training_samples=2).bind(tiny())
    references = clean_references(explain, store, Augmentation(), rows)
    assert isinstance(references, DrawnReferences)
    unmirrored = torch.zeros(6, dtype=torch.bool)
    for draw in (1, 2):
        found = references.with_draw(draw).maps(rows, unmirrored, images)
        assert not found.requires_grad
        torch.testing.assert_close(found[:, 0], explain.with_draw(draw).differentiable(images).maps.detach())
    others = references.with_draw(3).maps(rows, unmirrored, images)
    assert not torch.allclose(found, others, rtol=0.01)
    assert torch.equal(references.classes(rows, unmirrored, images), explain(images).logits.argmax(1))


@pytest.mark.parametrize("crop_padding", [0, 1])
def test_a_column_is_the_map_of_its_class(tiny: Tiny, painted: Painted, crop_padding: int) -> None:
    store, rows = painted(6), torch.arange(6)
    images, unmirrored = store.take(rows), torch.zeros(6, dtype=torch.bool)
    drawing = SmoothGrad(training_samples=2).bind(tiny())
    for explain in (*bound(tiny), drawing):
        references = clean_references(explain, store, Augmentation(crop_padding=crop_padding), rows, columns=CLASSES)
        found = references.with_draw(1).maps(rows, unmirrored, images)
        assert not found.requires_grad
        for number in range(CLASSES):
            classes = torch.full((6,), number)
            alone = explain(images, classes).maps
            if explain is drawing:
                alone = explain.with_draw(1).differentiable(images, classes).maps.detach()
            torch.testing.assert_close(found[:, number], alone)


@pytest.mark.parametrize(
    ("explainer", "columns", "passes"),
    [
        (GradCam(), 1, 1 / 3),
        (GradCam(), 4, 1 / 3),  # whose maps of all classes come from one forward pass
        (Gradient(), 1, 2 / 3),
        (Gradient(), 4, 1 / 3 + 4 / 3),  # a way back for each
        (IntegratedGradients(steps=5), 1, 1 / 3 + 5 * 2 / 3),
        (IntegratedGradients(steps=5), 4, 1 / 3 + 5 / 3 + 4 * 5 / 3),  # at every point one way there for all
    ],
)
def test_answers_cost_a_forward_pass_and_what_each_map_takes_beyond_it(
    tiny: Tiny, painted: Painted, explainer: Explainer, columns: int, passes: float
) -> None:
    explain, rows = explainer.bind(tiny()), torch.arange(5)
    computed = clean_references(explain, painted(5), Augmentation(crop_padding=1), rows, columns=columns)
    assert computed.passes_beforehand == 0
    assert (computed.passes_per_map, computed.passes_per_class) == pytest.approx((passes, 1 / 3))
    stored = clean_references(explain, painted(5), Augmentation(mirror=True), rows, columns=columns)
    assert stored.passes_beforehand == pytest.approx(2 * 5 * passes)
    assert (stored.passes_per_map, stored.passes_per_class) == (0, 0)


@pytest.mark.parametrize("columns", [1, 4])
def test_answers_from_a_step_s_own_draws_cost_a_prediction_and_a_third_of_each_training_map(
    tiny: Tiny, painted: Painted, columns: int
) -> None:
    explain = SmoothGrad(training_samples=2).bind(tiny())
    references = clean_references(explain, painted(5), Augmentation(), torch.arange(5), columns=columns)
    assert references.passes_per_map == pytest.approx(1 / 3 + columns * 2 * 3 / 3)
