"""Work that all processes of a run do together: each a share of it, and everybody has the whole."""

from accelerate import Accelerator
from accelerate.utils import gather_object
from datasets import Dataset
from tqdm.auto import tqdm

from ..data.photos import Photos
from ..data.row_checks import good_rows, row_problems
from ..data.streaming import with_photos
from ..schemes import LandmarkScheme


def share_of(accelerator: Accelerator, count: int) -> range:
    """Which of `count` things in a row are this process's; the shares differ by one at most."""
    processes, rank = accelerator.num_processes, accelerator.process_index
    return range(count * rank // processes, count * (rank + 1) // processes)


def fetch_photos(accelerator: Accelerator, rows: Dataset) -> Dataset:
    """Streamed rows with their photos in memory; each is fetched by one process only."""
    photos = Photos(rows)
    share = tqdm(
        share_of(accelerator, len(rows)),
        "fetching photos",
        unit="photo",
        leave=False,
        disable=not accelerator.is_main_process,
    )
    return with_photos(rows, gather_object([photos[index] for index in share]))


def leave_out_bad_rows(accelerator: Accelerator, rows: Dataset, scheme: LandmarkScheme) -> Dataset:
    """Streamed rows without the bad ones, which are listed: looks at every photo once.

    Raises:
        KDLandmarksError: on all processes, where none of the rows is good.
    """
    share = share_of(accelerator, len(rows))
    mine = row_problems(rows.select(share), scheme)
    return rows.select(good_rows(gather_object(list(mine)), skip_bad_rows=True))
