"""What must be right with the Parquet files of a set before it is read."""

from collections.abc import Iterable
from pathlib import Path

from falsewitness.core import InputError
from falsewitness.core.errors import first_line


def check_parquet_files(files: Iterable[str]) -> None:
    """Refuse files that are damaged, begin with no rows or have further columns, without reading a row.

    ``datasets`` would find the same only while it reads rows, and a scan that Arrow has to give up half-way may end
    the process (https://github.com/apache/arrow/issues/45214).

    Args:
        files: Paths of the files of all splits; others than Parquet are passed over.

    Raises:
        InputError: Naming the first file that cannot be read, has no rows or a column that the first one lacks.
    """
    first: tuple[str, list[str]] | None = None
    for file in files:
        if Path(file).suffix != ".parquet":
            continue
        columns = _columns_of(file)
        if first is None:
            first = file, columns
        elif further := [name for name in columns if name not in first[1]]:
            raise InputError(
                f"{file}: expected no columns but those of {first[0]} ({', '.join(first[1]) or 'none'}), got "
                f"{', '.join(further)}, too; copy the set anew, or take away what is not of it"
            )


def _columns_of(file: str) -> list[str]:
    import pyarrow.parquet

    try:
        metadata = pyarrow.parquet.read_metadata(file)
        columns = list(metadata.schema.to_arrow_schema().names)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(
            f"{file}: cannot be read as a Parquet file: {first_line(error)}; copy it anew, or take it away"
        ) from None
    if metadata.num_row_groups and metadata.row_group(0).num_rows == 0:  # ``datasets`` takes its size for a batch's
        raise InputError(f"{file}: expected images, found no row; copy it anew, or take it away")
    return columns
