"""``falsewitness evaluate``: a further auditor for a finished model."""

from pathlib import Path
from typing import Annotated

import typer

from falsewitness.cli._options import Changes, Device, usable_folder
from falsewitness.core.errors import InputError


def evaluate(
    model: Annotated[
        Path, typer.Argument(metavar="RUN|MODEL", help="An attack's run folder, or a model in a safetensors file.")
    ],
    auditors: Annotated[
        list[str] | None,
        typer.Option(
            "--auditor",
            metavar="KIND|{kind: KIND, FIELD: VALUE}|PKG:CLASS",
            help="An explainer to judge with; may be repeated.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="RECIPE|FILE",
            help="For a file: the recipe that tells its data, trigger and clean model.",
        ),
    ] = None,
    changes: Changes = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", callback=usable_folder, help="For a file: the folder that run folders go into."
        ),
    ] = Path("runs"),
    device: Device = "auto",
) -> None:
    """Judge a finished model by further explainers, without training it.

    An auditor is a kind that `falsewitness list explainers` names, alone or in a mapping with its fields, or a class of
    your own as package.module:Class, from an installed package or a file in the current folder. The auditors of the run
    or the recipe judge beside it. --set changes what is measured, of a run its auditors, metrics and evaluation. A
    model in a file is compared with the recipe's clean model, which is trained where --out does not hold it yet.

    Examples:
        falsewitness evaluate runs/digits-badnets-1a2b3c4d --auditor gradient
        falsewitness evaluate runs/x-1a2b3c4d --auditor '{kind: rise, masks: 99}'
        falsewitness evaluate runs/digits-badnets-1a2b3c4d --auditor my_file:MyCam
        falsewitness evaluate runs/x-1a2b3c4d --set evaluation.map_samples=50
        falsewitness evaluate model.safetensors --recipe digits/badnets
    """
    from falsewitness.cli._console import ConsoleReporter
    from falsewitness.cli._explainers import chosen_explainer
    from falsewitness.cli._summary import show_report
    from falsewitness.experiment import RunFolder, choose_device, examine_model, examine_run, find_spec

    chosen = [chosen_explainer(name, "auditor") for name in auditors or []]
    target, reporter = choose_device(device), ConsoleReporter()
    if model.is_dir():
        if recipe:
            raise InputError("--recipe: leave it out; it is for a model in a file, and a run folder has its own spec")
        folder = examine_run(RunFolder(model), chosen, changes or (), device=target, reporter=reporter)
    elif not model.exists():
        raise InputError(
            f"there is no '{model}'; expected a folder that `falsewitness run` has written, or a safetensors file"
        )
    elif recipe is None:
        raise InputError(
            f"'{model}' is no run folder; for a model in a file add --recipe, which tells its data and trigger"
        )
    else:
        folder = examine_model(model, find_spec(recipe, changes or []), chosen, out, device=target, reporter=reporter)
    with folder.locked(reporter.notice):
        show_report([folder.path], folder.path / "report.html")
