"""Options that several commands have."""

from typing import Annotated

import typer

Model = Annotated[
    str | None,
    typer.Option(help="Checkpoint folder or Hub id. Default: the package's own detector."),
]
MinScore = Annotated[
    float, typer.Option(min=0, max=1, help="Least score of the face detector; lower finds more.")
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, … Default: the first accelerator, else the CPU.")
]
