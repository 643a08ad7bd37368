"""Video files: every kind of container, cut off, turned, uneven in time, and with sound."""

import errno
import io
import socket
from contextlib import closing
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from clips import as_recorded, cut_off, what_is_in, write_clip
from full_disk import full_disk

from kd_landmarks import KDLandmarksError
from kd_landmarks.inference.video.containers import container_of, open_container
from kd_landmarks.inference.video.reader import Clock, VideoInfo, VideoReader
from kd_landmarks.inference.video.sound import Sound
from kd_landmarks.inference.video.writer import VideoWriter, check_frames

CONTAINERS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts", ".flv", ".mpg", ".wmv")
RATE = 25
UNEVEN = [0.0, 0.04, 0.08, 0.5, 0.54, 1.2, 1.24, 1.28, 2.0, 2.5]
CORNERS = ((230, 30, 30), (30, 200, 30), (40, 40, 220), (220, 220, 40))


def pictures(count=30, size=(160, 120), noise=20):
    """Frames whose quarters have colors of their own, brighter from one to the next."""
    rng = np.random.default_rng(0)
    width, height = size
    for number in range(count):
        frame = np.empty((height, width, 3), np.float64)
        for corner, color in enumerate(CORNERS):
            rows = slice(0, height // 2) if corner < 2 else slice(height // 2, None)
            columns = slice(0, width // 2) if corner % 2 == 0 else slice(width // 2, None)
            frame[rows, columns] = color
        frame += rng.normal(0, noise, frame.shape) + number * 0.5
        yield frame.clip(0, 255).astype(np.uint8)


def read(path):
    with closing(VideoReader(path)) as reader:
        frames = list(reader)
        return frames, reader.unread(), reader.info


def write(path, source):
    """A video written anew, and how the writer ended."""
    with (
        closing(VideoReader(source)) as reader,
        closing(VideoWriter(path, reader.info, reader)) as writer,
    ):
        for frame in reader:
            writer.write(frame.pixels, frame.time)
        writer.write_sound()
    check_frames(path, writer.frames)
    return writer


def corners(frame):
    """The colors of a frame's corners, by the nearest of CORNERS."""
    height, width = frame.shape[:2]
    places = [(y, x) for y in (height // 6, -height // 6) for x in (width // 6, -width // 6)]
    colors = [frame[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).mean(0) for y, x in places]
    return [int(np.abs(np.subtract(CORNERS, color)).sum(1).argmin()) for color in colors]


# --- reading


@pytest.mark.parametrize("ending", CONTAINERS)
def test_a_whole_file_gives_all_frames_at_their_times(tmp_path, ending):
    shown = list(pictures())
    clip = write_clip(tmp_path / f"a{ending}", shown, RATE)
    frames, unread, info = read(clip)
    assert unread is None
    assert (info.width, info.height) == (160, 120)
    assert info.rate == pytest.approx(RATE)
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(30) / RATE, atol=2e-3)
    assert [frame.number for frame in frames] == list(range(30))
    for frame, picture in zip(frames, shown, strict=True):
        assert corners(frame.pixels) == [0, 1, 2, 3]
        assert abs(frame.pixels.mean() - picture.mean()) < 4


@pytest.mark.parametrize("share", [0.35, 0.97])
@pytest.mark.parametrize(
    ("ending", "sound"),
    [
        (".mp4", "aac"), (".mov", None), (".mkv", "flac"), (".webm", None), (".avi", "libmp3lame"),
        (".avi", None), (".ts", None), (".ts", "aac"), (".flv", None), (".mpg", None),
    ],
)  # fmt: skip
def test_a_file_that_is_cut_off_says_how_much_there_was(tmp_path, ending, share, sound):
    whole = write_clip(tmp_path / f"a{ending}", list(pictures(60)), 30, sound=sound)
    frames, unread, _ = read(cut_off(whole, share))
    assert 0 < len(frames) < 60
    assert abs(len(frames) - 60 * share) < 6
    assert f"{len(frames)} of " in unread
    assert "cut off" in unread
    if ending in (".mp4", ".mov", ".mkv", ".webm"):
        assert any(f"{about} frames" in unread for about in (60, 61))


@pytest.mark.parametrize("ending", [".mp4", ".mov"])
def test_a_file_without_its_index_is_told_as_cut_off(tmp_path, ending):
    path = cut_off(write_clip(tmp_path / f"a{ending}", list(pictures()), RATE, fast=False), 0.9)
    with pytest.raises(KDLandmarksError, match="cut off") as told:
        VideoReader(path)
    assert str(path) in str(told.value)


def test_a_file_that_is_cut_off_in_its_first_frame_has_none(tmp_path):
    path = cut_off(write_clip(tmp_path / "a.webm", list(pictures())[:1] * 30, RATE), 0.1)
    with pytest.raises(KDLandmarksError, match="no frame that can be read"):
        VideoReader(path)


def test_damage_in_the_middle_costs_frames_and_is_counted(tmp_path):
    path = write_clip(tmp_path / "a.avi", list(pictures(40)), RATE, codec="mjpeg")
    content = bytearray(path.read_bytes())
    starts = [
        place for place in range(len(content)) if content[place : place + 3] == b"\xff\xd8\xff"
    ]
    assert len(starts) == 40
    for place in starts[10:13]:
        content[place : place + 700] = bytes(700)
    path.write_bytes(content)
    frames, unread, _ = read(path)
    assert len(frames) == 37
    assert "37 of 40 frames" in unread


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("place", range(2, 38, 7))
def test_no_frame_is_lost_in_silence(tmp_path, ending, place):
    path = write_clip(tmp_path / f"a{ending}", list(pictures(40, (96, 64))), RATE)
    with av.open(str(path)) as file:
        found = [(packet.pos, packet.size) for packet in file.demux(video=0) if packet.size]
    start, size = found[place]
    content = bytearray(path.read_bytes())
    content[start + 4 : start + 4 + size // 2] = bytes(size // 2)
    path.write_bytes(content)
    frames, unread, _ = read(path)
    assert len(frames) < 40
    assert f"{len(frames)} of " in unread


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm", ".mov"])
def test_uneven_times_are_the_frames_own(tmp_path, ending):
    clip = write_clip(tmp_path / f"a{ending}", list(pictures(10)), RATE, times=UNEVEN)
    frames, unread, _ = read(clip)
    assert unread is None
    np.testing.assert_allclose([frame.time for frame in frames], UNEVEN, atol=1e-3)


@pytest.mark.parametrize("ending", [".mkv", ".webm"])
def test_what_a_browser_recorded_is_whole_and_keeps_its_times(tmp_path, ending):
    clip = write_clip(tmp_path / f"a{ending}", list(pictures(10)), RATE, times=UNEVEN)
    recorded = as_recorded(clip)
    frames, unread, info = read(recorded)
    assert unread is None
    assert (info.frames, info.seconds) == (0, 0)
    np.testing.assert_allclose([frame.time for frame in frames], UNEVEN, atol=1e-3)
    _, unread, _ = read(cut_off(recorded, 0.8))
    assert "of an unknown number of frames" in unread


@pytest.mark.parametrize(
    ("turned", "shown"),
    [(90, [1, 3, 0, 2]), (-90, [2, 0, 3, 1]), (180, [3, 2, 1, 0])],
)
def test_turned_clips_are_read_upright(tmp_path, turned, shown):
    clip = write_clip(tmp_path / "a.mp4", list(pictures(3)), RATE, turned=turned)
    frames, _, info = read(clip)
    assert corners(frames[1].pixels) == shown
    size = (160, 120) if turned == 180 else (120, 160)
    assert (info.width, info.height) == size == frames[1].pixels.shape[1::-1]


def test_mirrored_clips_are_read_as_they_are_shown(tmp_path):
    path = write_clip(tmp_path / "a.mp4", list(pictures(3)), RATE)
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # ISO/IEC 14496-12, version 0
    assert content[matrix : matrix + 4] == (0x10000).to_bytes(4, "big")
    content[matrix : matrix + 4] = (2**32 - 0x10000).to_bytes(4, "big")
    path.write_bytes(content)
    assert corners(read(path)[0][1].pixels) == [1, 0, 3, 2]


@pytest.mark.parametrize(
    ("aspect", "size"),
    [(Fraction(2), (320, 120)), (Fraction(64, 45), (228, 120)), (Fraction(1, 2), (160, 240))],
)
def test_pixels_that_are_not_square_are_made_so(tmp_path, aspect, size):
    clip = write_clip(tmp_path / "a.mp4", list(pictures(3)), RATE, aspect=aspect)
    frames, _, info = read(clip)
    assert (info.width, info.height) == size == frames[1].pixels.shape[1::-1]


def test_a_size_that_changes_is_fitted_into_the_first(tmp_path):
    parts = [write_clip(tmp_path / f"{size[0]}.ts", list(pictures(10, size)), RATE)
             for size in ((160, 120), (120, 160))]  # fmt: skip
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, _, _ = read(both)
    assert {frame.pixels.shape for frame in frames} == {(120, 160, 3)}
    assert len(frames) == 20
    last = frames[-1].pixels
    assert last[:, :30].max() < 40
    assert corners(last[:, 35:125]) == [0, 1, 2, 3]
    assert (np.diff([frame.time for frame in frames]) > 0).all()


def test_the_clock_moves_on_whatever_a_file_says():
    clock = Clock(1.0, 0.04)
    told = [1.0, 1.04, None, 1.08, 0.2, 0.24, 9e9, 9e9 + 0.04]
    times = [clock(time) for time in told]
    assert (np.diff(times) > 0).all()
    assert times[:3] == pytest.approx([0, 0.04, 0.08])
    assert times[-1] < 1


# --- what is refused


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile {clip}\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        b"<?xml version='1.0'?><MPD/>",
        b"\x00\x00\x00\x18ftypmp42" + bytes(100),
        b"\x1aE\xdf\xa3" + bytes(100),
        b"RIFF\x10\x00\x00\x00AVI " + bytes(100),
        b"OggS" + bytes(100),
        b"FLV\x01" + bytes(100),
        b"\x00\x00\x01\xba" + bytes(100),
        b"G" + bytes(187) + b"G" + bytes(187),
    ],
)
def test_what_is_no_video_is_refused(tmp_path, content):
    clip = write_clip(tmp_path / "clip.avi", list(pictures(3)), RATE)
    path = tmp_path / "other.mp4"
    path.write_bytes(content.replace(b"{clip}", bytes(clip)))
    with pytest.raises(KDLandmarksError) as told:
        VideoReader(path)
    assert str(path) in str(told.value)


def test_sound_alone_is_no_video(tmp_path):
    path = write_clip(tmp_path / "a.mkv", list(pictures(3)), RATE, sound="flac")
    alone = tmp_path / "sound.mkv"
    with av.open(str(path)) as old, av.open(str(alone), "w") as new:
        stream = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux(audio=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    with pytest.raises(KDLandmarksError, match="no pictures"):
        VideoReader(alone)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("hls", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{there}\n#EXT-X-ENDLIST\n"),
        ("concat", "ffconcat version 1.0\nfile '{there}'\n"),
    ],
)
@pytest.mark.parametrize("where", ["server", "file"])
def test_even_a_list_that_got_through_would_open_nothing(tmp_path, kind, content, where):
    """No list is taken for a container; were one, FFmpeg could still open nothing else."""
    clip = write_clip(tmp_path / "a.ts", list(pictures(3)), RATE)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        listed = content.replace("{there}", address if where == "server" else str(clip)).encode()
        assert container_of(io.BytesIO(listed)) is None
        with pytest.raises(KDLandmarksError):
            next(open_container(io.BytesIO(listed), kind, "it").decode(video=0))
        with pytest.raises(TimeoutError):
            server.accept()


def test_frames_of_too_many_pixels_are_refused(tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "clip.avi", list(pictures(3, (64, 48))), 5)
    assert VideoReader(clip).info.width == 64
    monkeypatch.setenv("KD_LANDMARKS_MAX_MEGAPIXELS", "0.003")
    with pytest.raises(KDLandmarksError, match="64 x 48 pixels"):
        VideoReader(clip)


def test_pixels_of_an_absurd_shape_do_not_get_around_the_limit(tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "a.mp4", list(pictures(3)), RATE, aspect=Fraction(2))
    monkeypatch.setenv("KD_LANDMARKS_MAX_MEGAPIXELS", "0.02")
    with pytest.raises(KDLandmarksError, match="320 x 120 pixels"):
        VideoReader(clip)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_frames_that_grow_beyond_the_limit_end_the_clip(tmp_path, monkeypatch, codec):
    parts = [write_clip(tmp_path / f"{size[0]}.ts", list(pictures(10, size)), RATE, codec=codec)
             for size in ((160, 120), (640, 480))]  # fmt: skip
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    monkeypatch.setenv("KD_LANDMARKS_MAX_MEGAPIXELS", "0.1")
    frames, unread, _ = read(both)
    assert 0 < len(frames) <= 10
    assert "pixels: at most 0.1 megapixels" in unread


# --- writing


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_what_is_written_plays_at_the_same_times(tmp_path, ending):
    clip = write_clip(tmp_path / "a.mkv", list(pictures(10)), RATE, times=UNEVEN)
    out = tmp_path / f"out{ending}"
    write(out, clip)
    codecs, times = what_is_in(out)
    assert codecs == {"video": {".mp4": "h264", ".webm": "vp9"}[ending]}
    np.testing.assert_allclose(times, UNEVEN, atol=1e-3)
    with av.open(str(out)) as file:
        # The last frame stays as long as the one before.
        assert file.duration / av.time_base == pytest.approx(3.0, abs=0.05)
        assert file.streams.video[0].codec_context.pix_fmt == "yuv420p"
    for frame, picture in zip(read(out)[0], read(clip)[0], strict=True):
        assert np.abs(frame.pixels.astype(int) - picture.pixels).mean() < 12


def test_an_mp4_begins_with_its_index(tmp_path):
    out = tmp_path / "out.mp4"
    write(out, write_clip(tmp_path / "a.avi", list(pictures(5)), RATE))
    content = out.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(
    ("source", "sound", "ending", "expected"),
    [
        (".mp4", "aac", ".mp4", "aac"),
        (".ts", "aac", ".mp4", "aac"),
        (".avi", "libmp3lame", ".mp4", "mp3float"),
        (".avi", "pcm_s16le", ".mp4", "aac"),
        (".mkv", "libopus", ".mp4", "opus"),
        (".webm", "libopus", ".webm", "opus"),
        (".mp4", "aac", ".webm", "opus"),
        (".mpg", "mp2", ".webm", "opus"),
        (".avi", "libmp3lame", ".webm", "opus"),
    ],
)
def test_the_sound_comes_along(tmp_path, source, sound, ending, expected):
    clip = write_clip(tmp_path / f"a{source}", list(pictures(25)), RATE, sound=sound, seconds=1.4)
    out = tmp_path / f"out{ending}"
    write(out, clip)
    assert what_is_in(out)[0]["audio"] == expected
    with av.open(str(out)) as file:
        wave = np.concatenate([frame.to_ndarray().ravel() for frame in file.decode(audio=0)])
        rate = file.streams.audio[0].rate
        channels = file.streams.audio[0].channels
    seconds = len(wave) / rate / channels
    assert seconds == pytest.approx(1.4, abs=0.1)  # behind the last frame too
    assert np.abs(wave[len(wave) // 2 :][: rate // 2]).max() > 0.5


def test_pieces_of_one_packet_follow_each_other():
    """As those of some WMA files: four have the time of their packet."""
    times = []

    def encode(piece):
        times.extend([] if piece is None else [piece.pts / piece.sample_rate])
        return []

    def decode(packet):
        return [SimpleNamespace(samples=480, sample_rate=48_000) for _ in range(4)]

    sound = object.__new__(Sound)
    sound._clock = Clock(0.0, 0.02)
    sound._stream = SimpleNamespace(
        codec_context=SimpleNamespace(decode=decode), time_base=Fraction(1, 100)
    )
    sound._new = SimpleNamespace(codec_context=SimpleNamespace(encode=encode))
    sound._read = lambda: (SimpleNamespace(pts=4 * number) for number in range(50))
    assert list(sound._encoded()) == []
    np.testing.assert_allclose(times, np.arange(200) / 100, atol=1e-9)


def test_sound_that_is_cut_off_costs_no_pictures(tmp_path):
    clip = write_clip(tmp_path / "a.avi", list(pictures(60)), RATE, sound="pcm_s16le")
    out = tmp_path / "out.mp4"
    writer = write(out, cut_off(clip, 0.5))
    assert writer.frames > 20
    assert set(what_is_in(out)[0]) == {"video", "audio"}


@pytest.mark.parametrize(
    ("size", "ending", "written"),
    [
        ((101, 75), ".mp4", (102, 76)),
        ((100, 75), ".mp4", (100, 76)),
        ((101, 75), ".webm", (101, 75)),
    ],
)
def test_odd_sizes_keep_every_pixel_in_its_place(tmp_path, size, ending, written):
    clip = write_clip(tmp_path / "a.mkv", list(pictures(4, size, noise=0)), RATE)
    out = tmp_path / f"out{ending}"
    assert write(out, clip).size == written
    [frame, *_], _, info = read(out)
    assert (info.width, info.height) == written
    [before, *_], _, _ = read(clip)
    inner = frame.pixels[: size[1], : size[0]]
    assert np.abs(inner.astype(int) - before.pixels).mean() < 4


@pytest.mark.parametrize("options", [{"turned": 90}, {"aspect": Fraction(2)}])
def test_what_is_written_is_shown_as_the_source_is(tmp_path, options):
    clip = write_clip(tmp_path / "a.mp4", list(pictures(4)), RATE, **options)
    out = tmp_path / "out.mp4"
    write(out, clip)
    [before, *_], [after, *_] = read(clip)[0], read(out)[0]
    assert corners(before.pixels) == corners(after.pixels)
    assert before.pixels.shape == after.pixels.shape
    with av.open(str(out)) as file:
        assert file.streams.video[0].sample_aspect_ratio in (None, 1)
        assert not next(file.decode(video=0)).side_data.get("DISPLAYMATRIX")


def test_where_h264_is_missing_it_is_vp9(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    out = tmp_path / "out.mp4"
    write(out, write_clip(tmp_path / "a.avi", list(pictures(5)), RATE, codec="mjpeg"))
    assert what_is_in(out)[0] == {"video": "vp9"}


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
@pytest.mark.parametrize("room", [0, 200, 30_000])
def test_a_full_disk_is_noticed(tmp_path, ending, room):
    frames = list(pictures(60, (320, 240), noise=60))

    def write_all():
        with closing(VideoWriter(tmp_path / f"out{ending}", VideoInfo(30, 320, 240))) as writer:
            for number, frame in enumerate(frames):
                writer.write(frame, number / 30)

    with full_disk(room), pytest.raises(OSError, match="large") as told:
        write_all()
    assert told.value.errno == errno.EFBIG


def test_only_videos_that_browsers_play_are_written(tmp_path):
    with pytest.raises(KDLandmarksError, match=r"a\.avi"):
        VideoWriter(tmp_path / "a.avi", VideoInfo(30, 32, 32))
    with pytest.raises(KDLandmarksError, match="rate=0: give frames per second"):
        VideoWriter(tmp_path / "a.mp4", VideoInfo(0, 32, 32))
