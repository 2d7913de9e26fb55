"""Opens sets in the layout of the Hugging Face hub: from a local folder, or from the hub itself."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from traceback import clear_frames
from typing import TYPE_CHECKING, NamedTuple

from falsewitness.core import InputError
from falsewitness.core.errors import expect_text, first_line, tells_of_memory, tells_of_room, with_its_class
from falsewitness.data._folders import real_path
from falsewitness.data._parquet import check_parquet_files, expect_whole_rows
from falsewitness.data._records import Origin, stamp

if TYPE_CHECKING:
    from datasets import DatasetDict

_ANSWER_WITHIN_SECONDS = 3


@dataclass(frozen=True)
class HubPlace:
    """Where a set is.

    Attributes:
        hub_id: Its name on the hub, ``owner/name``; empty for a local set that has none.
        config: Which of its configurations; None for the only or default one.
        folder: A local copy; None to go to the hub.
        shelf: Where else a local copy may stand, for error messages; empty where nowhere.
    """

    hub_id: str
    config: str | None
    folder: Path | None
    shelf: str = ""

    def origin(self) -> Origin:
        """Return the files of the local copy, or the name on the hub.

        The hub is not asked for changes: the decoded copy stays what it is until its folder is removed.

        Raises:
            InputError: If the local copy is not there.
        """
        if self.folder is None:
            return Origin(f"{self.hub_id} on the Hugging Face hub")
        files = [file for file in sorted(self.folder.rglob("*")) if file.is_file() and not _hidden(file, self.folder)]
        if not files:
            problem = "no files in" if self.folder.is_dir() else "no folder"
            raise InputError(
                f"data.root: {problem} {self.folder}; expected a copy of {self.hub_id or 'a data set'} in "
                "the hub's layout, such as */train-00000-of-00001.parquet"
            )
        for file in files:
            expect_text(str(file), "data.root")
        return Origin(str(self.folder), {file.relative_to(self.folder).as_posix(): stamp(file) for file in files})


def find_place(hub_id: str, config: str | None, root: Path | None, shelf_name: str = "") -> HubPlace:
    """Find a set: at ``root``, else in its folder under ``FALSEWITNESS_DATA``, else on the hub.

    Args:
        hub_id: Its name on the hub.
        config: Which of its configurations.
        root: Where the user says that it is.
        shelf_name: Its folder under ``FALSEWITNESS_DATA``; empty where it has none.

    Raises:
        InputError: If ``FALSEWITNESS_DATA`` names no folder: nothing is fetched for a typing error.
    """
    if root is not None:
        return HubPlace(hub_id, config, real_path(root))
    data = os.environ.get("FALSEWITNESS_DATA")
    if not (shelf_name and data):
        return HubPlace(hub_id, config, None, f"$FALSEWITNESS_DATA/{shelf_name}" if shelf_name else "")
    shelf = real_path(Path(data))
    if not shelf.is_dir():
        raise InputError(f"$FALSEWITNESS_DATA: expected a folder of data sets, got '{data}'; correct or unset it")
    folder = shelf / shelf_name
    return HubPlace(hub_id, config, folder if folder.is_dir() else None, str(folder))


class OpenedSet(NamedTuple):
    """A set that has been read, images still encoded.

    Attributes:
        splits: By name.
        revision: The commit on the hub; empty where it is not known.
        folders: Where its files lie: an image that is a path must be in one of them.
    """

    splits: "DatasetDict"
    revision: str
    folders: tuple[Path, ...]


def open_set(place: HubPlace, scratch: Path) -> OpenedSet:
    """Read a set.

    Args:
        place: Where it is.
        scratch: Takes what ``datasets`` writes down for a local copy.

    Raises:
        InputError: If it cannot be read, or not be had without a network.
    """
    from datasets import load_dataset

    if place.folder is not None:
        return _opened_here(place.folder, place.config, scratch)
    try:
        revision = _revision_on_hub(place.hub_id)
    except ConnectionError as unreachable:
        return _opened_before(place, unreachable)
    with _readable(place.hub_id):
        splits = load_dataset(place.hub_id, place.config, revision=revision)
        return OpenedSet(splits, revision, _folders_of_downloads())


def _opened_here(folder: Path, config: str | None, scratch: Path) -> OpenedSet:
    from datasets import load_dataset, load_dataset_builder

    with _readable(str(folder)), _progress_bars_hidden(), _log_hidden():
        found = load_dataset_builder(str(folder), config, cache_dir=str(scratch)).config
        files = [str(file) for of_split in (found.data_files or {}).values() for file in of_split]
        if not (getattr(found, "columns", None) or getattr(found, "features", None)):  # which say what is read
            check_parquet_files(files)
    try:
        with _readable(str(folder)), _progress_bars_hidden(), _log_hidden():
            splits = load_dataset(str(folder), config, cache_dir=str(scratch))
    except InputError:
        expect_whole_rows(files)  # names the file, which ``datasets`` does not
        raise
    # What the hub's own programs download is links to the files beside it.
    blobs = [folder.parents[1] / "blobs"] if folder.parent.name == "snapshots" else []
    return OpenedSet(splits, "", (folder, real_path(scratch), *blobs))


def _folders_of_downloads() -> tuple[Path, ...]:
    from datasets import config
    from huggingface_hub import constants

    places = (config.HF_DATASETS_CACHE, config.DOWNLOADED_DATASETS_PATH, config.EXTRACTED_DATASETS_PATH)
    return tuple(real_path(Path(place)) for place in (*places, constants.HF_HUB_CACHE))


def _revision_on_hub(hub_id: str) -> str:
    """Ask the hub for the set's newest commit, once: without a network ``datasets`` itself asks for 20 s.

    Raises:
        ConnectionError: If the hub gives no answer.
        InputError: If it has no such set.
    """
    from datasets import config
    from huggingface_hub import HfApi, errors

    if config.HF_HUB_OFFLINE:
        raise ConnectionError("offline mode is on")
    try:
        return str(HfApi().dataset_info(hub_id, timeout=_ANSWER_WITHIN_SECONDS).sha)
    except errors.GatedRepoError:
        raise InputError(f"{hub_id}: accept its terms on {_page(hub_id)} and log in with `hf auth login`") from None
    except errors.HFValidationError as error:
        raise InputError(f"{hub_id}: this is no name of a data set ({first_line(error)}); correct it") from None
    except errors.RepositoryNotFoundError:
        raise InputError(
            f"{hub_id}: the Hugging Face hub has no data set of this name, or a private one; correct the "
            "name, or log in with `hf auth login`"
        ) from None
    except _web_errors() as error:
        raise ConnectionError(first_line(error)) from error


def _opened_before(place: HubPlace, unreachable: ConnectionError) -> OpenedSet:
    """Read the copy that ``datasets`` keeps of a set that it has loaded before."""
    from datasets import load_dataset

    try:
        with _offline():
            return OpenedSet(load_dataset(place.hub_id, place.config), "", _folders_of_downloads())
    except (OSError, ValueError):
        shelf = f"put its files into {place.shelf}, or " if place.shelf else ""
        raise InputError(
            f"{place.hub_id}: not on this machine, and the Hugging Face hub cannot be reached "
            f"({unreachable}); download {_page(place.hub_id)} where it can, then {shelf}let data.root name "
            "the folder of its files"
        ) from None


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """Turn what ``datasets`` raises for a set that it cannot read, which may be anything, into one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - it believes what it finds
        cause = error.__cause__ or error
        if tells_of_room(cause) or tells_of_memory(cause):  # which is not the set's fault, and has advice of its own
            raise cause from None
        problem = first_line(cause) if isinstance(cause, OSError | ValueError) else with_its_class(cause)
        for raised in filter(None, (error, error.__cause__, error.__context__)):
            clear_frames(raised.__traceback__)  # they hold on to a scan of Arrow's, which must end before the process
        raise InputError(f"{what}: cannot be read as a data set: {problem}; mend it, or copy it anew") from None


def _web_errors() -> tuple[type[Exception], ...]:
    """Return what a failed request raises, with requests or with httpx, as huggingface_hub has it."""
    from huggingface_hub import errors

    return OSError, errors.HTTPError  # type: ignore[attr-defined]


@contextmanager
def _offline() -> Iterator[None]:
    from datasets import config

    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before


@contextmanager
def _progress_bars_hidden() -> Iterator[None]:
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    before = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            enable_progress_bars()


@contextmanager
def _log_hidden() -> Iterator[None]:
    """Leave it to our own line to say what is wrong."""
    from datasets.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _page(hub_id: str) -> str:
    return f"https://huggingface.co/datasets/{hub_id}"


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)
