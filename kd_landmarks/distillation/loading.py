"""Loading a finished detector from a folder or the Hub, with messages that help."""

from pathlib import Path

from huggingface_hub import constants, get_session, try_to_load_from_cache

from ..errors import KDLandmarksError
from ..models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from ..schemes import LandmarkScheme


def load_detector(
    source: str | Path, revision: str | None = None
) -> tuple[KDLandmarksForKeypointDetection, KDLandmarksImageProcessor]:
    """A detector in evaluation mode and its image processor.

    Args:
        source: a folder written by `save_pretrained`, or a Hub id.
        revision: of a Hub id.

    Raises:
        KDLandmarksError: if there is no such checkpoint, or it is another kind of model.
    """
    source = str(source)
    looks_local = source.startswith((".", "/", "~")) or source.count("/") > 1
    if looks_local and not (Path(source).expanduser() / "config.json").is_file():
        raise KDLandmarksError(f"no checkpoint at {source}: it needs config.json and weights")
    source = str(Path(source).expanduser()) if looks_local else source
    try:
        if not Path(source).is_dir():
            cached_or_reachable(source, "config.json", revision)
        model = KDLandmarksForKeypointDetection.from_pretrained(source, revision=revision)
        processor = KDLandmarksImageProcessor.from_pretrained(source, revision=revision)
    except Exception as error:
        raise KDLandmarksError(f"cannot load a detector from {source!r}: {error}") from error
    return model.eval(), processor


def cached_or_reachable(repo: str, filename: str, revision: str | None = None) -> str | None:
    """A file in the Hub's cache, or None where it is not there but the Hub can be asked for it.

    Raises:
        KDLandmarksError: if neither, within seconds; transformers and timm would go on trying for
            half a minute or more, and print each try.
    """
    file = try_to_load_from_cache(repo, filename, revision=revision)
    if isinstance(file, str):
        return file
    try:
        get_session().head(constants.ENDPOINT, timeout=5)  # any answer will do
    except Exception as error:  # each HTTP library has a family of its own
        raise KDLandmarksError(
            f"{repo} is neither here nor in the Hub's cache, and the Hub cannot be asked: {error}"
        ) from error
    return None


def check_same_landmarks(
    model: KDLandmarksForKeypointDetection, scheme: LandmarkScheme, source: str | Path
) -> None:
    """Refuse a detector of other landmarks than the run's.

    Raises:
        KDLandmarksError: naming both schemes.
    """
    theirs = (model.config.scheme or {}).get("name", f"{model.config.num_landmarks} points")
    if list((model.config.scheme or {}).get("names", ())) != list(scheme.names):
        raise KDLandmarksError(
            f"{source} detects the landmarks of {theirs}, this run's are {scheme.name}: "
            "give a checkpoint of the same scheme"
        )
