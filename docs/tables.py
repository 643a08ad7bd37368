"""The tables of figures in README.md and docs/, from the records in benchmarks/results/."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent / "benchmarks/results"
COMMON, WFLW = "300W common", "WFLW, 106 faces"


@cache
def recorded(name: str) -> Any:
    """What a benchmark measured."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["measured"]


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def released() -> str:
    """Every released network."""
    models = recorded("released")["models"]
    # Tests of other faces than the first two's came later.
    others = [test for test in next(iter(models.values()))["tests"] if test != COMMON]
    rows = []
    for name, told in models.items():
        common = told["tests"][COMMON]
        low, high = common["interval"]
        rows.append(
            (
                f"`{name}`",
                f"{common['parameters'] / 1e6:.2f} M",
                str(told["image_size"]),
                f"{common['nme']:.2f} ({low:.2f} to {high:.2f})",
                f"{common['failure_rate_8']:.2f}",
                f"{common['failure_rate_10']:.2f}",
                f"{common['auc_10']:.3f}",
                *(f"{told['tests'][test]['nme']:.2f}" for test in others),
                f"{told['milliseconds']:.1f}",
                f"{told['bytes'] / 1e6:.1f}",
            )
        )
    columns = [f"{test}: {_unit(models, test)}" for test in others]
    header = ("network", "parameters", "input, pixels", f"{COMMON}: NME % (95 % interval)")
    more = ("FR8 %", "FR10 %", "AUC10", *columns, "PyTorch, ms a face", "weights, MB")
    return markdown((*header, *more), rows)


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
    return markdown(header, [(*rows[0][:-1], told), rows[1]])


def _gain(before: float, after: float) -> str:
    return f"{before - after:.2f} points, {100 * (1 - after / before):.1f} %"


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
    return markdown((*header, *(["choose it for"] if advice else [])), rows)


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
# Whose points are iBUG's own: the others' are mapped to them.
AS_IT_IS = ("ours", "dlib")
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
        rows.append((PEERS[name], *cells, f"{told['step_ms']:.2f}", f"{told['disk_mb']:.1f}"))
    header = ("", f"{COMMON}, NME %", f"{WFLW}, NME %", "landmark step, ms", "model, MB")
    return markdown(header, rows)


def peer_times() -> str:
    """Time, memory and size of everybody, on one core."""
    times = recorded("peers")["times"]
    mesh = times["MediaPipe, 478 points"]["1"]["step_ms"]
    rows = []
    for name, title in PEERS.items():
        told = times[name]["1"]
        alone = [told.get(f"network_ms_batch_{batch}") for batch in (1, 32)]
        rows.append(
            (
                title,
                f"{told['step_ms']:.2f}",
                f"{told['step_ms'] / mesh:.2f}",
                *("" if value is None else f"{value:.2f}" for value in alone),
                f"{told['photo_ms']:.1f}",
                f"{told['peak_mb']:.0f}",
                f"{told['disk_mb']:.1f}",
            )
        )
    header = ("one core", "landmark step, ms", "relative to MediaPipe 478", "network alone, ms")
    more = ("32 at once, ms a face", "photo of 640 x 480, ms", "peak MB", "MB on disk")
    return markdown((*header, *more), rows)


def peer_errors() -> str:
    """Errors of everybody on the faces that they find."""
    rows = []
    for name, title in PEERS.items():
        if name in SAME_POINTS:
            continue
        cells: list[str] = []
        for part in ("common", "wflw"):
            told, chosen = _scores(name, part)
            own = "" if name.startswith("ours") else f"{told['student_nme_on_found']:.2f}"
            filled = f"{chosen['nme_misses_by_mean_shape']:.2f}"
            cells += [str(told["found"]), f"{chosen['nme']:.2f}", own, filled]
        points = "its own" if name.startswith(AS_IT_IS) else "mapped"
        learned = recorded("peers")["learned_from"].get(name, "300W (see its card)")
        rows.append((title, learned, points, *cells))
    part_columns = ("found", "NME %", "kd-landmarks on these", "misses replaced")
    header = ("", "learned from", "points", *(f"{COMMON}: {name}" for name in part_columns))
    return markdown((*header, *(f"WFLW: {name}" for name in part_columns)), rows)


def light() -> str:
    """Installation, start and first answer."""
    titles = {
        "base": "base install, float32",
        "base, int8": 'base install, `dtype="int8"`',
        "[train], torch": '`[train]`, `backend="torch"`',
        "MediaPipe": "MediaPipe 0.10.21, 478 points",
    }
    told = recorded("light")
    rows = [
        (
            title,
            f"{told[name]['install_mb']:,.0f}",
            f"{told[name]['import_cpu_s']:.2f}",
            f"{told[name]['cpu_s']:.2f}",
            f"{told[name]['peak_mb']:.0f}",
            f"{told[name]['step_ms']:.2f}",
        )
        for name, title in titles.items()
    ]
    header = ("", "install, MB", "import, s", "first answer, s", "peak, MB", "landmark step, ms")
    return markdown(header, rows)


def boxes() -> str:
    """The student's error by the box that it is given."""
    told = recorded("detector_boxes")["common"]
    rows = [
        (box, *(f"{scores[key]:.2f}" for key in ("nme", "failure_rate_8", "failure_rate_10")))
        for box, scores in told.items()
        if isinstance(scores, dict)
    ]
    return markdown(("box", "NME %", "FR8 %", "FR10 %"), rows)


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
    return markdown((*header, *shares), rows)


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
    return markdown(("what", "left out, %", "median confidence", "tail"), rows)


def steadiness() -> str:
    """Jitter and lag of smoothing."""
    rows = [
        (name, f"{told['jitter']:.3f}", f"{told['lag_ms']:.0f}")
        for name, told in recorded("steadiness")["smoothing"].items()
    ]
    return markdown(("smoothing", "jitter, % of the face's side per frame", "lag, ms"), rows)


def turns() -> str:
    """Found and exact at every size and turn."""
    told = recorded("any_photo")
    angles = [turn["nme"] for turn in told["turns"].values()]
    times = [(name, f"{value:.1f} ms") for name, value in told["times"].items()]
    found = [
        (f"faces found, {name}", f"{count}" + (f" (one search: {single})" if single else ""))
        for name, count, single in told["counts"]
    ]
    failed = sum(turn["failed"] for turn in told["turns"].values())
    farthest = max(size["farthest"] for size in told["sizes"].values())
    rows = [
        ("farthest point between sizes, % of the eyes' distance", f"{farthest:.1f}"),
        ("NME % upright", f"{told['turns']['0']['nme']:.2f}"),
        ("NME % turned in steps of 15 degrees", f"{min(angles):.2f} to {max(angles):.2f}"),
        ("answers above 10 % among all turns", str(failed)),
        *found,
        *times,
    ]
    return markdown(("measured", "value"), rows)


def head_pose() -> str:
    """Mean errors of the pose."""
    rows = []
    kinds = {"exact": "exact", "student's": "the detector's"}
    for points, told in recorded("head_pose")["drawn"].items():
        for turn, errors in told.items():
            angles = (f"{errors[key]:.1f}" for key in ("yaw", "pitch", "roll"))
            rows.append((kinds[points], turn, str(errors["faces"]), *angles))
    header = ("points", "head turned by, degrees", "faces", "yaw", "pitch", "roll")
    return markdown(header, rows)


def damaged() -> str:
    """What comes of damaged files."""
    titles = {
        "photos": "photos",
        "clips": "clips",
        "checkpoints": "checkpoints and exports",
        "data": "data sets, recipes, runs",
    }
    keys = ("tried", "answered", "refused", "foreign")
    rows = [
        (
            title,
            *(str(recorded("hostile")[name][key]) for key in keys),
            f"{recorded('hostile')[name]['seconds']:.1f}",
            str(recorded("hostile")[name]["megabytes"]),
        )
        for name, title in titles.items()
    ]
    header = ("", "tried", "answered", "refused clearly", "other errors", "longest, s", "most MB")
    return markdown(header, rows)


def photo_memory() -> str:
    """Memory of a photo of 50 megapixels, the least and the most of all kinds of files."""
    kinds = recorded("photo_memory")["kinds"]
    rows = []
    for step, title in (("detect", "to points"), ("draw", "to a drawing"), ("demo", "in the demo")):
        by_kind = {kind: told["megabytes"][step] for kind, told in kinds.items()}
        least, most = min(by_kind, key=by_kind.__getitem__), max(by_kind, key=by_kind.__getitem__)
        rows.append((title, f"{by_kind[least]:.0f} ({least})", f"{by_kind[most]:.0f} ({most})"))
    return markdown(("50 megapixels", "least, MB (file)", "most, MB (file)"), rows)


def demo() -> str:
    """The demo's times and memory."""
    told = recorded("demo_load")
    rows = [
        ("from start to a usable page", f"{told['seconds_until_usable']:.1f} s"),
        ("from a photo to its points", f"{told['photo_seconds_median']:.2f} s"),
        ("memory after 20 requests", f"{told['megabytes']['20'] / 1000:.2f} GB"),
        ("growth until 200 requests", f"{told['growth_percent']:.1f} %"),
    ]
    return markdown(("measured", "value"), rows)


def generated() -> str:
    """Networks that saw no photo."""
    titles = {
        "mean shape": "mean shape of the 100 training faces",
        "student": "student, teachers and 1,500 faces without labels",
        "baseline": "student, no teachers",
    }
    told = recorded("generated_to_real")["nme"]
    rows = [
        (title, *(f"{told[name][kind]:.2f}" for kind in ("generated", COMMON)))
        for name, title in titles.items()
    ]
    return markdown(("NME %", "generated, held back", COMMON), rows)


def first_training() -> str:
    """What teachers bring in recipe `embedded`."""
    told = recorded("embedded")
    scores = {name: network["test"]["nme"] for name, network in told["networks"].items()}
    gain = told["teachers_gain"]
    low, high = gain["interval"]
    rows = [
        ("student, no teachers", f"{scores['baseline']:.2f}", ""),
        (
            "student, both teachers and 1,500 faces without labels",
            f"{scores['student']:.2f}",
            f"{gain['percent']:.0f} % (95 % interval over faces {low:.0f} to {high:.0f} %)",
        ),
    ]
    return markdown(("network", "NME % on 300 generated faces", "less error"), rows)


def step_cost() -> str:
    """What a training step costs."""
    told = recorded("step_cost")
    titles = {
        "no teachers": "no teachers",
        "precomputed": "precomputed targets",
        "online": "online teachers",
    }
    rows = []
    for name, title in titles.items():
        took = told["milliseconds_per_step"][name]
        rate = 1000 * told["batch_size"] / took
        ratio = told["ratio_to_no_teachers"][name]
        rows.append((title, f"{took:.0f}", f"{rate:.0f}", f"{ratio:.2f}"))
    loader = f"{told['loader_images_per_second']:.0f}"
    rows.append(("the loader alone, one worker", "", loader, ""))
    return markdown(("", "ms a step", "images/s", "relative"), rows)


def refinement() -> str:
    """What the refinement's fit brings a network that has not seen the faces."""
    titles = {
        "none": "none",
        "trained by gradients": "trained with the network",
        "0.003, AFLW 0, turned 0": "and fitted to 300W",
        "0.003, AFLW 0.5, turned 1": "and fitted to 300W and AFLW",
    }
    told = recorded("refinement")["nme"]
    rows = [
        (title, *(f"{value:.2f}" for value in told[name].values()))
        for name, title in titles.items()
    ]
    return markdown(("refinement", *told["none"]), rows)


def choices() -> str:
    """What was tried on validation faces."""
    rows = [
        (name, f"{told['validation']['nme']:.2f}", f"{told['wflw']['nme']:.1f}")
        for name, told in recorded("choices").items()
    ]
    return markdown(("tried", "validation NME %", f"{WFLW}, NME %"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "released": released,
    "teachers": teachers,
    "students": students,
    "models": models,
    "beside": beside,
    "peer times": peer_times,
    "peer errors": peer_errors,
    "light": light,
    "boxes": boxes,
    "confidence": confidence,
    "left out": left_out,
    "steadiness": steadiness,
    "turns": turns,
    "head pose": head_pose,
    "damaged files": damaged,
    "photo memory": photo_memory,
    "demo": demo,
    "generated": generated,
    "first training": first_training,
    "step cost": step_cost,
    "refinement": refinement,
    "choices": choices,
}
