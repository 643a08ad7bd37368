"""Loading a finished detector from a folder or the Hub, with messages that help."""

from pathlib import Path

from huggingface_hub import constants, get_session, try_to_load_from_cache

from .errors import KDLandmarksError
from .models import KDLandmarksForKeypointDetection, KDLandmarksImageProcessor
from .schemes import LandmarkScheme, get_scheme


def load_detector(
    source: str | Path, revision: str | None = None
) -> tuple[KDLandmarksForKeypointDetection, KDLandmarksImageProcessor]:
    """A detector in evaluation mode and its image processor.

    Weights that are stored as float16, to take half the room, are float32 here: the arithmetic of
    float16 is slow on CPUs, and less exact.

    Args:
        source: a folder written by `save_pretrained`, or a Hub id.
        revision: of a Hub id.

    Raises:
        KDLandmarksError: if there is no such checkpoint, or it is another kind of model.
    """
    source = str(source)
    folder = Path(source).expanduser()
    local = source.startswith((".", "/", "~")) or source.count("/") > 1 or folder.is_dir()
    if local and not (folder / "config.json").is_file():
        raise KDLandmarksError(f"no checkpoint at {source}: it needs config.json and weights")
    source = str(folder) if local else source
    try:
        if not local:
            cached_or_reachable(source, "config.json", revision)
        model, report = KDLandmarksForKeypointDetection.from_pretrained(
            source, revision=revision, output_loading_info=True
        )
        processor = KDLandmarksImageProcessor.from_pretrained(source, revision=revision)
    except Exception as error:
        raise KDLandmarksError(f"cannot load a detector from {source!r}: {error}") from error
    if report["missing_keys"]:  # transformers would make them up
        raise KDLandmarksError(
            f"{source} is no detector of ours: it lacks {len(report['missing_keys'])} of its "
            f"tensors, such as {min(report['missing_keys'])}"
        )
    return model.float().eval(), processor


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


def detector_scheme(model: KDLandmarksForKeypointDetection, source: str | Path) -> LandmarkScheme:
    """The landmark scheme that a detector carries in its configuration.

    Raises:
        KDLandmarksError: if it carries none, or a broken one.
    """
    if model.config.scheme is None:
        raise KDLandmarksError(
            f"{source} does not say what its {model.config.num_landmarks} landmarks are: set "
            "config.scheme = get_scheme(NAME).to_dict() and save it again"
        )
    return get_scheme(model.config.scheme)


def check_same_landmarks(
    model: KDLandmarksForKeypointDetection, scheme: LandmarkScheme, source: str | Path
) -> None:
    """Refuse a detector of other landmarks than the scheme's.

    Raises:
        KDLandmarksError: naming both schemes.
    """
    theirs = (model.config.scheme or {}).get("name", f"{model.config.num_landmarks} points")
    if list((model.config.scheme or {}).get("names", ())) != list(scheme.names):
        raise KDLandmarksError(
            f"{source} detects the landmarks of {theirs}, not of {scheme.name}: give a checkpoint "
            "of that scheme"
        )
