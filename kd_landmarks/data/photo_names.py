"""Which photo a file shows a face of, by the names that public data sets give their files."""

import os
import re
from pathlib import Path

# How public data sets name several faces of a photo, by their subset. Flickr's number of the photo
# and the face's behind it ("1051618982_1"); iBUG's "image_003_1" and "image_092 _01".
_FLICKR = re.compile(r"(?P<photo>\d{6,})_\d{1,2}")
_FACE_OF_PHOTO = {
    "afw": _FLICKR,
    "helen": _FLICKR,
    "ibug": re.compile(r"(?P<photo>image_\d+) ?_\d{1,2}"),
}
# A photo of WIDER FACE, from which WFLW's are, and a face of it: "12--Group__12_Group_Group_12_187"
# and "__0". The event's number stands at both ends: nobody else's name looks like it by chance.
_FACE_OF_WIDER = re.compile(r"(?P<photo>(\d{1,2})--[^/]+?__\2_.+_\d+)__\d{1,3}")
# Subsets whose names do not tell faces of a photo apart: LFPW's "image_0001", WFLW's own photos.
_WHOLE_PHOTOS = ("lfpw", "wflw")


def photo_id(path: str | Path, subset: str | None = None) -> str:
    """Which photo a file shows a face of: faces of one photo agree in it, different photos never.

    Only where a name is known to be a public data set's is the number of the face within its photo
    taken off (and the suffix): by the subset afw, helen, lfpw, ibug or wflw, or by the name itself
    for WIDER FACE's. Whatever else names look like, `20240101_01.jpg` and `20240101_02.jpg` are two
    photos. Rows of files that share a photo may say so by their own `photo`.

    Args:
        path: of the picture, or of its annotation.
        subset: the public data set that the row says it is from, in either case; None or another
            name for data of unknown origin.
    """
    path = Path(os.path.normpath(path))
    known = (subset or "").lower()
    pattern = _FACE_OF_PHOTO.get(known, _FACE_OF_WIDER)
    match = pattern.fullmatch(path.stem)
    if match:
        path = path.with_name(match["photo"])
    elif known in (*_FACE_OF_PHOTO, *_WHOLE_PHOTOS):
        path = path.with_suffix("")
    return path.as_posix()
