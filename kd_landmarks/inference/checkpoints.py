"""Where a checkpoint's files are: in a folder or on the Hub."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import KDLandmarksError
from ..utils.cache import usable_cache

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
WEIGHTS = "model.safetensors"
ONNX_FILE, INT8_FILE = "onnx/model.onnx", "onnx/model_int8.onnx"
"""Where a checkpoint has itself for ONNX Runtime, as is usual on the Hub."""
DEFAULT_FOLDER = Path(__file__).parents[1] / "models" / "weights" / "mobilenetv2-300w"
"""Of the student that comes with the package."""

TRAINING, METRICS, RECIPE, RUN = "training.json", "metrics.json", "recipe.yaml", "run.json"
"""What a training leaves beside its network, and in the folder above."""
_RUN_FILES = (TRAINING, METRICS, RECIPE, RUN)
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def default_checkpoint() -> str:
    """The folder of the student that comes with the package, as `from_pretrained` takes it.

    Its 68 points are `ibug68`'s; its training data are for research only: see the folder's
    README.md.

    Raises:
        KDLandmarksError: if its files are missing.
    """
    missing = [
        name for name in (CONFIG, WEIGHTS, PROCESSOR) if not (DEFAULT_FOLDER / name).is_file()
    ]
    if missing:
        raise KDLandmarksError(
            f"the package's own network is incomplete: no {', '.join(missing)} in "
            f"{DEFAULT_FOLDER}. Install kd-landmarks anew, or pass the folder or Hub id of another "
            'detector, such as model="runs/300w/student"'
        )
    return str(DEFAULT_FOLDER)


class HubDownError(KDLandmarksError):
    """A checkpoint's file cannot be had from the Hub now, though it is there."""


@dataclass(frozen=True)
class CheckpointFiles:
    """A checkpoint's files, fetched on demand.

    Attributes:
        source: the folder or Hub id, for messages.
        sizes: bytes of the files that there are, by name; of some the size may be unknown.
        fetch: a file's name to its path, downloaded where need be.
    """

    source: str
    sizes: Mapping[str, int | None]
    fetch: Callable[[str], str | Path]

    def path(self, name: str, max_bytes: int) -> Path:
        """A file on disk.

        Raises:
            KDLandmarksError: if it is missing, or larger than any real one; then it is
                not downloaded.
        """
        if name not in self.sizes:
            raise KDLandmarksError(self._lacks(name))
        known = self.sizes[name]
        path = self.fetch(name) if known is None or known <= max_bytes else None
        size = known if path is None else Path(path).stat().st_size
        if path is None or size is None or size > max_bytes:
            raise KDLandmarksError(
                f"{name} of {self.source} has {size} bytes, where {max_bytes} would be plenty"
            )
        return Path(path)

    def _lacks(self, name: str) -> str:
        problem = f"{self.source} is not a kd-landmarks checkpoint: it has no {name}"
        pickled = sorted(other for other in self.sizes if other.endswith(_PICKLED))
        if name == WEIGHTS and pickled:
            problem += (
                f", and {pickled[0]} is not loaded, since unpickling it may run code: ask its "
                "owner for safetensors"
            )
        return problem


def own_files(source: str | Path | None) -> list[Path]:
    """What a command that reads a checkpoint must not replace: its files, and those of its run.

    Args:
        source: a folder, a Hub id, whose files are in nobody's way, or None for the package's own.
    """
    folder = DEFAULT_FOLDER if source is None else Path(os.path.expanduser(source))
    run = folder.resolve().parent
    folders = [folder, run] if (run / RUN).is_file() else [folder]
    names = (CONFIG, PROCESSOR, WEIGHTS, *_RUN_FILES)
    return [place / name for place in folders for name in names if (place / name).is_file()]


@contextmanager
def disk_errors() -> Iterator[None]:
    """Around the saving of weights: what safetensors makes of a full disk is an OSError again."""
    from safetensors import SafetensorError  # of those who save

    try:
        yield
    except SafetensorError as error:
        raise OSError(str(error)) from error


def find_checkpoint(source: str | Path, revision: str | None = None) -> CheckpointFiles:
    """The files of a checkpoint.

    Args:
        source: a folder, or a Hub id.
        revision: branch, tag or commit of a Hub id.

    Raises:
        KDLandmarksError: if there is no such folder, or no such repository, or the Hub cannot be
            asked within seconds and its cache has nothing.
    """
    source = str(source)
    folder = Path(os.path.expanduser(source))
    if os.path.isdir(folder) or source.startswith((".", "/", "~")) or source.count("/") > 1:
        if not os.path.isfile(folder / CONFIG):  # which takes names of any length
            raise KDLandmarksError(f"no checkpoint at {source:.200}: it needs {CONFIG} and weights")
        found = [*folder.iterdir(), *(folder / name for name in (ONNX_FILE, INT8_FILE))]
        sizes = {
            file.relative_to(folder).as_posix(): file.stat().st_size
            for file in found
            if file.is_file()
        }
        return CheckpointFiles(source, sizes, folder.joinpath)
    usable_cache()
    # Here, since whoever has a folder does without it.
    from .hub_checkpoints import find_on_the_hub

    return find_on_the_hub(source, revision)
