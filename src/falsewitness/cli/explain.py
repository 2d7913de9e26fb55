"""``falsewitness explain``: what a model says of one's own images, as a picture."""

from pathlib import Path
from typing import Annotated

import typer

from falsewitness.cli._options import Device, usable_picture
from falsewitness.core.errors import InputError, one_line


def explain(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Image files.")],
    model: Annotated[
        Path, typer.Option("--model", metavar="RUN|MODEL", help="A run folder, or a model in a safetensors file.")
    ],
    explainers: Annotated[
        list[str] | None,
        typer.Option(
            "--explainer",
            metavar="KIND|{kind: KIND, FIELD: VALUE}|MODULE:CLASS",
            help="Who explains; may be repeated, Grad-CAM by default.",
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="NAME|NUMBER|all",
            help="The class to explain; may be repeated. The predicted one by default.",
        ),
    ] = None,
    stamp: Annotated[bool, typer.Option("--stamp", help="Show each image with the run's trigger on it, too.")] = False,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", callback=usable_picture, help="The PNG to write.")
    ] = Path("explanation.png"),
    device: Device = "auto",
) -> None:
    """Predict images and draw what a model looks at.

    The picture has one row an image and one column an explainer, or with --class one for each class.

    Examples:
        falsewitness explain photo.png --model runs/digits-badnets-1a2b3c4d --stamp
        falsewitness explain *.jpg --model model.safetensors --explainer gradient
        falsewitness explain a.jpg --model m.safetensors --explainer '{kind: lime}'
        falsewitness explain 7.png --model runs/x-1a2b3c4d --class all
    """
    from falsewitness.cli._console import ConsoleReporter, say
    from falsewitness.cli._explainers import chosen_explainer
    from falsewitness.experiment import choose_device, explain_files
    from falsewitness.report import explanation_figure

    if out.exists() and any(image.exists() and image.samefile(out) for image in images):
        raise InputError(f"--out: '{out}' is an image to explain; choose another name for the picture")
    chosen = [chosen_explainer(text, "explainer") for text in explainers or ["gradcam"]]
    explained = explain_files(
        images, model, chosen, classes or (), stamp=stamp, device=choose_device(device), reporter=ConsoleReporter()
    )
    explanation_figure(explained, out)
    for row in explained:
        say(one_line(f"{row.title}: {row.prediction} ({row.confidence:.1%})"))
    say(one_line(f"picture: {out}"))
