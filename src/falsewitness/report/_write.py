"""Writes the page: one HTML file that opens anywhere, offline."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from falsewitness.core.errors import InputError
from falsewitness.core.files import replacing
from falsewitness.report._page import lay_out
from falsewitness.report._read import read_run
from falsewitness.report._run import Run


def write_report(runs: Sequence[Path], out: Path) -> Path:
    """Write one page that shows runs side by side.

    The clean model and the control that a run names as its parents are added where their folders are there.

    Args:
        runs: Run folders.
        out: The HTML file; an older one is replaced, whole, once the new one is complete.

    Returns:
        ``out``.

    Raises:
        InputError: If no run is given or a run folder is damaged.
        RunFailedError: If the page cannot be written.
    """
    if not runs:
        raise InputError("a report needs at least one run folder, got none; name what `falsewitness run` has written")
    html = render(with_parents(runs))
    with replacing(out) as temporary:
        # Half of a surrogate pair, which JSON can carry, has no UTF-8; it becomes a character reference.
        temporary.write_bytes(html.encode("utf-8", errors="xmlcharrefreplace"))
    return out


def with_parents(folders: Iterable[Path]) -> list[Run]:
    """Read runs and the parents found beside them, each once, the given ones first."""
    found: dict[Path, Run] = {}
    waiting = list(folders)
    while waiting:
        folder = waiting.pop(0)
        if folder.resolve() in found:
            continue
        run = read_run(folder)
        found[folder.resolve()] = run
        waiting += [path for parent in run.result.parents.values() if (path := folder / parent).is_dir()]
    return list(found.values())


def render(runs: Sequence[Run]) -> str:
    """Return the page as HTML."""
    templates = Environment(
        loader=PackageLoader("falsewitness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("page.html.j2").render(page=lay_out(runs)).strip() + "\n"
