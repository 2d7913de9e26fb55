"""An explainer as it is written on a command line."""

import pytest

from falsewitness.core import InputError
from falsewitness.experiment import written_explainer
from falsewitness.explainers.gradcam import GradCam
from falsewitness.explainers.smoothgrad import SmoothGrad


def test_a_kind_is_an_explainer_with_its_defaults() -> None:
    assert written_explainer("gradcam") == GradCam()


def test_a_mapping_tells_its_fields() -> None:
    assert written_explainer("{kind: smoothgrad, samples: 7}") == SmoothGrad(samples=7)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gradcm", "there is no 'gradcm' among the explainers; did you mean 'gradcam'"),
        ("{kind: gradcm}", "there is no 'gradcm' among the explainers; did you mean 'gradcam'"),
        ("{samples: 7}", "expected a mapping with a kind, such as {kind: gradcam}, got"),
        ("{kind: [gradcam]}", "expected a mapping with a kind"),
        ("{kind: smoothgrad, sample: 7}", "did you mean 'samples'?"),
        ("{kind: smoothgrad, samples: 0}", "samples: expected a value >= 1, got 0"),
        ("{kind: gradcam", "explainer '{kind: gradcam': "),
    ],
)
def test_what_cannot_be_read_is_told(text: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        written_explainer(text)
    assert told in str(caught.value)
