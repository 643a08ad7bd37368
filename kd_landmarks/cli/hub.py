"""`kd-landmarks push` and `kd-landmarks card`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..utils.files import check_outputs, check_writable, write_text
from ..utils.logging import set_up_logging
from .app import app

# In the help texts, a line with \b keeps the lines after it as they are.
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
kd-landmarks card runs/300w/student --repo-id ME/student --output runs/300w/student/README.md

CHECKPOINT is as for `kd-landmarks push`, which writes the same card. What is not known is left out.
"""

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
    private: Annotated[bool, typer.Option("--private", help="As a private repository.")] = False,
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
    from .. import default_checkpoint
    from ..hub.push import push_checkpoint

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
    output: Annotated[
        Path | None, typer.Option(help="File for the card. Default: print it.")
    ] = None,
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
    from ..imaging.output import check_drawings
    from ..inference.checkpoints import own_files

    if output is not None:  # what cannot be written is better known before the work
        check_outputs({"--output": output}, own_files(checkpoint))
        check_writable(output)

    from .. import default_checkpoint
    from ..hub.card import render_card
    from ..hub.card_facts import read_checkpoint
    from ..hub.picture import copy_picture, scheme_picture
    from ..hub.push import check_links

    links = _links(repo_id, base_model, dataset, student, license)
    check_links(links)
    found = read_checkpoint(checkpoint or default_checkpoint())
    picture = scheme_picture(found.scheme)
    text = render_card(found, links, None if picture is None else picture.name)
    if output is None:
        print(text, end="")
        return
    outputs = {"--output": output}
    if output.exists() and not output.is_file():
        picture = None  # beside /dev/stdout there is no place
    if picture is not None:
        outputs["the picture,"] = output.with_name(picture.name)
        check_drawings([output.with_name(picture.name)], "card")
    check_outputs(outputs, own_files(checkpoint))
    if picture is not None:
        copy_picture(picture, output.with_name(picture.name))
    write_text(output, text)
    print(f"Written to {output}{f', with {picture.name} beside it' if picture else ''}")


def _links(
    repo_id: str | None,
    base_models: list[str] | None,
    datasets: list[str] | None,
    students: list[str] | None,
    license: str | None,
) -> Any:
    from ..hub.card import Links

    return Links(
        repo_id=repo_id,
        base_models=tuple(base_models or ()),
        datasets=tuple(datasets or ()),
        students=tuple(students or ()),
        license=license,
    )
