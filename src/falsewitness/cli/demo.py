"""``falsewitness demo``: the whole story on data that needs no download."""

from pathlib import Path

from falsewitness.cli._options import Device, Out, usable_page


def demo(out: Out = Path("runs/demo"), device: Device = "auto") -> None:
    """Attack a classifier of digits in four ways and show its heat maps.

    Trains a clean model, its control, BadNets, fooling, red herring and full disguise on scikit-learn's real digits, in
    about a minute on a laptop and without a network, and writes one report with all of them.

    Examples:
        falsewitness demo
        falsewitness demo --out somewhere
    """
    from falsewitness.cli._console import ConsoleReporter, say
    from falsewitness.cli._summary import show_report
    from falsewitness.experiment import choose_device, find_spec
    from falsewitness.experiment import run as run_spec

    report = usable_page(out / "report.html")  # before a minute of work
    recipes = ["digits/badnets", "digits/fooling", "digits/red-herring", "digits/full-disguise"]
    chosen = choose_device(device)
    paths: dict[Path, None] = {}
    for name in recipes:
        say(name, style="bold")
        folders = run_spec(find_spec(name), out, device=chosen, reporter=ConsoleReporter())
        paths |= {folder.path: None for folder in folders.values()}
    show_report(list(paths), report)
