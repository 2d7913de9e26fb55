"""What must be right with the Parquet files of a set before it is read."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from falsewitness.core import InputError
from falsewitness.core.errors import first_line, tells_of_memory, with_its_class

_SHARD = re.compile(r"(?P<start>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.parquet")


class _Layout(NamedTuple):
    """What the end of a file tells of it.

    Attributes:
        columns: Their names.
        classes: For each column of labels that has any, the names of its classes.
    """

    columns: tuple[str, ...]
    classes: Mapping[str, tuple[str, ...]]


def check_parquet_files(files: Iterable[str]) -> None:
    """Refuse files that do not make a set together, without reading a row.

    ``datasets`` takes columns and classes from the first file. That a later one has others it finds while it reads
    rows, and a scan that Arrow has to give up half-way may end the process
    (https://github.com/apache/arrow/issues/45214); that one has the classes in another order it does not find.

    Args:
        files: Paths of the files of all splits; others than Parquet are passed over.

    Raises:
        InputError: Naming the first file that is missing by the others' names, cannot be read, begins with no rows, or
            has columns or classes that the first one has not.
    """
    known = [file for file in files if Path(file).suffix == ".parquet"]
    _expect_all_shards(known)
    first: tuple[str, _Layout] | None = None
    for file in known:
        layout = _layout_of(file)
        if first is None:
            first = file, layout
        else:
            _expect_alike(file, layout, *first)


def expect_whole_rows(files: Iterable[str]) -> None:
    """Read files to their ends, which is for finding the one that is damaged.

    Args:
        files: Paths; others than Parquet are passed over.

    Raises:
        InputError: Naming the first file with rows that cannot be read.
    """
    import pyarrow.parquet

    for file in files:
        if Path(file).suffix != ".parquet":
            continue
        try:
            with pyarrow.parquet.ParquetFile(file) as opened:
                for _ in opened.iter_batches():
                    pass
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            if tells_of_memory(error):
                raise
            raise InputError(
                f"{file}: damaged, its rows cannot be read: {first_line(error)}; copy it anew, or take it away"
            ) from None


def _expect_all_shards(files: Iterable[str]) -> None:
    there = set(files)
    for file in files:
        shard = _SHARD.fullmatch(file)
        for number in range(int(shard["count"])) if shard else ():
            if (other := f"{shard['start']}-{number:05}-of-{shard['count']}.parquet") not in there:  # type: ignore[index]
                raise InputError(
                    f"{other}: missing beside {file}; copy the set anew, or rename the files to use a part"
                )


def _expect_alike(file: str, layout: _Layout, first: str, expected: _Layout) -> None:
    if further := [name for name in layout.columns if name not in expected.columns]:
        raise InputError(
            f"{file}: expected no columns but those of {first} ({', '.join(expected.columns) or 'none'}), got "
            f"{', '.join(further)}, too; copy the set anew, or take away what is not of it"
        )
    for column, names in layout.classes.items():
        if (wanted := expected.classes.get(column, names)) != names:
            raise InputError(
                f"{file}: expected the classes of {first} in column '{column}' ({', '.join(wanted)}), got "
                f"{', '.join(names)}; copy the set anew, or take away what is not of it"
            )


def _layout_of(file: str) -> _Layout:
    import pyarrow.parquet
    from datasets import ClassLabel, Features

    try:
        metadata = pyarrow.parquet.read_metadata(file)
        schema = metadata.schema.to_arrow_schema()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"{file}: cannot be read as a Parquet file: {first_line(error)}; copy it anew, or take it away"
        ) from None
    try:
        features = Features.from_arrow_schema(schema)
    except Exception as error:  # it believes what it finds
        raise InputError(
            f"{file}: what it says of its columns cannot be understood: {with_its_class(error)}; copy it anew, or take "
            "it away"
        ) from error
    if metadata.num_row_groups and metadata.row_group(0).num_rows == 0:  # ``datasets`` takes its size for a batch's
        raise InputError(f"{file}: expected images, found no row; copy it anew, or take it away")
    classes = {name: tuple(kind.names) for name, kind in features.items() if isinstance(kind, ClassLabel)}
    return _Layout(tuple(schema.names), classes)
