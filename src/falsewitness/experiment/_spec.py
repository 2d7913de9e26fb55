"""The spec: everything that an experiment is, as nested components."""

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import cache
from typing import Annotated, Literal, Self, get_args

import yaml
from pydantic import AfterValidator, Field

from falsewitness.attacks import AnyAttack
from falsewitness.core import DataInfo, Fault, InputError, SpecError
from falsewitness.core.component import Strict
from falsewitness.core.faults import shown
from falsewitness.core.parts import faults_of_rules, faults_of_the_rest
from falsewitness.core.places import class_of, classes_taken
from falsewitness.core.seeds import LARGEST_SEED
from falsewitness.data import DIVIDING_FIELDS, AnyData, DataSource
from falsewitness.explainers import EXPLAINERS, AnyExplainer
from falsewitness.explainers.gradcam import GradCam
from falsewitness.metrics import METRICS, AnyMetric, Metric
from falsewitness.models import AnyArchitecture
from falsewitness.training import Precision, Training

LONGEST_NAME = 100
"""Characters of a spec's name: folders are called after it."""


class Evaluation(Strict):
    """What maps are measured on, and what the gallery shows."""

    map_samples: Annotated[int, Field(ge=20)] = 1000
    """Test images whose maps are compared: equally many of each class but the target, as far as they reach; fixed by
    the split's seed."""

    detector_samples: Annotated[int, Field(ge=20)] = 1000
    """Validation images, at most, on which the detector of triggered maps is trained."""

    gallery_images: Annotated[int, Field(ge=1, le=20)] = 6
    """Images in each part of the gallery: shared by all runs, successes, failures."""


@cache
def _all_metrics() -> tuple[Metric, ...]:
    return tuple(METRICS.get(kind).parse({"kind": kind}, kind) for kind in METRICS.kinds())


def _folder_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)*", name):
        raise ValueError(f"expected letters, digits, '_', '.' and '-' in parts joined by '/', got {shown(name)}")
    return name


FolderName = Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(_folder_name)]
"""A name that folders are called after."""


_NAMES_OF_PARENTS = ("clean", "control")


class Spec(Strict):
    """One experiment: what is trained on what, attacked how, and measured by whom."""

    name: FolderName
    """What the run is called in tables and folders."""

    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0
    """Seed of initial weights, order, augmentation and plan; the split has its own."""

    precision: Precision = "auto"
    """Of forward passes in training: ``auto`` is bf16 where the machine has instructions for it."""

    data: AnyData
    """Images and labels."""

    model: AnyArchitecture
    """The architecture."""

    clean_training: Training
    """How the clean model is trained."""

    attack: AnyAttack | None = None
    """The attack; null for a clean model alone."""

    attack_training: Training | None = None
    """How the attack is trained; needed where there is an attack."""

    auditors: Annotated[tuple[AnyExplainer, ...], Field(strict=False, min_length=1)] = (GradCam(),)
    """The explainers that judge the model, the attack's surrogate among them or not."""

    metrics: Annotated[tuple[AnyMetric, ...], Field(strict=False)] = Field(
        default_factory=_all_metrics, validate_default=False
    )
    """What is measured; everything by default."""

    evaluation: Evaluation = Evaluation()
    """On what it is measured."""

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        yield from faults_of_rules(
            self._check_name, self._check_attack_training, self._check_auditors, self._check_metrics
        )

    def _check_name(self) -> Iterator[Fault]:
        if self.attack is not None and self.name in _NAMES_OF_PARENTS:
            yield Fault("name", f"expected another than '{self.name}', as models that attacks share are called")

    def _check_attack_training(self) -> Iterator[Fault]:
        if self.attack is not None and self.attack_training is None:
            yield Fault("attack_training", "missing; an attack needs to be told how it is trained")
        if self.attack is None and self.attack_training is not None:
            yield Fault("attack_training", "expected none where there is no attack; remove it or add an attack")

    def _check_auditors(self) -> Iterator[Fault]:
        yield from _repeated("auditors", [auditor.as_auditor() for auditor in self.auditors], "remove it")

    def _check_metrics(self) -> Iterator[Fault]:
        # Measurements are told apart by the kind of their metric.
        yield from _repeated("metrics", [metric.kind for metric in self.metrics], "a kind is measured once")

    def checked(self, info: DataInfo | None = None) -> Self:
        """Return the spec if its parts fit one another and the data.

        Args:
            info: Of data that is at hand; None to ask the spec's own source.

        Raises:
            SpecError: With all faults and their paths.
        """
        faults = self.check(self.data.info() if info is None else info)
        if faults:
            raise SpecError(faults, f"spec '{self.name}'")
        return self

    def to_yaml(self) -> str:
        """Return the spec as YAML that reads back as an equal spec."""
        plain = self.plain()
        text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
        # PyYAML reads Unicode's own line breaks as spaces unless they are escaped.
        return text if yaml.safe_load(text) == plain else yaml.safe_dump(plain, sort_keys=False)


def readable_again(spec: Spec) -> Spec:
    """Return a spec without auditors that no catalogue knows: whoever reads its YAML may not have their code."""
    known = tuple(auditor for auditor in spec.auditors if EXPLAINERS.knows(auditor))
    return spec.model_copy(update={"auditors": known})


def parse_spec(raw: object, where: str) -> Spec:
    """Build a spec as :meth:`Spec.parse` does, and name all that is wrong with a faulty one at once.

    Args:
        raw: Mappings, lists, strings, numbers.
        where: What is being read, for the error message.

    Raises:
        SpecError: With every fault and its path, also of sound parts that do not fit the data.
    """
    try:
        return Spec.parse(raw, where)
    except SpecError as error:
        raise SpecError([*error.faults, *_misfits(raw, error.faults)], where) from None


def _misfits(raw: object, faults: Iterable[Fault]) -> Iterator[Fault]:
    """Yield what in a faulty spec does not fit its other parts or its data, if these can be asked at once."""
    field = Spec.model_fields["data"]
    given = raw.get("data") if isinstance(raw, dict) else None
    source = class_of(list(classes_taken(field.annotation, field.metadata)), given)
    if source is None or not issubclass(source, DataSource):
        return
    try:
        info = _parsed_without_division(source, given).info_at_hand()
    except SpecError:
        return  # its faults are known
    except InputError as error:
        yield Fault("data", str(error))
        return
    if info is not None:
        yield from faults_of_the_rest(Spec, raw, faults, info)


def _parsed_without_division(source: type[DataSource], given: object) -> DataSource:
    """Build a data source; of one whose faults are all in how it is divided, what its images are.

    Raises:
        SpecError: If another field is faulty.
    """
    try:
        return source.parse(given, "data")
    except SpecError as error:
        if not isinstance(given, dict) or not DIVIDING_FIELDS.issuperset(fault.path for fault in error.faults):
            raise
    return source.parse({name: value for name, value in given.items() if name not in DIVIDING_FIELDS}, "data")


def _repeated(field: str, items: Sequence[Hashable], advice: str) -> Iterator[Fault]:
    first: dict[Hashable, int] = {}
    for position, item in enumerate(items):
        if (earlier := first.setdefault(item, position)) < position:
            yield Fault(f"{field}[{position}]", f"expected another than {field}[{earlier}], got the same; {advice}")


Role = Literal["clean", "control", "attack"]
"""What a model in an experiment is: the clean one, the clean one trained on as long as the attack, or the attacked."""

ROLES: tuple[Role, ...] = get_args(Role)
"""In the order in which they need one another."""
