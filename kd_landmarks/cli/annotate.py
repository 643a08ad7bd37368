"""`kd-landmarks annotate`."""

from pathlib import Path
from typing import Annotated

import typer

from ..utils.logging import set_up_logging
from ..utils.values import MAX_COUNT
from .app import app
from .options import AllowOutside, MinScore, Model

ANNOTATE_HELP = """Find faces and their landmarks in every photo of a data set.

\b
kd-landmarks annotate --data NAMESPACE/PHOTOS --output faces
accelerate launch -m kd_landmarks annotate --data photos/ --output faces
torchrun --nproc_per_node 4 -m kd_landmarks annotate --data photos.parquet --output faces

Every input row becomes one Parquet row, shared out among the processes and nodes of the launcher.
It has the input's columns except the picture, image_path and image_row to identify the photo, the
faces found, and an error if the picture cannot be read. To continue a stopped run, repeat the same
command.
"""


@app.command(no_args_is_help=True, help=ANNOTATE_HELP)
def annotate(
    data: Annotated[
        str, typer.Option(help="Data set id on the Hub, Parquet, or a folder of photos.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for the Parquet files.")],
    split: Annotated[str, typer.Option(help="Part of the data.")] = "train",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the Hub.")] = None,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="Fetch photos as they are needed.")
    ] = False,
    model: Model = None,
    min_score: MinScore = 0.6,
    batch_size: Annotated[
        int, typer.Option(min=1, max=MAX_COUNT, help="Photos per forward pass.")
    ] = 16,
    part_rows: Annotated[
        int, typer.Option(min=1, max=MAX_COUNT, help="Rows per Parquet file.")
    ] = 1000,
    allow_outside: AllowOutside = False,
) -> None:
    """Check, share the rows among the processes, find and write."""
    set_up_logging()
    import datasets
    from datasets.distributed import split_dataset_by_node
    from tqdm.auto import tqdm

    from ..data.annotate import PLAN, annotate_rows, check_plan
    from ..data.picture_rows import open_data
    from ..imaging.detection import YuNet
    from ..inference.pipeline import FaceLandmarkPipeline
    from ..training.shutdown import one_ending
    from ..utils.files import check_new_folder, check_outside
    from ..utils.parsing import plain_name

    datasets.disable_progress_bars()
    with one_ending(
        lambda: f"{output} keeps the rows of its finished files; continue with the same command"
    ) as state:
        # A split may be a slice, such as train[:100]; PLAN keeps two of them apart.
        label = plain_name(split.partition("[")[0], "the split")
        if state.is_main_process and not (output / PLAN).is_file():
            # Its files would be read as data the next time, or take the place of others.
            check_outside(output, data)
            check_new_folder(output)
        detect = FaceLandmarkPipeline(
            model, detector=YuNet(min_score), min_confidence=0, device=state.device
        )
        rows, pictures = open_data(
            data, split, revision, streaming, state.num_processes, allow_outside
        )
        plan = {
            "data": data,
            "split": split,
            "revision": revision,
            "streaming": streaming,
            "model": model or "the package's own",
            "min_score": min_score,
            "part_rows": part_rows,
            "processes": state.num_processes,
        }
        with state.main_process_first():
            check_plan(output, plan, state.is_main_process)
        rows = split_dataset_by_node(rows, state.process_index, state.num_processes)
        name = f"{label}-{state.process_index:05d}-of-{state.num_processes:05d}"
        with tqdm(unit="photo", disable=not state.is_main_process) as bar:
            done = annotate_rows(
                *(rows, pictures, detect, output, name, batch_size, part_rows, bar),
                all_rows=state.num_processes == 1,
            )
        state.wait_for_everyone()
        print(f"{done} rows in {output}/{name}-*.parquet")
