"""The networks that come with the package, a folder each."""

from pathlib import Path

from ..errors import KDLandmarksError

DEFAULT_FOLDER = Path(__file__).parent / "mobilenetv2-300w"

_FILES = ("config.json", "model.safetensors", "preprocessor_config.json")


def default_checkpoint() -> str:
    """The folder of the student that comes with the package, as `from_pretrained` takes it.

    Its 68 points are `ibug68`'s; its training data are for research only: see the folder's
    README.md.

    Raises:
        KDLandmarksError: if its files are missing.
    """
    missing = [name for name in _FILES if not (DEFAULT_FOLDER / name).is_file()]
    if missing:
        raise KDLandmarksError(
            f"the package's own network is incomplete: no {', '.join(missing)} in "
            f"{DEFAULT_FOLDER}. Install kd-landmarks anew, or pass the folder or Hub id of another "
            'detector, such as model="runs/300w/student"'
        )
    return str(DEFAULT_FOLDER)


__all__ = ["default_checkpoint"]
