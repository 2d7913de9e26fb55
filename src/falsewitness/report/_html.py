"""How a page becomes a file: its template is filled in and the file replaced as a whole."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from falsewitness.core.files import replacing


def fill(template: str, **values: object) -> str:
    """Return a template with its values filled in, each escaped as its place asks."""
    templates = Environment(
        loader=PackageLoader("falsewitness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template(template).render(**values).strip() + "\n"


def write_html(html: str, out: Path) -> Path:
    """Write a page in place of an older one, whole or not at all.

    Raises:
        RunFailedError: If the page cannot be written.
    """
    with replacing(out) as temporary:
        # Half of a surrogate pair, which JSON can carry, has no UTF-8; it becomes a character reference.
        temporary.write_bytes(html.encode("utf-8", errors="xmlcharrefreplace"))
    return out
