"""Damaged data sets, recipes, schemes and folders of runs, each read as the commands read it."""

import json
import shutil
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from accelerate import Accelerator

from kd_landmarks.cli.annotate import annotate as annotate_data
from kd_landmarks.data.annotate import PLAN
from kd_landmarks.data.convert import convert
from kd_landmarks.data.loading import load_rows
from kd_landmarks.data.row_checks import check_rows
from kd_landmarks.hub.card_facts import read_checkpoint
from kd_landmarks.schemes import LandmarkScheme, get_scheme
from kd_landmarks.training.checkpoints import load_checkpoint, save_checkpoint
from kd_landmarks.training.recipe import load_recipe
from kd_landmarks.training.run_folder import plan_run, run_identity

from . import Case, Try
from .damage import STRANGE, cut, flipped, other_value, scratch, strange_texts

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "helpers"))
from downloads import FIVE, write_300w, write_cofw_folder, write_own, write_wflw
from finished_runs import save_run
from small_networks import save_small

IDENTITY = {"run": "0123", "stage": "student"}
PLACES = (
    "/etc/passwd",
    "../../../etc/passwd",
    "hf://x/y",
    "http://127.0.0.1:9/x",
    "x" * 10**5,
    "parquet-row:0:0:/etc/passwd",
    "parquet-row:0:0:hf://x/y",
    "parquet-row:x",
    "/dev/zero",
)
BILLION = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12)
)


@cache
def sound(name: str) -> Path:
    """A whole one, by its name in `WHOLE`."""
    folder = Path(scratch(), name)
    WHOLE[name](folder)
    return folder


def _run(folder: Path) -> None:
    save_run(folder)
    (folder / "run.json").write_text('{"run": "0123"}')


def _kept(folder: Path) -> None:
    save_checkpoint(accelerator(), [layer()], folder, 7, IDENTITY, 1)


def _annotated(folder: Path) -> None:
    shutil.copytree(sound("own") / "images", folder / "photos")
    save_small(folder / "small", spread=0.2, noise=5)
    annotate(folder)


WHOLE: dict[str, Callable[[Path], Any]] = {
    "own": write_own,
    "parquet": lambda folder: convert("own", sound("own"), folder, scheme=FIVE),
    "300w": write_300w,
    "wflw": write_wflw,
    "cofw": write_cofw_folder,
    "run": _run,
    "kept": _kept,
    "annotated": _annotated,
}


@cache
def accelerator() -> Accelerator:
    """On the CPU."""
    return Accelerator(cpu=True)


@cache
def layer() -> torch.nn.Module:
    """A network of one layer, the state of a run."""
    return accelerator().prepare_model(torch.nn.Linear(2, 2))


def annotate(folder: Path) -> None:
    """Annotate a folder's photos, or continue."""
    annotate_data(
        data=str(folder / "photos"),
        output=folder / "out",
        model=str(folder / "small"),
        batch_size=2,
        part_rows=2,
    )


def load(source: Path, scheme: LandmarkScheme, split: str | None = None) -> None:
    """Load rows and open their photos."""
    check_rows(load_rows(source, split, scheme=scheme), scheme)


def _resume(folder: Path) -> None:
    plan_run(None, {}, None, folder)
    run_identity(folder)
    read_checkpoint(folder / "student")


def _load_step(folder: Path) -> None:
    load_checkpoint(accelerator(), [layer()], folder / "step_00000007", IDENTITY)


FILES: dict[str, tuple[str, str, Callable[[Path], Any], int]] = {
    "JSON lines": ("own", "train.jsonl", lambda root: load(root / "train.jsonl", FIVE), 10),
    "Parquet": (
        "parquet",
        "data/train-00000-of-00001.parquet",
        lambda root: load(root, FIVE, "train"),
        16,
    ),
    ".mat": (
        "cofw",
        "COFW_train_color.mat",
        lambda root: load(root, get_scheme("cofw29"), "train"),
        16,
    ),
    ".pts": (
        "300w",
        "helen/trainset/100032540_1.pts",
        lambda root: load(root, get_scheme("ibug68"), "train"),
        8,
    ),
    "WFLW's list": (
        "wflw",
        "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_train.txt",
        lambda root: load(root, get_scheme("wflw98"), "train"),
        8,
    ),
    "recipe": ("run", "recipe.yaml", lambda root: load_recipe(root / "recipe.yaml"), 8),
    "run.json": ("run", "run.json", _resume, 3),
    "metrics.json": ("run", "metrics.json", _resume, 5),
    "training.json": ("run", "student/training.json", _resume, 5),
    "manifest.json": ("kept", "step_00000007/manifest.json", _load_step, 4),
    "plan.json": ("annotated", "out/plan.json", annotate, 4),
    "progress": ("annotated", "out/.train-00000-of-00001.json", annotate, 4),
}
"""Of each: what it lies in, the file that is damaged, how it is read, and how often bits flip."""
JSON_VALUES = {"metrics.json": 8, "training.json": 8, "manifest.json": 6, "plan.json": 6}
JSON_VALUES |= {"progress": 8, "run.json": 3}


def cases() -> list[Case]:
    """All of them."""
    found = []
    for what, (_, name, _, count) in FILES.items():
        for number in range(count):
            found.append(Case(f"{what}: bits flipped, {number}", partial(_file, what, flipped)))
        for number in range(-(-count // 2)):
            found.append(Case(f"{what}: cut, {number}", partial(_file, what, cut)))
        if name.endswith((".json", ".jsonl", ".yaml")):
            for text, content in strange_texts().items():
                found.append(Case(f"{what}: {text}", partial(_file, what, _instead(content))))
    for what, count in JSON_VALUES.items():
        for number in range(count):
            found.append(Case(f"{what}: any value, {number}", partial(_file, what, _json_value)))
    for number in range(30):
        found.append(Case(f"JSON lines: any value, {number}", partial(_line, _any_value)))
    for place in PLACES:
        name = place[:30]
        found.append(Case(f"JSON lines: picture {name}", partial(_line, _picture(place))))
        found.append(Case(f"Parquet: picture {name}", partial(_parquet, _picture_column(place))))
    for name, change in _tables().items():
        found.append(Case(f"Parquet: {name}", partial(_parquet, change)))
    for name, change in _matlab().items():
        found.append(Case(f".mat: {name}", partial(_mat, change)))
    for number in range(16):
        found.append(Case(f"recipe: any value, {number}", partial(_file, "recipe", _yaml_value)))
        found.append(Case(f"scheme: any value, {number}", partial(_scheme, _yaml_value)))
    for name, content in _yaml_texts().items():
        found.append(Case(f"recipe: {name}", partial(_file, "recipe", _instead(content))))
        found.append(Case(f"scheme: {name}", partial(_scheme, _instead(content))))
    return found


def _file(what: str, damage: Any, folder: Path, rng: Random) -> Try:
    """A copy of what a file lies in, with that file damaged."""
    whole, name, read, _ = FILES[what]
    root = folder / "copy"
    shutil.copytree(sound(whole), root)
    if whole == "annotated":  # its plan names where it lies
        plan = root / "out" / PLAN
        plan.write_text(plan.read_text().replace(str(sound(whole)), str(root)))
    (root / name).write_bytes(damage((root / name).read_bytes(), rng))
    return partial(read, root)


def _instead(content: bytes) -> Any:
    return lambda data, rng: content


def _json_value(data: bytes, rng: Random) -> bytes:
    return json.dumps(other_value(json.loads(data), rng, rng.choice(STRANGE))).encode()


def _yaml_value(data: bytes, rng: Random) -> bytes:
    strange = rng.choice([value for value in STRANGE if value is not None])
    return yaml.safe_dump(other_value(yaml.safe_load(data), rng, strange)).encode()


def _line(change: Any, folder: Path, rng: Random) -> Try:
    """JSON lines of which the second has another value."""

    def damage(data: bytes, rng: Random) -> bytes:
        lines = data.splitlines()
        lines[1] = json.dumps(change(json.loads(lines[1]), rng)).encode()
        return b"\n".join(lines)

    return _file("JSON lines", damage, folder, rng)


def _any_value(line: Any, rng: Random) -> Any:
    return other_value(line, rng, rng.choice(STRANGE))


def _picture(place: str) -> Any:
    return lambda line, rng: {**line, "image": place}


def _parquet(change: Any, folder: Path, rng: Random) -> Try:
    """Parquet with another table."""
    whole, name, read, _ = FILES["Parquet"]
    root = folder / "copy"
    shutil.copytree(sound(whole), root)
    (root / "README.md").unlink()
    pq.write_table(change(pq.read_table(root / name)), root / name)
    return partial(read, root)


def _picture_column(place: str) -> Any:
    def change(table: pa.Table) -> pa.Table:
        column = pa.array([{"bytes": None, "path": place}] * len(table))
        return table.set_column(table.column_names.index("image"), "image", column)

    return change


def _tables() -> dict[str, Any]:
    """Tables with other columns."""

    def column(name: str, value: Any) -> Any:
        def change(table: pa.Table) -> pa.Table:
            column = pa.array([value] * len(table))
            place = table.column_names.index(name)
            return table.set_column(place, name, column).replace_schema_metadata(None)

        return change

    found: dict[str, Any] = {
        f"no {name}": lambda table, name=name: table.drop_columns([name])
        for name in ("image", "landmarks", "box", "scheme")
    }
    found["no rows"] = lambda table: table.slice(0, 0)
    found["other columns"] = lambda table: pa.table({"x": [1, 2]})
    found["no columns"] = lambda table: pa.table({})
    found["10,000 columns"] = lambda table: pa.table({f"c{n}": [1] for n in range(10_000)})
    found["types that are none"] = lambda table: table.replace_schema_metadata(
        {"huggingface": '{"info": {"features": {"image": {"_type": "Banana"}}}}'}
    )
    found["types of another kind"] = lambda table: table.replace_schema_metadata(
        {"huggingface": "[" * 10**5}
    )
    for value in ("x", 7, b"x", [1.0], [[1.0, 2.0, 3.0]], [[float("nan")] * 2] * 5, {"a": 1}):
        found[f"landmarks {str(value)[:30]}"] = column("landmarks", value)
    files = ({"bytes": b"x", "path": "x"}, {"bytes": "x"}, {"bytes": bytes(10**6)})
    for picture in ("x", 7, [1], *files):
        found[f"image {str(picture)[:30]}"] = column("image", picture)
    return found


def _mat(change: Any, folder: Path, rng: Random) -> Try:
    """A `.mat` file with other parts."""
    whole, name, read, _ = FILES[".mat"]
    root = folder / "copy"
    shutil.copytree(sound(whole), root)
    with h5py.File(root / name, "a") as file:
        change(file)
    return partial(read, root)


def _matlab() -> dict[str, Any]:
    """Parts that are missing, of another kind, or vast."""

    def put(name: str, value: Any = None, **options: Any) -> Any:
        def change(file: h5py.File) -> None:
            del file[name]
            if value is not None or options:
                file.create_dataset(name, data=value, **options)

        return change

    def group(name: str) -> Any:
        def change(file: h5py.File) -> None:
            del file[name]
            file.create_group(name)["x"] = np.zeros(3)

        return change

    found: dict[str, Any] = {}
    for name in ("IsTr", "phisTr", "bboxesTr", "#refs#/0"):
        found[f"no {name}"] = put(name)
        found[f"{name} is a group"] = group(name)
        found[f"{name} is a text"] = put(name, "text")
        found[f"{name} is a number"] = put(name, 7.0)
        found[f"{name} is empty"] = put(name, np.zeros((0, 0)))
        found[f"{name} is vast"] = put(
            name, shape=(3, 30_000, 30_000), dtype="u1", chunks=(1, 1000, 1000), compression="gzip"
        )
        found[f"{name} is NaN"] = put(name, np.full((87, 2), np.nan))
    found["a link to another file"] = lambda file: file.__setitem__(
        "other", h5py.ExternalLink("/etc/passwd", "/x")
    )
    return found


def _scheme(damage: Any, folder: Path, rng: Random) -> Try:
    file = folder / "scheme.yaml"
    file.write_bytes(damage(yaml.safe_dump(FIVE.to_dict()).encode(), rng))
    return partial(get_scheme, file)


def _yaml_texts() -> dict[str, bytes]:
    """YAML that grows, nests, runs or means other kinds."""
    return {
        "aliases nine-fold and eleven deep": BILLION.encode(),
        "an alias to itself": b"a: &a [*a]\n",
        "50,000 levels": b"a: " + b"[" * 50_000 + b"]" * 50_000,
        "Python's objects": b"!!python/object/apply:os.system ['echo x']\n",
        "a date for a name": b"name: 2024-01-01\nnames: [2024-01-01]\n",
        "a date that is none": b"name: 2024-13-45\n",
        "a set": b"!!set {a, b}\n",
        "many documents": b"---\na: 1\n---\nb: 2\n",
        "a tab": b"a:\n\t- b\n",
        "a name that leaves": b"name: ../../x\n",
        "a name of 10^5 letters": b"name: " + b"x" * 10**5,
        "numbers for keys": b"1: 2\n3.5: 4\nnull: 5\n? [a, b]\n: c\n",
        "merge keys": b"a: &a {b: 1}\nc: {<<: [*a, *a]}\n<<: 7\n",
    }
