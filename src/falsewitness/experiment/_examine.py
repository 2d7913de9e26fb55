"""A finished model before further auditors: nothing is trained anew."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from falsewitness.core import DataInfo, InputError, SpecError
from falsewitness.core.faults import shown
from falsewitness.core.files import sha256_of, what_lies_at, write_text
from falsewitness.experiment._environment import describe_environment
from falsewitness.experiment._evaluate import evaluate
from falsewitness.experiment._labels import expect_own_kinds, labelled
from falsewitness.experiment._recipes import find_spec, read_spec
from falsewitness.experiment._rehearsal import faults_of_explainers
from falsewitness.experiment._reporter import SILENT, Reporter
from falsewitness.experiment._run_folder import RunFolder, unchanged, write_json
from falsewitness.experiment._spec import Role, Spec
from falsewitness.experiment._train import Trained, ensure_trained
from falsewitness.experiment._workplace import Workplace
from falsewitness.explainers import Explainer
from falsewitness.models import load_classifier

_LONGEST_KINDS = 100


def examine_run(
    folder: RunFolder,
    auditors: Sequence[Explainer],
    changes: Sequence[str] = (),
    *,
    device: torch.device | None = None,
    reporter: Reporter = SILENT,
) -> RunFolder:
    """Let further auditors judge a finished run.

    Args:
        folder: The attack's run folder.
        auditors: They are added to those of the spec; those that give the same maps count once.
        changes: ``a.b=value`` each, of the spec's auditors, metrics and evaluation.
        device: Where to compute; the CPU where None.
        reporter: Who is told; nobody by default.

    Returns:
        A folder under ``evaluations/`` in the run folder, with the results of all auditors.

    Raises:
        InputError: If the folder is no finished attack's, one of its models is not beside it, a file was changed, or a
            change is of how the model was trained.
        RunFailedError: If an auditor fails, or the results cannot be written.
    """
    for file in (folder.spec, folder.model):
        if (found := what_lies_at(file)) != "a file":
            raise InputError(
                f"'{folder.path}' holds no finished run: expected a file '{file.name}', found {found}; name a folder "
                "that `falsewitness run` has written"
            )
    folder.marker("evaluate").check(folder.spec)
    spec = find_spec(str(folder.spec), changes)
    _expect_same_training(spec, read_spec(folder.spec))
    work = _workplace(spec, folder.path.resolve().parent, device, reporter)
    expected = work.folder("attack").path
    if folder.path.resolve() != expected:
        raise InputError(
            f"'{folder.path}': expected an attack's run folder, called '{expected.name}' by its spec on this machine; "
            "it is a control's or another model's, was renamed, or was made by another version or in another precision"
        )
    models: dict[Role, Trained] = {}
    for role in work.roles:
        _expect_trained(work, role)
        models[role] = ensure_trained(work, role, models.get("clean"))
    every = _every_able(work, auditors, models["attack"])
    return _examined(work, every, models, folder.path / "evaluations", models["attack"].folder)


def examine_model(
    path: Path,
    spec: Spec,
    auditors: Sequence[Explainer],
    out: Path,
    *,
    device: torch.device | None = None,
    reporter: Reporter = SILENT,
) -> RunFolder:
    """Judge a model from a file as if it were the attacked model of a spec.

    Args:
        path: A safetensors file with its architecture.
        spec: What it is taken for: data, trigger, and the clean model that it is compared with.
        auditors: They are added to those of the spec.
        out: The folder that run folders go into.
        device: Where to compute; the CPU where None.
        reporter: Who is told; nobody by default.

    Returns:
        A folder with the results.

    Raises:
        InputError: If the file holds no model, or one for other data.
        DivergedError: If training the clean model that it is compared with diverges.
        RunFailedError: If an auditor fails, or the results cannot be written.
    """
    model = load_classifier(unchanged(path))
    wanted = spec.data.info()
    if model.info is not None and model.info != wanted:
        raise InputError(f"model '{path}': expected one for {_differing(wanted, model.info, spec.name)}")
    work = _workplace(spec, out, device, reporter)
    digest = sha256_of(path)
    folder = RunFolder(out / f"model-{path.stem}-{digest[:8]}")
    stranger = Trained(folder, digest, work.placed(model), given_as=path)
    every = _every_able(work, auditors, stranger)
    models: dict[Role, Trained] = {"clean": ensure_trained(work, "clean", None), "attack": stranger}
    with folder.locked(reporter.notice):
        write_json(folder.environment, describe_environment(work.device, work.precision))
        write_json(folder.cost, {})  # of its training nothing is known
        write_text(folder.steps, "")
    return _examined(work, every, models, folder.path / "evaluations", folder)


def _workplace(spec: Spec, out: Path, device: torch.device | None, reporter: Reporter) -> Workplace:
    if spec.attack is None:
        raise InputError(f"'{spec.name}' has no attack, so there is no trigger to judge explanations under")
    spec = spec.checked()
    with reporter.progress(f"reading {spec.data.kind}") as progress:
        dataset = spec.data.prepare(reporter.notice, progress)
    return Workplace(spec, dataset, out, device or torch.device("cpu"), reporter)


def _expect_same_training(spec: Spec, trained: Spec) -> None:
    measured = {"auditors": spec.auditors, "metrics": spec.metrics, "evaluation": spec.evaluation}
    if spec != (same := trained.model_copy(update=measured)):
        changed = [name for name in type(spec).model_fields if getattr(spec, name) != getattr(same, name)]
        raise InputError(
            "--set: of a finished run, expected changes of auditors, metrics or evaluation alone, as it is not trained "
            f"anew, got one of {', '.join(changed)}; run the recipe with the change instead"
        )


def _expect_trained(work: Workplace, role: Role) -> None:
    folder = work.folder(role)
    if not folder.is_done("train", work.digest(role)):
        remedy = "run folders of an experiment stay beside one another"
        if folder.model.is_file():
            remedy = f"no '{folder.marker('train').path.name}' vouches for its files; restore it, or run the spec again"
        raise InputError(f"there is no finished {role} model of '{work.spec.name}' in '{folder.path}'; {remedy}")


def _every_able(work: Workplace, auditors: Sequence[Explainer], trained: Trained) -> tuple[Explainer, ...]:
    """Return the spec's auditors and further ones, each once, when all of them have explained one image.

    Raises:
        InputError: If one bears the kind of another class.
        SpecError: With all that cannot explain the model.
        RunFailedError: If one fails.
    """
    expect_own_kinds((*work.spec.auditors, *auditors))
    once = dict[Explainer, Explainer]()
    for auditor in (*work.spec.auditors, *auditors):
        once.setdefault(auditor.as_auditor(), auditor)
    every = tuple(once.values())
    named = {f"auditor '{label}'": auditor for label, auditor in labelled(every).items()}
    if faults := list(faults_of_explainers(named, trained.model, work.dataset)):
        raise SpecError(faults, f"the evaluation of '{trained.given_as or trained.folder.path}'")
    return every


def _examined(
    work: Workplace,
    every: tuple[Explainer, ...],
    models: dict[Role, Trained],
    where: Path,
    trained_in: RunFolder,
) -> RunFolder:
    # Only now: an auditor that no catalogue knows must not get into the spec.yaml of a model that is trained.
    work = replace(work, spec=work.spec.model_copy(update={"auditors": every}))
    digest = work.eval_digest("attack", {role: trained.digest for role, trained in models.items()})
    kinds = "-".join(dict.fromkeys(auditor.kind for auditor in every))
    # Many auditors make a longer name than file systems take; the digest alone tells folders apart.
    into = RunFolder(where / f"{kinds[:_LONGEST_KINDS]}-{digest[:8]}")
    evaluate(work, models, "attack", into, trained_in)
    return into


def _differing(wanted: DataInfo, got: DataInfo, name: str) -> str:
    """Say what data a model should be for, and what it is for instead."""
    if (expected := _described(wanted)) != (found := _described(got)):
        return f"{expected} as in '{name}', got one for {found}"
    pairs = zip(wanted.class_names, got.class_names, strict=True)
    others = [(number, *pair) for number, pair in enumerate(pairs) if pair[0] != pair[1]]
    if not others:
        return f"{'several labels' if wanted.multi_label else 'one label'} an image as in '{name}', got another"
    number, ours, its = others[0]
    more = f", and {len(others) - 1} more that differ" if len(others) > 1 else ""
    return f"the classes of '{name}', whose class {number} is {shown(ours)}, got {shown(its)}{more}"


def _described(info: DataInfo) -> str:
    return f"{info.width}x{info.height}x{info.channels} images in {info.num_classes} classes"
