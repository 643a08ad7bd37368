"""Rows from anywhere: a Hub data set, Parquet, JSON lines or an official download."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import datasets
from datasets.packaged_modules.parquet.parquet import ParquetConfig
from huggingface_hub import constants

from ..errors import KDLandmarksError
from ..hub_errors import ask_the_hub
from ..hub_patience import patient_hub
from ..schemes import LandmarkScheme
from .json_lines import read_json_lines
from .official import official_rows
from .rows import COLUMNS, TARGETS, RawRow, build_rows
from .streaming import features_of, streamed_rows

_Part = TypeVar("_Part")
_logger = logging.getLogger(__name__)


def load_rows(
    source: str | Path,
    split: str | None = None,
    *,
    scheme: LandmarkScheme,
    box: str = "gt",
    revision: str | None = None,
    skip_bad_rows: bool = False,
    token: str | bool | None = None,
    streaming: bool = False,
) -> datasets.Dataset:
    """Loads faces into the row format of `kd_landmarks.data.rows`; decodes no picture.

    Args:
        source: what exists on disk is a path: a `.jsonl` file or a folder of them (their fields:
            `kd_landmarks.data.json_lines`), a `.parquet` file or a folder of them in the row
            format, the official folder of 300W or WFLW, COFW's `.mat` file or folder. Anything
            else that does not look like a path is the id of a data set on the Hub.
        split: which part; the error for an unknown one lists what there is. None where there is
            only one.
        scheme: the landmarks' scheme.
        box: "gt" for the tight box of the landmarks, "dataset" for the data set's own, refused
            where it has none.
        revision: branch, tag or commit of a Hub data set.
        skip_bad_rows: leave out rows that cannot be read and list them in the log.
        token: access token for the Hub; True for the stored one.
        streaming: leave the photos of Parquet, here or on the Hub, where they are; those who want
            one fetch it by `kd_landmarks.data.photos.Photos`, with the stored token.

    Raises:
        KDLandmarksError: nothing there, an unknown split, a bad row (named by file and line).
    """
    if streaming and token not in (None, True):
        raise KDLandmarksError(
            "photos are streamed long after this call, with the stored token: run `hf auth login` "
            "or set HF_TOKEN instead of giving one"
        )
    path = Path(source).expanduser()
    rows: Iterator[RawRow] | None
    images = None
    if path.exists():
        origin = str(path)
        if revision is not None:
            raise KDLandmarksError(f"revision {revision!r} is for Hub data sets; {path} is on disk")
        is_lines = path.suffix == ".jsonl" or any(path.glob("*.jsonl"))
        if streaming and (is_lines or not holds_parquet(path)):
            raise KDLandmarksError(
                f"{path} cannot be streamed, as only Parquet and data sets on the Hub can: make "
                "Parquet of it with `kd-landmarks convert`, or leave streaming out"
            )
        if is_lines:
            rows = read_json_lines(path, split, scheme)
        elif holds_parquet(path):
            images = _load_parquet(path, split, streaming)
            rows = _stored_rows(images, path.name)
        else:
            rows = official_rows(path, split, scheme)
        if rows is None:
            raise KDLandmarksError(
                f"{path} holds no faces in a form that is known here: give .jsonl or .parquet "
                "files, or the folder of 300W (helen, lfpw, afw, ibug), of WFLW "
                "(WFLW_annotations, WFLW_images) or of COFW (COFW_train_color.mat, "
                "COFW_test_color.mat)"
            )
    else:
        origin = str(source)
        images = load_stored(source, split, revision, token, streaming)
        rows = _stored_rows(images, origin)
    return build_rows(
        rows, scheme, box=box, origin=origin, skip_bad_rows=skip_bad_rows, images=images
    )


def holds_parquet(path: Path) -> bool:
    """Whether a path is a `.parquet` file, or a folder with some in it or one level down."""
    return path.suffix == ".parquet" or any(path.glob("*.parquet")) or any(path.glob("*/*.parquet"))


def load_stored(
    source: str | Path,
    split: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    streaming: bool = False,
) -> datasets.Dataset:
    """One split of Parquet on disk or of a data set on the Hub, just as it is stored.

    Args: as `load_rows`; of a stream only the columns that rows are made of.

    Raises:
        KDLandmarksError: nothing there, or an unknown split.
    """
    path = Path(source).expanduser()
    if path.exists() and holds_parquet(path):
        return _load_parquet(path, split, streaming)
    if path.exists() or isinstance(source, Path) or _looks_like_a_path(source):
        problem = f"{source} holds no faces"
        if not path.exists():
            problem = f"there is no file or folder {source}"
        raise KDLandmarksError(f"{problem} (a data set on the Hub is called owner/name)")
    return _load_from_hub(source, split, revision, token, streaming)


def _looks_like_a_path(source: str) -> bool:
    """Whether a text that names nothing on disk was meant as a path, not as a Hub id."""
    return (
        source.startswith((".", "/", "~"))
        or source.count("/") > 1
        or "\\" in source
        or source.endswith((".jsonl", ".json", ".parquet", ".mat", ".pts", ".txt"))
    )


def _load_from_hub(
    name: str,
    split: str | None,
    revision: str | None,
    token: str | bool | None,
    streaming: bool,
) -> datasets.Dataset:
    with _clear_errors(name, revision), patient_hub() as hub:
        try:
            ask_the_hub()
        except Exception as error:  # each HTTP library has a family of its own
            if streaming:
                raise ConnectionError(f"{error}; streaming needs the Hub itself") from error
            hub.give_up(error)  # else datasets asks for each file half a minute long
        if streaming:
            builder = datasets.load_dataset_builder(name, revision=revision, token=token)
        else:
            parts = datasets.load_dataset(name, revision=revision, token=token)
            if hub.over is not None and not constants.is_offline_mode():
                _logger.warning("%s", _from_the_cache(name, parts, hub.over))
    return _stream(builder, split, name) if streaming else _part(parts, split, name)


def _from_the_cache(name: str, parts: datasets.DatasetDict, reason: Exception) -> KDLandmarksError:
    """That what was loaded was downloaded before, and as far as is known which commit, and when."""
    told = ""
    for stored in (file["filename"] for part in parts.values() for file in part.cache_files[:1]):
        day = time.strftime("%Y-%m-%d", time.localtime(Path(stored).stat().st_mtime))
        told = f": commit {Path(stored).parent.name[:12]}, downloaded on {day}"
    return KDLandmarksError(f"{name} is taken from the cache of datasets{told}. {reason}")


def _stream(builder: datasets.DatasetBuilder, split: str | None, origin: str) -> datasets.Dataset:
    """The rows of a builder's split, their photos left where they are."""
    if not isinstance(builder.config, ParquetConfig):
        raise KDLandmarksError(
            f"{origin} cannot be streamed, for it is not stored as Parquet: `kd-landmarks convert "
            "own` makes Parquet of a copy; or leave streaming out"
        )
    files = _part(builder.config.data_files or {}, split, origin)
    features = builder.info.features or features_of(files[0])
    known, attributes = _row_columns(features)
    return streamed_rows(files, features, [*known, *attributes])


@contextmanager
def _clear_errors(name: str, revision: str | None) -> Iterator[None]:
    """What can go wrong with a data set on the Hub, with the mend."""
    try:
        yield
    except datasets.exceptions.DatasetNotFoundError as error:
        raise KDLandmarksError(
            f"{name}: no such data set on the Hub, or no access to it ({error}): check the id"
            f"{'' if revision is None else f' and the revision {revision!r}'}, or give a token"
        ) from error
    except ConnectionError as error:
        raise KDLandmarksError(
            f"{name} is no path here, and the Hub is out of reach ({error}): check the path, or "
            "download the data set while online; with HF_HUB_OFFLINE=1 only what was downloaded "
            "before can be had"
        ) from error
    except KDLandmarksError:
        raise
    except Exception as error:  # whatever a strange answer of the Hub, or strange files, lead to
        reason = str(error).strip().partition("\n")[0] or repr(error)
        raise KDLandmarksError(f"cannot load the data set {name} from the Hub: {reason}") from error


def _load_parquet(path: Path, split: str | None, streaming: bool = False) -> datasets.Dataset:
    """Local Parquet; a file's split is called by its name up to the first hyphen."""
    load = datasets.load_dataset_builder if streaming else datasets.load_dataset
    try:
        if path.is_dir():
            loaded = load(str(path))
        else:
            name = re.sub(r"\W", "_", path.stem.partition("-")[0])
            loaded = load("parquet", data_files={name: str(path)})
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise KDLandmarksError(f"cannot read {path} as Parquet: {error}") from error
    if streaming:
        return _stream(loaded, split, str(path))
    return _part(loaded, split, str(path))


def _part(parts: Mapping[str, _Part], split: str | None, origin: str) -> _Part:
    if split is None and len(parts) == 1:
        return next(iter(parts.values()))
    if split is None or split not in parts:
        problem = "name a split" if split is None else f"there is no split {split!r}"
        raise KDLandmarksError(f"{origin}: {problem}; splits there: {', '.join(parts)}")
    return parts[split]


def _stored_rows(stored: datasets.Dataset, origin: str) -> Iterator[RawRow]:
    """Raw rows, without their pictures, of a data set that is in the row format or near it.

    Only `image` and `landmarks` must be there. Columns of whole numbers that the format does not
    know are attributes; other unknown columns are left out.
    """
    for name, what in (("image", "pictures"), ("landmarks", "N pairs x, y in pixels")):
        if name not in stored.column_names:
            raise KDLandmarksError(
                f"{origin} has no column {name!r} ({what}), but {', '.join(stored.column_names)}"
            )
    known, attributes = _row_columns(stored.features)
    known.remove("image")
    rows = stored.with_format(None).select_columns([*known, *attributes])
    for number, row in enumerate(rows, start=1):
        source = row.get("source") or f"{origin}:{number}"
        yield {
            **{name: row[name] for name in known},
            "attributes": {name: row[name] for name in attributes},
            "photo": row.get("photo") or source,
            "source": source,
        }


def _row_columns(features: datasets.Features) -> tuple[list[str], list[str]]:
    """The columns that rows are made of: those that the format knows, and attributes."""
    known = [name for name in (*COLUMNS, *TARGETS, "visible") if name in features]
    attributes = [
        name
        for name, kind in features.items()
        if name not in known and re.match(r"u?int|bool", getattr(kind, "dtype", None) or "")
    ]
    return known, attributes
