"""`kd-landmarks push-space`."""

from pathlib import Path
from typing import Annotated

import typer

from ..utils.logging import set_up_logging
from .app import app

# In the help texts, a line with \b keeps the lines after it as they are.
HELP = """Put the demo on the Hub as a Space of your own: app, card, this package and checkpoints.

\b
kd-landmarks push-space --repo-id ME/landmarks --private
kd-landmarks push-space --repo-id ME/landmarks --models ME/mobilenetv2-300w
kd-landmarks push-space --repo-id ME/landmarks --output space

Run it in a clone of the repository. A push after a change replaces what the last one brought.
"""


@app.command("push-space", no_args_is_help=True, help=HELP)
def push_space(
    repo_id: Annotated[str, typer.Option(help="Id on the Hub, NAMESPACE/NAME, made where needed.")],
    models: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="Id of a model that it shows, for its card. May be repeated."
        ),
    ] = None,
    datasets: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="Id of a data set that its networks learned from, for its card. May be repeated.",
        ),
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(help="Folder of the checkpoints to compare. Default: the clone's."),
    ] = None,
    wheel: Annotated[
        Path | None, typer.Option(help="The package's wheel. Default: built from the clone.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="New folder for the Space's files; push nothing.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="As a private repository.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and list everything, and push nothing.")
    ] = False,
) -> None:
    """Check, stage, push and print."""
    set_up_logging()
    from huggingface_hub import constants

    from ..hub import space

    done = space.push_space(
        repo_id,
        models=models or (),
        datasets=datasets or (),
        checkpoints=checkpoints,
        wheel=wheel,
        output=output,
        private=private,
        dry_run=dry_run,
    )
    for path, size in done.files.items():
        print(f"{size:>12,}  {path}")
    if done.commit_url is not None:
        print(f"\nPushed to {repo_id}: {done.commit_url}")
        print(f"It builds for some minutes, then runs at {constants.ENDPOINT}/spaces/{repo_id}")
    elif output is not None:
        print(f"\nWritten to {output}. Nothing was pushed")
    else:
        print(f"\nNothing was pushed. Without --dry-run, these go to {repo_id}")
