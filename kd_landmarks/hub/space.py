"""A Space with the demo: its folder put together, and pushed to the Hub in one commit."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from email.parser import BytesParser
from pathlib import Path

from huggingface_hub import HfApi, SpaceCard

from ..errors import KDLandmarksError
from ..inference.checkpoints import CONFIG, PROCESSOR, WEIGHTS
from ..utils.files import check_new_folder, new_folder, write_text
from ..utils.hub import check_repo_id, clear_hub_errors
from .upload import BARE, CARD, Push, check_access, file_names, file_sizes

APP, REQUIREMENTS, CHECKPOINTS = "app.py", "requirements.txt", "checkpoints"
COMPARED = ("mobilenetv2-300w-no-teachers", "tough-teacher-300w")
"""The checkpoints beside the package's own student that the demo compares it with."""
EXTRAS = ("space", "train")
"""The extras of the package that the demo needs, and the networks that it compares."""

_DEMO = "kd_landmarks/demo/app.py"
_WHEELS = "kd_landmarks-*-none-any.whl"
# What an earlier push may have left and this one may have no file of the same name for.
_STALE = [_WHEELS, f"{CHECKPOINTS}/*"]
_PLACEHOLDER = "NAMESPACE/NAME"
# What the wheel is built from.
_SOURCES = ("pyproject.toml", "README.md", "LICENSE")
_APP = (f"spaces_app/{APP}", f"spaces_app/{CARD}")
_PACKAGE = Path(__file__).resolve().parents[1]


def push_space(
    repo_id: str,
    *,
    models: Sequence[str] = (),
    datasets: Sequence[str] = (),
    checkpoints: str | Path | None = None,
    wheel: str | Path | None = None,
    output: str | Path | None = None,
    private: bool = False,
    dry_run: bool = False,
) -> Push:
    """Put the demo on the Hub as a Space of one's own.

    Args:
        repo_id: its id, NAMESPACE/NAME, which is made where it is not there.
        models: ids of the models that it shows, for its card.
        datasets: ids of the data sets that those learned from, for its card.
        checkpoints: folder of the checkpoints that are compared; None for the clone's.
        wheel: of this package; None to build it from the clone.
        output: put the Space's files there, and push nothing.
        private: make it private; refused where it is there and public.
        dry_run: prepare and check everything, and ask the Hub nothing.

    Returns:
        Its files, and the commit where one was made.

    Raises:
        KDLandmarksError: for an invalid id, a missing file, a wheel that cannot be built, an id
            that is taken, or a Hub that cannot be reached or refuses.
    """
    for name in (repo_id, *models, *datasets):
        check_repo_id(name)
    api = HfApi()
    pushing = not dry_run and output is None
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "space" if output is None else Path(output)
        check_new_folder(folder)
        if pushing:  # before the work rather than after it
            with clear_hub_errors(repo_id):
                _check_target(api, repo_id, private)
        stage_space(folder, repo_id, models, datasets, checkpoints, wheel)
        files = file_sizes(folder)
        if not pushing:
            return Push(files)
        with clear_hub_errors(repo_id):
            api.create_repo(
                repo_id, repo_type="space", space_sdk="gradio", private=private, exist_ok=True
            )
            commit = api.upload_folder(
                repo_id=repo_id,
                repo_type="space",
                folder_path=folder,
                commit_message="Push the demo with kd-landmarks",
                delete_patterns=_STALE,
            )
    return Push(files, str(commit.commit_url))


def stage_space(
    folder: Path,
    repo_id: str,
    models: Sequence[str] = (),
    datasets: Sequence[str] = (),
    checkpoints: str | Path | None = None,
    wheel: str | Path | None = None,
) -> None:
    """Write a Space's files into a new folder; arguments are as for `push_space`.

    Raises:
        KDLandmarksError: as `push_space`, but for the Hub.
    """
    clone = find_clone()
    compared = _compared(clone / CHECKPOINTS if checkpoints is None else Path(checkpoints))
    app = clone / "spaces_app"
    # Read before the wheel is built, which takes longer.
    card = SpaceCard((app / CARD).read_text(encoding="utf-8").replace(_PLACEHOLDER, repo_id))
    card.data["models"], card.data["datasets"] = list(models), list(datasets)
    if wheel is not None:
        check_wheel(Path(wheel))
    with new_folder(folder) as partial:
        built = build_wheel(clone, partial) if wheel is None else Path(wheel)
        if built.parent != partial:
            shutil.copyfile(built, partial / built.name)
        texts = {CARD: str(card), REQUIREMENTS: requirements(built)}
        for name, text in texts.items():
            write_text(partial / name, text)
        shutil.copyfile(app / APP, partial / APP)
        for source in compared:
            target = partial / CHECKPOINTS / source.name
            target.mkdir(parents=True)
            for file in sorted(source.iterdir()):
                if file.is_file():
                    shutil.copyfile(file, target / file.name)


def find_clone() -> Path:
    """The clone of the repository that this package runs from, or that one stands in.

    Raises:
        KDLandmarksError: if there is none.
    """
    for folder in (_PACKAGE.parent, Path.cwd()):
        if all((folder / name).is_file() for name in (*_SOURCES, *_APP)):
            return folder
    raise KDLandmarksError(
        "a Space is put together in a clone of the repository, which has the app, the checkpoints "
        "and what the wheel is built from: go there"
    )


def build_wheel(clone: Path, folder: Path) -> Path:
    """Build the package's wheel, without network, from a copy: the clone stays as it is.

    Args:
        clone: of the repository.
        folder: where to put the wheel.

    Returns:
        The wheel. The same files give the same bytes.

    Raises:
        KDLandmarksError: if what builds it is missing, or fails.
    """
    try:
        importlib.metadata.version("build")
    except importlib.metadata.PackageNotFoundError:
        raise KDLandmarksError(
            "the wheel is built with the package build, which is not there: pip install build, or "
            "name a wheel by --wheel"
        ) from None
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "clone"
        shutil.copytree(
            clone / _PACKAGE.name,
            copy / _PACKAGE.name,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        for name in _SOURCES:
            shutil.copy2(clone / name, copy / name)
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
        done = subprocess.run(
            [*command, str(folder.resolve()), str(copy)],
            env={"SOURCE_DATE_EPOCH": "315532800"} | os.environ,  # 1980, as early as ZIP knows
            cwd=scratch,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    built = sorted(folder.glob(_WHEELS))
    if done.returncode or not built:
        words = " ".join(done.stdout.split()[-40:])
        raise KDLandmarksError(
            f"cannot build the wheel: {words}: pip install --upgrade build setuptools, or name a "
            "wheel by --wheel"
        )
    return built[-1]


def check_wheel(wheel: Path) -> None:
    """Refuse what is not a wheel of this package.

    Raises:
        KDLandmarksError: naming it.
    """
    if not wheel.is_file():
        raise KDLandmarksError(f"there is no wheel {wheel}: python -m build --wheel writes one")
    if not wheel.match(_WHEELS):
        raise KDLandmarksError(f"{wheel} is not a wheel of this package: it is not named {_WHEELS}")
    requirements(wheel)
    with zipfile.ZipFile(wheel) as archive:
        if _DEMO not in archive.namelist():
            raise KDLandmarksError(f"{wheel} is of a version without the demo: build a newer one")


def requirements(wheel: Path) -> str:
    """What a wheel needs besides itself to run the demo, as requirements.txt.

    Spaces install requirements.txt before any other file of theirs is there, so it cannot name the
    wheel: app.py takes the package from there.

    Raises:
        KDLandmarksError: if the wheel cannot be read.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            [about] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
            needs = BytesParser().parsebytes(archive.read(about)).get_all("Requires-Dist", [])
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise KDLandmarksError(f"cannot read the wheel {wheel}: {error}") from error
    extras, lines = set(EXTRAS), set()
    for need in needs:  # the package's own extras among them stand before what they bring
        package, _, marker = need.partition(";")
        extra = re.search(r"extra == ['\"](.*?)['\"]", marker)
        own = re.fullmatch(r"kd-landmarks\[(.+)\]", package.strip())
        if own and extra is not None and extra[1] in extras:
            extras |= set(own[1].split(","))
    for need in needs:
        package, _, marker = need.partition(";")
        extra = re.search(r"extra == ['\"](.*?)['\"]", marker)
        if extra is None:
            lines.add(need)
        elif extra[1] in extras and not package.startswith("kd-landmarks["):
            lines.add(package.strip())
    return "".join(f"{line}\n" for line in sorted(lines, key=str.lower))


def _compared(folder: Path) -> list[Path]:
    """The folders of the checkpoints that are compared.

    Raises:
        KDLandmarksError: naming the first file that is missing.
    """
    found = [folder / name for name in COMPARED]
    for checkpoint in found:
        for name in (CONFIG, PROCESSOR, WEIGHTS):
            if not (checkpoint / name).is_file():
                raise KDLandmarksError(
                    f"there is no {checkpoint / name}, which the demo compares: name the folder "
                    f"that has {' and '.join(COMPARED)} by --checkpoints, as a clone's checkpoints/"
                )
    return found


def _check_target(api: HfApi, repo_id: str, private: bool) -> None:
    """Refuse early what would be refused late, and what would bury somebody's other work.

    Raises:
        KDLandmarksError: for a token that may only read, a public Space that is to be private, and
            one that holds anything but the demo.
    """
    info = check_access(api, repo_id, private, "space")
    files = file_names(info)
    if files - BARE and not any(Path(name).match(_WHEELS) for name in files):
        raise KDLandmarksError(
            f"{repo_id} is taken: it does not hold a kd-landmarks demo; give another name"
        )
