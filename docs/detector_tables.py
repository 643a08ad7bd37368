"""The tables of detectors: the released ones and others, their errors, times and sizes."""

from collections.abc import Iterable
from typing import Any

from records import COMMON, WFLW, figures, markdown_table, recorded

from kd_landmarks.demo.recorded import AS_IT_IS


def released() -> str:
    """Every released network: size, time and its first two errors."""
    rows = []
    for name, told in recorded("released")["models"].items():
        common, wflw = told["tests"][COMMON], told["tests"][WFLW]
        low, high = common["interval"]
        rows.append(
            (
                f"`{name}`",
                f"{common['parameters'] / 1e6:.2f} M",
                str(told["image_size"]),
                f"{common['nme']:.2f} ({low:.2f} to {high:.2f})",
                f"{wflw['nme']:.2f}",
                f"{told['milliseconds']:.1f}",
                f"{told['bytes'] / 1e6:.1f}",
            )
        )
    errors = (f"{COMMON}: NME % (95 % interval)", f"{WFLW}: NME %")
    header = ("network", "parameters", "input, pixels", *errors)
    return markdown_table((*header, "PyTorch, ms a face", "weights, MB"), rows)


def released_more() -> str:
    """The other errors of every released network."""
    models = recorded("released")["models"]
    others = [t for t in next(iter(models.values()))["tests"] if t not in (COMMON, WFLW)]
    rows = []
    for name, told in models.items():
        common = told["tests"][COMMON]
        rates = (f"{common[f'failure_rate_{limit}']:.2f}" for limit in (8, 10))
        nmes = (f"{told['tests'][test]['nme']:.2f}" for test in others)
        rows.append((f"`{name}`", *rates, f"{common['auc_10']:.3f}", *nmes))
    columns = (f"{test}: {_unit(models, test)}" for test in others)
    header = ("network", f"{COMMON}: FR8 %", "FR10 %", "AUC10", *columns)
    return markdown_table(header, rows)


def _unit(models: Any, test: str) -> str:
    normalizer = next(iter(models.values()))["tests"][test]["normalizer"]
    return "% of the box" if normalizer == "box" else "NME %"


def teachers() -> str:
    """What teachers and unlabeled faces brought the released student."""
    models, gain = recorded("released")["models"], recorded("released")["gain"]
    names = ("mobilenetv2-300w-no-teachers", "mobilenetv2-300w")
    before, after = (
        {test: models[name]["tests"][test]["nme"] for test in (COMMON, WFLW)} for name in names
    )
    rows = [
        (test, f"{before[test]:.2f}", f"{after[test]:.2f}", _gain(before[test], after[test]))
        for test in (COMMON, WFLW)
    ]
    low, high, p = (gain[key] for key in ("interval_low", "interval_high", "wilcoxon_p"))
    told = f"{rows[0][-1]} (95 % interval {low:.3f} to {high:.3f} points, Wilcoxon p = {p:.1g})"
    header = ("test", "without teachers, NME %", "with both and unlabeled faces", "lower by")
    return markdown_table(header, [(*rows[0][:-1], told), rows[1]])


def _gain(before: float, after: float) -> str:
    return f"{before - after:.2f} points, {100 * (1 - after / before):.1f} %"


def ensemble() -> str:
    """Released networks alone and together, each with the mirror image."""
    columns = {
        "nme": ("300W common, NME %", ".2f"),
        "failure_rate_8": ("FR8 %", ".2f"),
        "auc_8": ("AUC8", ".3f"),
    }
    return figures("face and mirror image", recorded("ensemble"), columns)


STUDENTS = {
    "student": ("`mobilenetv2-300w`, in the package", "the default"),
    "student, int8": ('the same, `dtype="int8"`', "speed on a CPU"),
    "160 pixels": ("`mobilenetv2-300w-160`", "the smallest error"),
    "160 pixels, int8": ("the same, int8", ""),
    "nano student": ("`mobilenetv2-300w-nano`", "small devices"),
    "nano student, int8": ("the same, int8", "the smallest file: browsers"),
}


def students(names: Iterable[str] = STUDENTS, *, advice: bool = False) -> str:
    """The released students in ONNX Runtime."""
    told = recorded("students_onnx")
    rows = []
    for name in names:
        figures, (title, when) = told[name], STUDENTS[name]
        rows.append(
            (
                title,
                *(f"{figures['nme'][test]:.2f}" for test in (COMMON, "106 WFLW faces")),
                f"{figures['milliseconds']:.2f}",
                f"{figures['bytes'] / 1e6:.1f}",
                *([when] if advice else []),
            )
        )
    header = ("network", f"{COMMON}, NME %", f"{WFLW}, NME %", "ms a face", "ONNX file, MB")
    return markdown_table((*header, *(["choose it for"] if advice else [])), rows)


def models() -> str:
    """Five students, and when to choose which."""
    return students([name for name in STUDENTS if name != "160 pixels, int8"], advice=True)


PEERS = {
    "ours, onnxruntime": "kd-landmarks, ONNX Runtime",
    "ours, onnxruntime int8": "kd-landmarks, ONNX Runtime, int8",
    "ours, openvino": "kd-landmarks, OpenVINO",
    "ours, openvino int8": "kd-landmarks, OpenVINO, int8",
    "ours, torch": "kd-landmarks, PyTorch",
    "dlib": "dlib, 68 points",
    "MediaPipe, 478 points": "MediaPipe FaceMesh, 478 points",
    "MediaPipe, 468 points": "MediaPipe FaceMesh, 468 points",
    "face-api": "face-api, 68 points",
}
SAME_POINTS = {"ours, openvino", "ours, openvino int8", "ours, torch"}


def _scores(name: str, part: str) -> tuple[Any, Any]:
    told = recorded("peers")["errors"][name][part]
    return told, told["as it is" if name.startswith(AS_IT_IS) else "mapped"]


def beside() -> str:
    """Four rows beside others, for README."""
    rows = []
    names = ("ours, onnxruntime", "ours, onnxruntime int8", "MediaPipe, 478 points", "dlib")
    for name in names:
        told = recorded("peers")["times"][name]["1"]
        cells = []
        for part in ("common", "wflw"):
            scored, chosen = _scores(name, part)
            found = f"{scored['found']} of {scored['faces']} found"
            cells.append(f"{chosen['nme']:.2f} ({found})")
        cells += [f"{told[key]:.1f}" for key in ("step_ms", "photo_ms", "disk_mb")]
        rows.append((PEERS[name], *cells))
    costs = ("landmark step, ms", "photo of 640 x 480, ms", "model, MB")
    return markdown_table(("", f"{COMMON}, NME %", f"{WFLW}, NME %", *costs), rows)


def peer_times() -> str:
    """Time, memory and size of everybody, on one core."""
    times = recorded("peers")["times"]
    mesh = times["MediaPipe, 478 points"]["1"]["step_ms"]
    told = {
        title: times[name]["1"] | {"relative": times[name]["1"]["step_ms"] / mesh}
        for name, title in PEERS.items()
    }
    columns = {
        "step_ms": ("landmark step, ms", ".2f"),
        "relative": ("relative to MediaPipe 478", ".2f"),
        "network_ms_batch_1": ("network alone, ms", ".2f"),
        "network_ms_batch_32": ("32 at once, ms a face", ".2f"),
        "photo_ms": ("photo of 640 x 480, ms", ".1f"),
        "peak_mb": ("peak MB", ".0f"),
        "disk_mb": ("MB on disk", ".1f"),
    }
    return figures("one core", told, columns)


def peer_errors(part: str) -> str:
    """Errors of everybody on the faces of a test (common or wflw) that they find."""
    rows = []
    for name, title in PEERS.items():
        if name in SAME_POINTS:
            continue
        told, chosen = _scores(name, part)
        own = "" if name.startswith("ours") else f"{told['student_nme_on_found']:.2f}"
        replaced = f"{chosen['nme_misses_by_mean_shape']:.2f}"
        found = f"{told['found']} of {told['faces']}"
        rows.append((title, found, f"{chosen['nme']:.2f}", own, replaced))
    header = ("", "found", "NME %", "kd-landmarks on these", "misses replaced")
    return markdown_table(header, rows)


def peer_points() -> str:
    """What everybody has learned from, and how their points are compared."""
    learned = recorded("peers")["learned_from"]
    rows = [
        (
            title,
            learned.get(name, "300W (see its card)"),
            "its own" if name.startswith(AS_IT_IS) else "mapped",
        )
        for name, title in PEERS.items()
        if name not in SAME_POINTS
    ]
    return markdown_table(("", "learned from", "points"), rows)


def light() -> str:
    """Installation, start and first answer."""
    titles = {
        "base": "base install, float32",
        "base, int8": 'base install, `dtype="int8"`',
        "[train], torch": '`[train]`, `backend="torch"`',
        "MediaPipe": "MediaPipe 0.10.21, 478 points",
    }
    columns = {
        "install_mb": ("install, MB", ",.0f"),
        "import_cpu_s": ("import, s", ".2f"),
        "cpu_s": ("first answer, s", ".2f"),
        "peak_mb": ("peak, MB", ".0f"),
        "step_ms": ("landmark step, ms", ".2f"),
    }
    told = recorded("light")
    return figures("", {title: told[name] for name, title in titles.items()}, columns)


def boxes() -> str:
    """The student's error by the box that it is given."""
    told = recorded("detector_boxes")["common"]
    scores = {box: one for box, one in told.items() if isinstance(one, dict)}
    columns = {
        "nme": ("NME %", ".2f"),
        "failure_rate_8": ("FR8 %", ".2f"),
        "failure_rate_10": ("FR10 %", ".2f"),
    }
    return figures("box", scores, columns)


def confidence() -> str:
    """Whether confidence holds, and what the surest faces' error is."""
    told = recorded("confidence")
    rows = [
        (
            name,
            *(f"{told[name][key]:.3f}" for key in ("right", "expected")),
            *(f"{told[name][key]:.2f}" for key in ("spearman_points", "spearman_faces")),
            *(f"{told[name]['risk'][share]:.2f}" for share in ("1", "0.75", "0.5", "0.25")),
        )
        for name in (COMMON, WFLW)
    ]
    header = ("faces", "right points", "mean confidence", "Spearman: points", "Spearman: faces")
    shares = ("NME % of all", "of the surest 75 %", "50 %", "25 %")
    return markdown_table((*header, *shares), rows)


def left_out() -> str:
    """What min_confidence leaves out, and the confidence of faces and of crops without one."""
    told = recorded("confidence")
    crops = {"beside the face": "crops beside a face", "noise": "crops of noise"}
    rows = []
    for name, title in crops.items():
        median, tail = (f"{told[name][key]:.2f}" for key in ("median", "quantile_95"))
        rows.append((title, f"{100 * told[name]['left_out']:.1f}", median, f"5 % above {tail}"))
    faces = {"AFLW": "AFLW", "wild faces": "small and blurred faces in WFLW's photos"}
    for name, share in told["left out"].items():
        known = told.get(name, {})
        median = f"{known['median']:.2f}" if "median" in known else ""
        tail = f"5 % below {known['quantile_5']:.2f}" if "quantile_5" in known else ""
        rows.append((faces.get(name, name), f"{100 * share:.1f}", median, tail))
    return markdown_table(("what", "left out, %", "median confidence", "tail"), rows)
