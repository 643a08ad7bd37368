"""`kd-landmarks train`."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ..utils.logging import set_up_logging
from .app import app
from .options import AllowOutside

TRAIN_HELP = """Train facial landmark detectors by knowledge distillation.

\b
kd-landmarks train                                        generated faces, minutes
kd-landmarks train --data faces --scheme mine.yaml        landmarks of your own
kd-landmarks train --recipe 300w --data DIR               real faces
kd-landmarks train --resume runs/300w                     continue after a stop
accelerate launch -m kd_landmarks train --recipe 300w …   on all accelerators of a machine

Four stages, one network each: tough_teacher learns the ground truth, tolerant_teacher learns the
Soft-landmarks, student learns with the help of both, and baseline is the same student without
teachers.

Every value of a recipe can be set by its dotted name, such as --student.epochs 40.
`kd-landmarks train --help` lists them all.
"""


class _Train(TyperCommand):
    """Its help lists the keys of a recipe, too."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        from ..training.recipe import recipe_keys

        sections: dict[str, list[tuple[str, str]]] = {}
        for key, meaning in recipe_keys().items():
            section = key.partition(".")[0] if "." in key else "recipe"
            sections.setdefault(section, []).append((f"--{key}", meaning))
        for section, keys in sections.items():
            with formatter.section(f"Values of {section}"):
                formatter.write_dl(keys)


@app.command(
    cls=_Train,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    help=TRAIN_HELP,
)
def train(
    context: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="embedded, own, 300w, wflw, cofw, paper_300w or a YAML file. Default: own with "
            "--data, embedded without."
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Folder, file or Hub data set id; sets data.source.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="New run folder. Default: the first free runs/RECIPE.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Run folder to continue.")] = None,
    init: Annotated[
        str | None,
        typer.Option(help="Checkpoint that the student starts from; sets student.init."),
    ] = None,
    stages: Annotated[
        str | None,
        typer.Option(help="Some of the four, separated by commas. Default: the recipe's."),
    ] = None,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="Fetch photos when needed (Parquet or Hub only).")
    ] = False,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave broken rows out instead of stopping.")
    ] = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Plan the run and train."""
    # Before torch loads OpenMP: threads that spin long while they wait take the cores from the
    # loader and from whatever else runs, and on a crowded machine training crawls. Not spinning at
    # all slows a free one (benchmarks/cpu_settings.py measures both).
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    set_up_logging()
    from ..training.preflight import check_start
    from ..training.recipe import load_recipe, parse_overrides

    own = data is not None and data != "generated"
    chosen = recipe or ("own" if own else "embedded")
    shortcuts = {
        "data.source": data,
        "student.init": init,
        "stages": stages.split(",") if stages else None,
        "data.streaming": streaming or None,
        "data.skip_bad_rows": skip_bad_rows or None,
        "data.allow_outside": allow_outside or None,
    }

    def asked() -> dict[str, Any]:
        overrides = parse_overrides(context.args)
        overrides |= {key: value for key, value in shortcuts.items() if value is not None}
        if resume is None:
            check_start(load_recipe(chosen, overrides))
        return overrides

    # Before torch is loaded: who has to mend something hears of it at once.
    overrides = asked() if os.environ.get("WORLD_SIZE", "1") == "1" else None
    from ..training.run import run_recipe
    from ..training.run_folder import check_trackers, kept_by_run, plan_run
    from ..training.shutdown import one_ending
    from ..utils.environment import keep_freed_memory

    keep_freed_memory()
    folder: Path | None = None

    with one_ending(lambda: kept_by_run(folder)):
        if overrides is None:
            overrides = asked()  # here, where several processes tell of an error once
        planned, folder = plan_run(
            recipe if resume is not None else chosen, overrides, output, resume
        )
        check_trackers(planned.run.trackers)
        run_recipe(planned, folder)
