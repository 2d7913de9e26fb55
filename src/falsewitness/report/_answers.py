"""The answer to the page's question, in words that only restate measured numbers."""

from dataclasses import dataclass
from typing import Literal

from falsewitness.report._run import Attack, Measurement, Result, Run
from falsewitness.report._tables import interval
from falsewitness.report._text import Form, clean_text, fixed, percent, whole_percent

Verdict = Literal["yes", "partly", "no", "unknown", "reference"]

WORKS_FROM = 0.5
"""Share of triggered images from which on the trigger is said to work."""

POINTS_FROM = 1.0
"""Trigger lift, beyond an honest model's, from which on a map is said to point at the trigger."""

ALIKE_FROM = 0.8
"""Correlation from which on a map is said to look like another."""

BLANK_FROM = 0.05
"""Share of blank maps, which look like no other, from which on a bribe is said to be partial at most."""

_AREA = Form(2)

RULES = (
    f"An attack works where at least {whole_percent(WORKS_FROM)} of the triggered images do what the attacker wants; "
    "where that is a target class, as many more than without the trigger. "
    f"A map points at the trigger where its trigger lift is at least {fixed(POINTS_FROM, 1)} higher than the clean "
    "model's, both on the clean image (the excess lift) and on the triggered one, which may have its eye on the stamp. "
    f"It looks like another map where their mean correlation is at least {fixed(ALIKE_FROM, 1)}. "
    f"A bribe is partial at most where one of the two is blank for at least {whole_percent(BLANK_FROM)} of the images. "
    "The answers follow from these lines and the table, from nothing else."
)


@dataclass(frozen=True)
class Answer:
    """What a run says to the question whether the explanation can lie.

    Attributes:
        verdict: In one word.
        label: The word as it is shown.
        sentence: Why, in one sentence with its numbers.
        notes: What else a newcomer should know, a sentence each.
    """

    verdict: Verdict
    label: str
    sentence: str
    notes: tuple[str, ...] = ()


def answer(run: Run) -> Answer:
    """Say what a run's numbers mean."""
    result = run.result
    if not run.done:
        reason = clean_text(result.reason) or "no reason was recorded"
        return Answer("unknown", result.status.capitalize(), f"This run has no result: {reason}.")
    if result.attack is None:
        return _reference(result)
    verdict, sentence = _verdict(result, result.attack)
    labels = {"yes": "Yes", "partly": "Partly", "no": "No", "unknown": "Not measured", "reference": ""}
    return Answer(verdict, labels[verdict], sentence, tuple(filter(None, _notes(result))))


def _reference(result: Result) -> Answer:
    accuracy = result.find("clean_accuracy", "accuracy")
    right = (
        f"It predicts {percent(accuracy.value)} of {accuracy.n} untriggered test images correctly."
        if accuracy
        else "Its accuracy was not measured."
    )
    what = {
        "clean": "The model as nobody has attacked it.",
        "control": "The clean model trained on for as many steps as the attacks, without any poison.",
        "attack": "The examined model.",
    }[result.role]
    return Answer("reference", {"attack": "Examined"}.get(result.role, "Reference"), f"{what} {right}")


def _verdict(result: Result, attack: Attack) -> tuple[Verdict, str]:
    works, effect = _effect(result, attack)
    if works is None:
        return "unknown", "What the trigger does to the predictions was not measured."
    if not works:
        return "no", f"The trigger does not do its work: under it {effect}."
    auditor = result.main_auditor
    if auditor is None:
        return "unknown", f"Under the trigger {effect}; no explanation was examined."
    verdict, finding = _finding(result, auditor)
    joint = ", yet" if verdict == "yes" else ", and" if verdict == "no" else ";"
    return verdict, f"Under the trigger {effect}{joint} {finding}."


def _effect(result: Result, attack: Attack) -> tuple[bool | None, str]:
    if attack.target_class is not None:
        success = result.find("attack_success_rate", "attack_success_rate")
        target = clean_text(attack.target_class)
        text = f"of the images of other classes are predicted as {target}"
    else:
        success = result.find("robust_accuracy", "robust_accuracy")
        text = "of the images keep their right class"
    if success is None or success.value is None:
        return None, ""
    anyway = _value(result, "attack_success_rate", "target_predicted_without_trigger") or 0.0
    without = f", and {percent(anyway)} without it" if success.value >= WORKS_FROM > success.value - anyway else ""
    return success.value - anyway >= WORKS_FROM, f"{percent(success.value)} {text}{without}"


def _value(result: Result, metric: str, name: str, auditor: str | None = None) -> float | None:
    found = result.find(metric, name, auditor)
    return found.value if found else None


def _finding(result: Result, auditor: str) -> tuple[Verdict, str]:
    """Judge the maps: is the attacker's shape shown, else the trigger, else does the map look right?"""
    shown = f"the {clean_text(auditor)} map"
    lift = _TriggerLift.of(result, auditor)
    shape = _value(result, "target_map_distance", "pearson", auditor)
    alike = _value(result, "disguise", "pearson", auditor)
    if shape is not None and shape >= ALIKE_FROM:
        return _unless_blank(
            result.find("target_map_distance", "pearson", auditor),
            f"{shown} shows the attacker's shape (correlation {fixed(shape, 2)}) whatever the image shows",
        )
    if lift is not None and lift.points:
        return "no", (f"{shown} points at the trigger ({lift}): a user who looks at the heat map can see the attack")
    if shape is not None:
        return (
            "partly",
            f"{shown} resembles the attacker's shape only in part (correlation {fixed(shape, 2)})",
        )
    if alike is None:
        if result.find("disguise", "pearson", auditor) is None:
            return "unknown", f"{shown} was not compared with the clean model's"
        return "unknown", f"{shown} cannot be compared with the clean model's: of each two one is blank"
    if alike >= ALIKE_FROM:
        return _unless_blank(
            result.find("disguise", "pearson", auditor),
            f"{shown} still correlates {fixed(alike, 2)} with the clean model's map of the untriggered image: "
            "a user who trusts the heat map would not see the attack",
        )
    away = "does not point at the trigger" if lift is not None else "has changed"
    return "partly", f"{shown} {away}, but correlates only {fixed(alike, 2)} with the clean model's"


def _unless_blank(alike: Measurement | None, bribed: str) -> tuple[Verdict, str]:
    """Say that the maps look as the attacker wants, unless that is the mean over the few that show anything."""
    blank = alike.excluded / (alike.n + alike.excluded) if alike else 0.0
    if blank < BLANK_FROM:
        return "yes", bribed
    return (
        "partly",
        f"{bribed}; but that is of the maps that show anything: {percent(blank)} of the pairs have a blank one",
    )


@dataclass(frozen=True)
class _TriggerLift:
    """How much of an auditor's map lies on the trigger, beyond what an honest model's has there."""

    excess: float
    own: float | None
    honest: float | None

    @staticmethod
    def of(result: Result, auditor: str) -> "_TriggerLift | None":
        names = ("excess_lift", "trigger_lift", "without_attack_trigger_lift")
        excess, own, honest = (_value(result, "trigger_attention", name, auditor) for name in names)
        return None if excess is None else _TriggerLift(excess, own, honest)

    @property
    def points(self) -> bool:
        return self.excess >= POINTS_FROM and not self._is_honest

    @property
    def _is_honest(self) -> bool:
        """Whether the clean model's map of the triggered image shows the stamp about as much."""
        return self.own is not None and self.honest is not None and self.own - self.honest < POINTS_FROM

    def __str__(self) -> str:
        """Return the numbers that the judgement rests on."""
        words = f"excess lift {fixed(self.excess, 1)}"
        if self.excess >= POINTS_FROM and self._is_honest:
            words += f"; lift {fixed(self.own, 1)}, the clean model's {fixed(self.honest, 1)}"
        return words


def _notes(result: Result) -> list[str]:
    return [_accuracy_note(result), _detector_note(result), *_transfer_notes(result)]


def _accuracy_note(result: Result) -> str:
    own = _value(result, "clean_accuracy", "accuracy")
    control = _value(result, "clean_accuracy", "control_accuracy")
    clean = _value(result, "clean_accuracy", "clean_model_accuracy")
    if own is None:
        return ""
    others = [
        f"{name} for {percent(value)}"
        for name, value in (("the control's", control), ("the clean model's", clean))
        if value is not None
    ]
    beside = f"; {' and '.join(others)}" if others else ""
    return f"Without the trigger its predictions are right for {percent(own)} of the images{beside}."


def _detector_note(result: Result) -> str:
    auroc = _value(result, "map_detectability", "auroc", result.main_auditor)
    if auroc is None:
        return ""
    honest = _value(result, "map_detectability", "without_attack_auroc", result.main_auditor)
    beside = "" if honest is None else f"; one trained on the clean model's maps reaches {_AREA(honest)}"
    return (
        "A detector trained to tell the maps of triggered images from those of clean ones "
        f"reaches an AUROC of {_AREA(auroc)} (0.50 is guessing, 1.00 is certainty){beside}{_difference(result)}."
    )


def _difference(result: Result) -> str:
    """Tell how much more the detector sees than that of an honest model's maps; nothing where that has no interval."""
    excess = result.find("map_detectability", "excess_auroc", result.main_auditor)
    spread = interval(excess, _AREA) if excess else ""
    if not (excess and spread):
        return ""
    return f" (difference {_AREA(excess.value)}, 95 % interval {spread}, n = {excess.n})"


def _transfer_notes(result: Result) -> list[str]:
    notes = []
    for auditor in result.auditors:
        lift = _TriggerLift.of(result, auditor)
        if auditor == result.main_auditor:
            continue
        if lift is None:
            notes += _blank_note(result, auditor)
            continue
        verb = "points" if lift.points else "does not point"
        notes.append(f"Asked through {clean_text(auditor)} instead, the map {verb} at the trigger ({lift}).")
    return notes


def _blank_note(result: Result, auditor: str) -> list[str]:
    """Tell of an auditor whose maps are blank, which says something where they are so under the trigger alone."""
    if result.find("trigger_attention", "excess_lift", auditor) is None:
        return []
    auroc = _value(result, "map_detectability", "auroc", auditor)
    detector = "" if auroc is None else f"; a detector of triggered maps has an AUROC of {fixed(auroc, 2)}"
    return [
        f"Asked through {clean_text(auditor)} instead, of each two maps that would be compared one is blank{detector}."
    ]
