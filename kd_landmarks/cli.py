"""The `kd-landmarks` command.

Each command imports the heavy libraries inside, so that `--help` answers at once.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .errors import KDLandmarksError
from .quiet import set_up_logging

# In the help texts, a line with \b keeps the lines after it as they are.
EVALUATE_HELP = """Measure a detector on faces with ground truth.

\b
kd-landmarks evaluate --data 300w/test_common.jsonl
kd-landmarks evaluate --data 300w --split common --model runs/300w/student
kd-landmarks evaluate --data WFLW --split test --model ID --json scores.json --plots plots

Prints NME, failure rates at 8 and 10 % and AUC of all faces, of each subset and of each attribute,
and names the worst faces. Faces are cut as the detector was trained, and its landmark scheme
chooses the labels where the data have several.
"""

CONVERT_HELP = """Convert faces on disk to Parquet with a data set card, in a folder or on the Hub.

\b
kd-landmarks convert 300w 300W --out 300w-parquet
kd-landmarks convert wflw WFLW --crop-margin 1.8 --push NAMESPACE/wflw
kd-landmarks convert own faces --scheme ibug68 --out faces-parquet

SRC is the unpacked official download of 300W (afw, helen, lfpw, ibug), WFLW (WFLW_annotations,
WFLW_images) or COFW (COFW_train_color.mat, COFW_test_color.mat), or data of your own: JSON lines,
or a folder for each split with photos and .pts files. What is missing is listed, and no reason to
stop.
"""

PUSH_HELP = """Put a detector on the Hub: weights, configuration, code and model card in one commit.

\b
kd-landmarks push runs/300w/tough_teacher --repo-id ME/tough --student ME/student
kd-landmarks push runs/300w/student --repo-id ME/student --base-model ME/tough \\
    --base-model ME/tolerant --dataset ME/300w
kd-landmarks push runs/300w/student --repo-id ME/student --dry-run

CHECKPOINT is a stage's folder of a finished run, or a released model's. Default: the package's own
detector. A README.md in it that you have edited becomes the card; a card whose figures are not
those of metrics.json is refused.
"""

CARD_HELP = """Write a detector's model card, from its own files and those of its run.

\b
kd-landmarks card runs/300w/student
kd-landmarks card runs/300w/student --repo-id ME/student --out runs/300w/student/README.md

CHECKPOINT is as for `kd-landmarks push`, which writes the same card. What is not known is left out.
"""


class _Commands(TyperGroup):
    """Prints bad input as one line and exits with 2, in every command."""

    # ctx is the click Context of typer's own copy or of click, by typer's version.
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KDLandmarksError as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(2) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def commands() -> None:
    """Small, fast, accurate facial landmark detectors."""


@app.command(no_args_is_help=True, help=EVALUATE_HELP)
def evaluate(
    data: Annotated[
        str,
        typer.Option(
            help="JSON lines or Parquet (a file or a folder), the official folder of 300W, WFLW or "
            "COFW, or the id of a data set on the Hub."
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(help="Checkpoint folder or Hub id. Default: the package's own detector."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Part of the data; needed where there are several.")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit of a data set on the Hub.")
    ] = None,
    box: Annotated[
        str,
        typer.Option(
            help="Around each face: gt, tight around the ground truth, or dataset, the data's own. "
            "detector, to find the face first, comes with a later release."
        ),
    ] = "gt",
    normalizer: Annotated[
        str,
        typer.Option(
            help="What errors are divided by: inter_ocular, inter_pupil, box, or "
            "inter_ocular_stretched (the paper's for 300W)."
        ),
    ] = "inter_ocular",
    json: Annotated[
        Path | None, typer.Option(help="File for the scores and each face's error.")
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(
            help="Folder for ced.png, the error curves, worst.png and sample.png, drawn faces. Do "
            "not publish pictures of faces whose license does not allow it: those of 300W, WFLW "
            "and COFW are for research only."
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Faces per forward pass.")] = 64,
    skip_bad_rows: Annotated[
        bool,
        typer.Option("--skip-bad-rows", help="Leave broken rows out instead of stopping."),
    ] = False,
) -> None:
    """Load, measure, print and write."""
    set_up_logging()
    import os

    from .data.loading import load_rows
    from .data.rows import check_rows
    from .detectors import detector_scheme, load_detector
    from .distillation.runs import write_json
    from .evaluation import evaluate_detector
    from .evaluation_report import evaluation_text, versions, write_pictures

    source: str | Path
    if model is None:
        from . import default_checkpoint

        source = default_checkpoint()
        model = Path(source).name
    else:
        source = model
    # What cannot be written is better known before the work than after it.
    try:
        if json is not None:
            json.parent.mkdir(parents=True, exist_ok=True)
        if plots is not None:
            plots.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KDLandmarksError(f"cannot make the folder of the results: {error}") from error
    if json is not None and json.is_dir():
        raise KDLandmarksError(f"--json {json} is a folder: name a file")

    detector, processor = load_detector(source)
    scheme = detector_scheme(detector, source)
    rows = load_rows(
        data, split, scheme=scheme, box=box, revision=revision, skip_bad_rows=skip_bad_rows
    )
    rows = check_rows(rows, scheme, skip_bad_rows, num_proc=os.cpu_count())
    evaluation = evaluate_detector(
        detector,
        processor,
        rows,
        scheme,
        normalizer=normalizer,
        batch_size=batch_size,
        progress=True,
    )

    where = data if split is None else f"{data}, {split}"
    protocol = f"{scheme.name}, {normalizer}, box: {box}, crop margin {processor.crop_margin:g}"
    print(evaluation_text(evaluation, f"{model} on {where}\n{protocol}"))
    try:
        if json is not None:
            asked = {"model": model, "data": data, "split": split, "revision": revision, "box": box}
            write_json(json, {**asked, "versions": versions(), **evaluation.to_dict()})
        if plots is not None:
            title = f"{Path(model).name}, {len(rows)} faces, {normalizer}, box: {box}"
            write_pictures(evaluation, rows, plots, title)
    except OSError as error:
        raise KDLandmarksError(f"cannot write the results: {error}") from error


@app.command(no_args_is_help=True, help=CONVERT_HELP)
def convert(
    name: Annotated[str, typer.Argument(metavar="300w|wflw|cofw|own", help="What it is.")],
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Where it is.")],
    out: Annotated[
        Path | None, typer.Option(help="New folder for README.md and the Parquet files.")
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(help="Id of the data set on the Hub, NAMESPACE/NAME, made where needed."),
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(help="Of your own data: ibug68, wflw98, cofw29 or a YAML file."),
    ] = None,
    crop_margin: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="Keep of each photo the square of this many box sides around the face; 1.8 is "
            "what training looks at. Default: whole photos.",
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Stop where a face is missing or cannot be taken."),
    ] = False,
    i_have_the_rights: Annotated[
        bool,
        typer.Option(
            "--i-have-the-rights",
            help="Push 300W, WFLW or COFW for everyone to see. They are for research only, and "
            "pushed private otherwise.",
        ),
    ] = False,
    public: Annotated[
        bool, typer.Option("--public", help="Push your own data for everyone to see.")
    ] = False,
    license: Annotated[
        str | None,
        typer.Option(help="For the card, as the Hub calls it, such as cc-by-4.0."),
    ] = None,
) -> None:
    """Check, convert, print and push."""
    if out is None and push is None:
        raise KDLandmarksError("say where to: --out DIR, --push NAMESPACE/NAME, or both")
    if name == "own" and i_have_the_rights:
        raise KDLandmarksError("--i-have-the-rights is for 300w, wflw and cofw: give --public")
    if name != "own" and (public or license) and not i_have_the_rights:
        raise KDLandmarksError(
            f"{name} is for research only: --{'public' if public else 'license'} needs "
            "--i-have-the-rights"
        )
    set_up_logging()
    import tempfile

    from .data.convert import convert as convert_faces
    from .data.push import check_push, push_folder
    from .schemes import get_scheme

    private = not (public or i_have_the_rights)
    if push is not None:  # before the work rather than after it
        check_push(push, private)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "converted" if out is None else out
        conversion = convert_faces(
            name,
            source,
            folder,
            scheme=None if scheme is None else get_scheme(scheme),
            crop_margin=crop_margin,
            strict=strict,
            license_id=license,
        )
        print(conversion.text())
        if out is not None:
            print(f"\nWritten to {out}")
        if push is not None:
            print(f"\nPushed to {push_folder(folder, push, private)}")


CheckpointArgument = Annotated[
    Path | None, typer.Argument(metavar="CHECKPOINT", help="Folder of the detector.")
]
BaseModels = Annotated[
    list[str] | None,
    typer.Option(
        "--base-model",
        metavar="ID",
        help="Id of a model that it came from, such as a student's teacher. May be repeated.",
    ),
]
Datasets = Annotated[
    list[str] | None,
    typer.Option(
        "--dataset",
        metavar="ID",
        help="Id of a data set that it was trained or tested on. May be repeated.",
    ),
]
Students = Annotated[
    list[str] | None,
    typer.Option(
        "--student", metavar="ID", help="Id of a student that this teacher taught. May be repeated."
    ),
]
WeightsLicense = Annotated[
    str | None,
    typer.Option(
        "--license", metavar="ID", help="Of the weights, as the Hub calls it, such as apache-2.0."
    ),
]


@app.command(no_args_is_help=True, help=PUSH_HELP)
def push(
    repo_id: Annotated[str, typer.Option(help="Id on the Hub, NAMESPACE/NAME, made where needed.")],
    checkpoint: CheckpointArgument = None,
    private: Annotated[bool, typer.Option("--private", help="For your eyes alone.")] = False,
    revision: Annotated[
        str | None, typer.Option(help="Branch to push to, made where needed. Default: main.")
    ] = None,
    base_model: BaseModels = None,
    dataset: Datasets = None,
    student: Students = None,
    license: WeightsLicense = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and list everything, and push nothing.")
    ] = False,
) -> None:
    """Check, stage, push and print."""
    set_up_logging()
    from . import default_checkpoint
    from .hub import push_checkpoint

    links = _links(repo_id, base_model, dataset, student, license)
    done = push_checkpoint(
        checkpoint or default_checkpoint(),
        links,
        private=private,
        revision=revision,
        dry_run=dry_run,
    )
    for path, size in done.files.items():
        print(f"{size:>12,}  {path}")
    if dry_run:
        print(f"\nNothing was pushed. Without --dry-run, these go to {repo_id}")
    else:
        print(f"\nPushed to {repo_id}: {done.commit_url}")


@app.command(help=CARD_HELP)
def card(
    checkpoint: CheckpointArgument = None,
    out: Annotated[Path | None, typer.Option(help="File for the card. Default: print it.")] = None,
    repo_id: Annotated[
        str | None, typer.Option(help="Id on the Hub that the card is for, NAMESPACE/NAME.")
    ] = None,
    base_model: BaseModels = None,
    dataset: Datasets = None,
    student: Students = None,
    license: WeightsLicense = None,
) -> None:
    """Read, render and write."""
    set_up_logging()
    from . import default_checkpoint
    from .cards import read_checkpoint, render_card
    from .cards.picture import can_be_drawn, picture_name, save_scheme_picture
    from .hub import check_links

    links = _links(repo_id, base_model, dataset, student, license)
    check_links(links)
    found = read_checkpoint(checkpoint or default_checkpoint())
    picture = picture_name(found.scheme) if can_be_drawn(found.scheme) else None
    text = render_card(found, links, picture)
    if out is None:
        print(text, end="")
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8", newline="\n")
        if picture is not None:
            save_scheme_picture(found.scheme, out.with_name(picture))
    except OSError as error:
        raise KDLandmarksError(f"cannot write the card: {error}") from error
    print(f"Written to {out}{f', with {picture} beside it' if picture else ''}")


def _links(
    repo_id: str | None,
    base_models: list[str] | None,
    datasets: list[str] | None,
    students: list[str] | None,
    license: str | None,
) -> Any:
    from .cards import Links

    return Links(
        repo_id=repo_id,
        base_models=tuple(base_models or ()),
        datasets=tuple(datasets or ()),
        students=tuple(students or ()),
        license=license,
    )


def main() -> None:
    """Run the command line."""
    app(prog_name="kd-landmarks")
