"""What people wrote about the released models, in `released.yaml`."""

from functools import cache
from hashlib import file_digest
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import KDLandmarksError
from .measurements import Measurement

FILE = Path(__file__).parent / "released.yaml"


class ReleasedTexts(BaseModel):
    """Markdown about one released model; little of it may be empty once its card is written.

    Figures in it come from the tests: `{tests[300W common].nme:.2f}`.

    Attributes:
        name: of the model.
        weights: SHA-256 of its model.safetensors.
        summary: what it is, in a few sentences.
        training: how it came about: data and what they lacked, teachers, what was chosen how.
        commands: that train it.
        measure: the command that measured it.
        limits: a list of what it fails on.
        worst_faces: a point before that list, what its worst faces have in common; may be empty.
        license_id, license_name, license_link: as the Hub calls licenses.
        license: of the weights, in words.
        base_model: id on the Hub of the network whose weights it started from; empty for none.
        datasets: that it learned from, by the names that the Hub has or would have for them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    weights: str
    summary: str
    training: str
    commands: str
    measure: str
    limits: str
    license_id: str
    license_name: str
    license_link: str
    license: str
    worst_faces: str = ""
    base_model: str = ""
    datasets: tuple[str, ...] = ()

    def checked(self, tests: tuple[Measurement, ...]) -> "ReleasedTexts":
        """The texts with the figures in their places.

        Raises:
            KDLandmarksError: for a text that is still empty, and a figure that is not measured.
        """
        known = {test.name: test for test in tests}
        filled = self.model_dump()
        for field, text in filled.items():
            if not isinstance(text, str):
                continue
            if not text.strip() and type(self).model_fields[field].is_required():
                raise KDLandmarksError(f"{FILE.name}: {self.name}.{field} is empty: write it first")
            try:
                filled[field] = text.format(tests=known).strip()
            except (AttributeError, IndexError, KeyError, ValueError) as error:
                raise KDLandmarksError(
                    f"{FILE.name}: {self.name}.{field} names a figure that is not measured "
                    f"({error!r}); tests: {', '.join(known) or 'none'}"
                ) from error
        return ReleasedTexts(**filled)


def released_names() -> tuple[str, ...]:
    """The released models, the package's own first."""
    return tuple(_texts())


def released_terms() -> ReleasedTexts:
    """The texts whose license all released networks have, and what comes from them."""
    return next(iter(_texts().values()))


def released_texts(weights: Path) -> ReleasedTexts | None:
    """The texts of the released model that has these weights, still to be `checked`, or None.

    Its folder's name tells nothing: it may be renamed, and another network may have that name.
    """
    with weights.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return next((texts for texts in _texts().values() if texts.weights == digest), None)


@cache
def _texts() -> dict[str, ReleasedTexts]:
    values = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    shared = values.pop("shared")
    try:
        return {name: ReleasedTexts(name=name, **{**shared, **own}) for name, own in values.items()}
    except (TypeError, ValidationError) as error:
        raise KDLandmarksError(f"{FILE}: {error}") from error
