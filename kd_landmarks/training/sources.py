"""The rows of a recipe's data, as its settings want them; loads no torch."""

from datasets import Dataset

from ..data.loading import load_rows
from ..schemes import LandmarkScheme
from .recipe_settings import DataSettings


def load_source(split: str | None, settings: DataSettings, scheme: LandmarkScheme) -> Dataset:
    """A split of `settings.source`, which names data; no picture is decoded.

    Raises:
        KDLandmarksError: as `load_rows`.
    """
    assert settings.source is not None, "load_sets refuses a run without"
    return load_rows(
        settings.source,
        split,
        scheme=scheme,
        box="dataset" if settings.box == "dataset" else "gt",
        revision=settings.revision,
        skip_bad_rows=settings.skip_bad_rows,
        streaming=settings.streaming,
        allow_outside=settings.allow_outside,
        orientation=settings.orientation,
    )
