"""What a recipe may say: every value with its type, range and meaning.

The models refuse unknown keys and bad values by name; `kd_landmarks.training.recipe` turns their
complaints into one readable message.
"""

import os
from functools import partial
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ..data.augmentation_settings import AugmentationSettings
from ..errors import shown
from ..utils.parsing import plain_name

Stage = Literal["tough_teacher", "tolerant_teacher", "student", "baseline"]
STAGE_LABELS: dict[str, str] = {
    "tough_teacher": "Tough-Teacher",
    "tolerant_teacher": "Tolerant-Teacher",
    "student": "student",
    "baseline": "student, no teachers",
}
STAGES: tuple[Stage, ...] = get_args(Stage)
LONGEST_TEXT = 2000
"""Characters of a value: a description, a path."""
MOST = 10_000_000
"""Of anything that is counted: far beyond any run, and still no overflow."""


class Settings(BaseModel):
    """A part of a recipe: immutable, and closed to unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, str_max_length=LONGEST_TEXT
    )

    @field_validator("*", mode="before")
    @classmethod
    def _as_written(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what pydantic would take: a truth value for a number, text with hidden signs."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and {int, float} & {kind, *get_args(kind)}:
            raise ValueError(f"give a number, not {value}")
        if isinstance(value, str) and not value.replace("\n", " ").isprintable():
            raise ValueError(f"text may have no control characters, as {shown(value)} has")
        return value


def _in_full(place: str) -> str:
    """A path or id with its environment variables' values."""
    full = os.path.expandvars(place)
    if "$" in full:
        raise ValueError(f"set the environment variable that {shown(full)} names")
    return full


def _one_or_several(value: Any) -> Any:
    """A single one may stand alone, and null for none."""
    return () if value is None else (value,) if isinstance(value, str | dict) else value


Place = Annotated[str, AfterValidator(_in_full)]
"""A file, a folder or a Hub id; $NAME stands for an environment variable."""
Places = Annotated[tuple[Place, ...], BeforeValidator(_one_or_several), Field(max_length=100)]


class MoreFaces(Settings):
    """Further labeled faces, of another data set."""

    source: Place
    split: str | None = None
    weight: float = Field(1.0, gt=0, le=MOST)
    held_back: int = Field(0, ge=0, le=MOST)

    @model_validator(mode="before")
    @classmethod
    def _source_alone(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value


PACKAGE = "package"
"""As `init`: the package's own detector."""
NO_DATA = (
    "this recipe trains on your data: name it with --data FOLDER_OR_HUB_ID (--recipe embedded "
    "needs none)"
)


class DataSettings(Settings):
    """Where faces come from and how they are cut."""

    source: Place | None = Field(
        None, description="`generated`, a folder, a file or a Hub data set id (also --data)"
    )
    more: Annotated[
        tuple[MoreFaces, ...], BeforeValidator(_one_or_several), Field(max_length=100)
    ] = Field(
        (),
        description="further labeled faces to train on, each a source or a mapping of `source`, "
        "`split`, `weight` (how much each face counts, 1 by default) and `held_back` (how many of "
        "its faces are measured on, and not trained on)",
    )
    revision: str | None = Field(None, description="of a Hub data set")
    train_split: str | None = Field(
        "train", description="part of the data to train on; null where it has no parts"
    )
    test_split: str | None = Field(
        "test", description="part of the data to measure on; null for none"
    )
    validation_faces: int = Field(
        300,
        ge=0,
        le=MOST,
        description="held back from the training faces, whole photos at a time; a fifth, where "
        "these would be more than half; 0 trains on all",
    )
    box: Literal["gt", "upright", "dataset"] = Field(
        "gt",
        description="gt: the points' tight box; upright: the same with the face's roll removed; "
        "dataset: the data's own",
    )
    crop_margin: float = Field(
        1.25, ge=0.5, le=4, description="side of the crop in longer sides of the box"
    )
    streaming: bool = Field(
        False,
        description="leave the training photos of Parquet or a Hub data set where they are, and "
        "fetch them as they are needed (also --streaming)",
    )
    skip_bad_rows: bool = Field(
        False, description="leave broken rows out and list them, instead of stopping"
    )
    allow_outside: bool = Field(
        False,
        description="also read pictures outside the data folder, for `unlabeled` too (also "
        "--allow-outside): data can name any picture on this machine",
    )
    orientation: Literal["upright", "stored"] = Field(
        "upright",
        description="which form of a photo the landmarks of JSON lines, .pts files and labeling "
        "tools refer to: as viewers show it, or before its EXIF orientation is applied",
    )
    generated_extra: int = Field(
        0,
        ge=0,
        le=MOST,
        description="number of generated faces, with a yaw of 25 to 75 degrees, to add to the "
        "training photos",
    )
    generated_train: int = Field(1500, ge=8, le=MOST, description="training faces to generate")
    generated_test: int = Field(300, ge=8, le=MOST, description="test faces to generate")
    generated_unlabeled: int = Field(
        2000, ge=8, le=MOST, description="faces to generate for unlabeled.source generated"
    )

    @model_validator(mode="after")
    def _can_be_used(self) -> Self:
        if self.streaming and self.more:
            raise ValueError("data.more cannot be streamed: leave streaming out")
        if self.test_split is None and not self.validation_faces:
            raise ValueError(
                "validation_faces 0 and test_split null leave no faces to measure on: give one of "
                "them"
            )
        return self


class ShapeModelSettings(Settings):
    """The active shape model that makes the Soft-landmarks."""

    retained_variance: float = Field(
        0.9, gt=0, le=1, description="share of the shapes' variance that Soft-landmarks keep"
    )
    aligned: bool = Field(True, description="compare shapes after similarity Procrustes alignment")


class LossSettings(Settings):
    """What a network is trained with."""

    name: Literal["kd", "wing", "l1", "l2", "smooth_l1"] = Field(
        "wing", description="kd is KD-Loss; the others use no teacher"
    )
    variant: Literal["paper", "author_code", "ours", "wing"] = Field(
        "ours", description="of KD-Loss"
    )
    tough_weight: float = Field(
        1.0, ge=0, le=MOST, description="of the Tough-Teacher's term of KD-Loss; 0 for none"
    )
    tolerant_weight: float = Field(
        1.0, ge=0, le=MOST, description="of the Tolerant-Teacher's term of KD-Loss; 0 for none"
    )
    assist: Literal["assistive", "l1"] = Field(
        "assistive", description="KD-Loss's own, or for comparison plain L1 to a teacher's points"
    )
    map_weight: float = Field(
        0.0,
        ge=0,
        le=MOST,
        description="of the divergence of the integral head's maps from Gaussian spots, which is "
        "added to `name`",
    )
    map_sigma: float = Field(1.0, gt=0, le=1000, description="of these spots, in cells of the map")

    @property
    def teachers(self) -> list[str]:
        """The teachers that it listens to: `tough`, `tolerant`."""
        weights = {"tough": self.tough_weight, "tolerant": self.tolerant_weight}
        return [name for name, weight in weights.items() if self.name == "kd" and weight > 0]


class NetworkSettings(Settings):
    """One network and its training."""

    backbone: str = Field("mobilenetv2_100", description="any timm architecture")
    backbone_weights: Place = Field(
        "imagenet",
        description="`imagenet` (timm's own, from the Hub), `none`, or a .safetensors file with "
        "timm's parameter names",
    )
    init: Place | None = Field(
        None,
        description="start from this checkpoint, whose landmarks may differ: a folder, a Hub id, "
        "`package` for the package's own, or the name of an earlier stage of the run (also "
        "--init)",
    )
    head: Literal["integral", "linear"] = Field(
        "integral", description="`integral`: a map per landmark; `linear`: the paper's"
    )
    image_size: int = Field(128, ge=32, le=1024, description="side of the input, in pixels")
    refinement: bool = Field(
        True, description="let the integral head correct each point from the others"
    )
    head_channels: int = Field(96, ge=8, le=1024, description="width of the integral head")
    head_strides: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field(
        (8, 16, 32),
        min_length=1,
        max_length=8,
        description="of the backbone's feature maps that the integral head joins",
    )

    epochs: float = Field(30, gt=0, le=100_000, description="passes over the training faces")
    batch_size: int = Field(32, ge=2, le=100_000, description="faces per process and step")
    learning_rate: float = Field(1e-3, gt=0, le=10, description="of AdamW, at its peak")
    loss: LossSettings = LossSettings()
    augmentation: AugmentationSettings = AugmentationSettings()

    @model_validator(mode="after")
    def _maps_need_a_head_that_has_them(self) -> Self:
        if self.loss.map_weight and self.head != "integral":
            raise ValueError(
                f"loss.map_weight {self.loss.map_weight} needs landmark maps, which head "
                f"{self.head} has none of: give head integral, or map_weight 0"
            )
        return self


class TeacherSettings(Settings):
    """Where the student's teachers come from, and when they speak."""

    targets: Literal["online", "precomputed", "stored"] = Field(
        "precomputed",
        description="online: from the teachers, for every augmented picture; precomputed: once per "
        "face, not augmented; stored: from the data's columns tough_landmarks, tolerant_landmarks",
    )
    tough: Places = Field(
        (), description="finished Tough-Teachers: folders or Hub ids; several are averaged"
    )
    tolerant: Places = Field((), description="finished Tolerant-Teachers, likewise")
    fill_gaps: bool = Field(
        False,
        description="fill in missing landmarks with the Tough-Teachers' points where their views "
        "agree (precomputed targets only), instead of leaving them out",
    )

    @model_validator(mode="after")
    def _gaps_are_filled_beforehand(self) -> Self:
        if self.fill_gaps and self.targets != "precomputed":
            raise ValueError(f"fill_gaps needs targets precomputed, not {self.targets}")
        return self


class UnlabeledSettings(Settings):
    """Faces without landmarks, on which the teachers' points are the student's targets."""

    source: Places = Field(
        (),
        description="folders of photos, JSON lines, Parquet or Hub data set ids, or `generated`",
    )
    split: str | None = Field(None, description="part of the data; needed where there are several")
    revision: str | None = Field(None, description="of a Hub data set")
    targets: str | None = Field(
        None, description="folder `unlabeled` of an earlier run: its targets, instead of source"
    )

    @property
    def given(self) -> bool:
        """Whether there are any such faces."""
        return bool(self.source or self.targets)


class RunSettings(Settings):
    """How the run goes, whatever it trains."""

    seed: int = Field(0, ge=0, lt=2**32, description="of everything that is drawn at random")
    mixed_precision: Literal["no", "fp16", "bf16"] | None = Field(
        None, description="null leaves it to `accelerate launch`"
    )
    gradient_accumulation: int = Field(1, ge=1, le=MOST, description="batches per optimizer step")
    threads: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="CPU threads per process; null shares all cores among the processes",
    )
    workers: int = Field(1, ge=0, le=64, description="loader processes beside each process")
    evaluate_every: float = Field(5.0, gt=0, le=MOST, description="epochs between validations")
    checkpoint_every: float = Field(1.0, gt=0, le=MOST, description="epochs between checkpoints")
    keep_checkpoints: int = Field(
        2, ge=1, le=MOST, description="how many of the latest to keep, of the stage in training"
    )
    trackers: tuple[str, ...] = Field(
        (), max_length=20, description="of Accelerate: tensorboard, trackio, wandb, …"
    )

    @field_validator("mixed_precision", mode="before")
    @classmethod
    def _bare_no(cls, value: Any) -> Any:
        """YAML 1.1 reads a bare no as false."""
        return "no" if value is False else value


class Recipe(Settings):
    """A whole run: data, shape model, two teachers, student, and the student without teachers."""

    name: Annotated[str, AfterValidator(partial(plain_name, what="this"))] = Field(
        description="of the run's folder in runs/"
    )
    description: str = Field("", description="for people")
    scheme: str = Field("ibug68", description="ibug68, wflw98, cofw29 or a YAML file")
    stages: tuple[Stage, ...] = Field(
        STAGES,
        min_length=1,
        max_length=len(STAGES),
        description="the networks to train",
    )
    data: DataSettings = DataSettings()
    shape_model: ShapeModelSettings = ShapeModelSettings()
    teachers: TeacherSettings = TeacherSettings()
    unlabeled: UnlabeledSettings = UnlabeledSettings()
    tough_teacher: NetworkSettings = NetworkSettings()
    tolerant_teacher: NetworkSettings = NetworkSettings()
    student: NetworkSettings = NetworkSettings()
    baseline: NetworkSettings = NetworkSettings()
    run: RunSettings = RunSettings()

    @model_validator(mode="after")
    def _other_faces_have_no_box_of_their_own(self) -> Self:
        if self.data.box == "dataset" and (self.unlabeled.given or self.data.generated_extra):
            raise ValueError(
                "data.box dataset is for labeled faces alone, since others would be cut by the "
                "tight box of their points: give data.box gt, or leave unlabeled and "
                "data.generated_extra out"
            )
        return self

    @model_validator(mode="after")
    def _a_tough_teacher_fills_gaps(self) -> Self:
        if self.teachers.fill_gaps and "tough" not in self.student.loss.teachers:
            raise ValueError(
                "teachers.fill_gaps takes points of the Tough-Teacher, which the student's loss "
                "does not listen to: give student.loss name kd and a tough_weight above 0"
            )
        return self
