"""Recordings made on the spot: every hard case of a real one, with a known answer.

Each picture carries its own number as a bar code that survives compression, scaling and turning upright, so that a test
can prove which frame came. Sound is whatever array the test hands over. Nothing here is a fixture: call the functions
with a path in ``tmp_path``; each returns that path.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

AUDIO_RATE_HZ = 48_000
CODE_BITS = 12
Picture = Callable[[int, int, int], np.ndarray]

# ------------------------------------------------------------------------------------------------------------- pictures


def coded_picture(number: int, width: int, height: int) -> np.ndarray:
    """RGB picture whose upper half shows ``number`` (0-4095) in two rows of cells, and their complement below.

    The lower half is a slowly moving ramp, so that the encoder has something to predict. Red on the left edge and blue
    on the right edge tell a mirrored picture from a true one.
    """
    bits = [(number >> k) & 1 for k in range(CODE_BITS)]
    cells = np.array([bits[:6], bits[6:], [1 - b for b in bits[:6]], [1 - b for b in bits[6:]]], dtype=np.uint8)
    rows = np.minimum(np.arange(height // 2) * 4 // max(1, height // 2), 3)
    columns = np.minimum(np.arange(width) * 6 // width, 5)
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2] = (30 + 195 * cells[rows][:, columns])[:, :, None]
    ramp = (np.arange(width) * 2 + number * 3) % 256
    picture[height // 2 :] = (64 + ramp // 2)[None, :, None]
    edge = max(1, width // 8)
    picture[height // 2 :, :edge] = (200, 30, 30)
    picture[height // 2 :, -edge:] = (30, 30, 200)
    return picture


def read_number(rgb: np.ndarray) -> int | None:
    """The number a picture of :func:`coded_picture` carries, None when it cannot be read for certain."""
    height, width = rgb.shape[:2]
    luma = rgb.astype(np.float32).mean(axis=2)
    cells = np.empty((4, 6))
    for row in range(4):
        for column in range(6):
            y, x = (row + 0.5) * height / 8, (column + 0.5) * width / 6
            dy, dx = max(1, height // 40), max(1, width // 30)
            cells[row, column] = luma[int(y) - dy : int(y) + dy, int(x) - dx : int(x) + dx].mean()
    bits = cells > 128
    if not np.array_equal(bits[:2], ~bits[2:]):
        return None
    return int(sum(1 << k for k, bit in enumerate(bits[:2].ravel()) if bit))


def flash_picture(flash_numbers: Sequence[int]) -> Picture:
    """Black pictures, white ones at the given frame numbers."""

    def picture(number: int, width: int, height: int) -> np.ndarray:
        return np.full((height, width, 3), 255 if number in flash_numbers else 0, np.uint8)

    return picture


# ---------------------------------------------------------------------------------------------------------------- sound


def tone(seconds: float, frequency_hz: float = 440.0, level: float = 0.3, channels: int = 1) -> np.ndarray:
    """ndarray [shape=(channels, n), 48 kHz] a sine."""
    t = np.arange(round(seconds * AUDIO_RATE_HZ)) / AUDIO_RATE_HZ
    return np.tile((level * np.sin(2 * np.pi * frequency_hz * t)).astype(np.float32), (channels, 1))


def clicks(seconds: float, times_s: Sequence[float], width_s: float = 0.002) -> np.ndarray:
    """ndarray [shape=(1, n), 48 kHz] silence with short 2 kHz bursts centred on the given times."""
    t = np.arange(round(seconds * AUDIO_RATE_HZ)) / AUDIO_RATE_HZ
    sound = np.zeros_like(t)
    for time_s in times_s:
        sound += 0.8 * np.exp(-(((t - time_s) / width_s) ** 2)) * np.cos(2 * np.pi * 2000 * (t - time_s))
    return sound.astype(np.float32)[None]


# ---------------------------------------------------------------------------------------------------------------- clips


def make_clip(
    path: Path,
    *,
    seconds: float = 2.0,
    fps: Fraction | float = 30,
    times_s: Sequence[float] | None = None,
    size: tuple[int, int] = (160, 120),
    codec: str | None = "libx264",
    codec_options: dict[str, str] | None = None,
    pixel_format: str = "yuv420p",
    gop: int = 12,
    b_frames: int = 0,
    picture: Picture = coded_picture,
    video_start_s: float = 0.0,
    video_tracks: int = 1,
    rotation_deg: int = 0,
    mirrored: bool = False,
    sample_aspect: Fraction | None = None,
    sound: np.ndarray | None = None,
    audio_codec: str = "aac",
    audio_start_s: float = 0.0,
    audio_gaps_s: Sequence[tuple[float, float]] = (),
    container_options: dict[str, str] | None = None,
    container_format: str | None = None,
) -> Path:
    """Write a recording with numbered pictures and the given sound.

    Parameters
    ----------
    seconds, fps : length and rate; or ``times_s``, the display time of each frame
    codec : None for no picture track; video_tracks : more than one gives each track its own numbers (+1000 a track)
    rotation_deg : degrees clockwise a player must turn the stored picture by; the pictures are stored turned the
        other way, so that they read upright once the flag is honoured. mirrored : same with a left-right flip on top
    sound : ndarray [shape=(channels, n), 48 kHz, -1..1]; None for no sound track
    audio_gaps_s : (from, to) stretches of the sound that are left out of the file
    """
    rate = Fraction(fps).limit_denominator(1001)
    ticks = _ticks(seconds, rate, times_s, video_start_s)
    with av.open(str(path), "w", format=container_format, options=container_options or {}) as container:
        streams = []
        for _ in range(video_tracks if codec else 0):
            stream = container.add_stream(codec, rate=rate, options=codec_options or {})
            turned = rotation_deg % 180 != 0
            stream.width, stream.height = (size[1], size[0]) if turned else size
            stream.pix_fmt = pixel_format
            stream.codec_context.time_base = ticks[1]
            stream.codec_context.gop_size = gop
            stream.codec_context.max_b_frames = b_frames
            if sample_aspect:
                stream.codec_context.sample_aspect_ratio = sample_aspect
            if rotation_deg or mirrored:
                stream.set_display_rotation(-rotation_deg, hflip=mirrored)
            streams.append(stream)
        audio = None
        if sound is not None:
            layout = "mono" if len(sound) == 1 else "stereo"
            audio = container.add_stream(audio_codec, rate=AUDIO_RATE_HZ, layout=layout)
        writers: list[Iterator[float]] = [
            _video_writer(container, stream, ticks, size, picture, 1000 * k, rotation_deg, mirrored)
            for k, stream in enumerate(streams)
        ]
        if audio is not None and sound is not None:
            writers.append(_audio_writer(container, audio, sound, audio_start_s, audio_gaps_s))
        _interleave(writers)
    return path


def _ticks(
    seconds: float, rate: Fraction, times_s: Sequence[float] | None, start_s: float
) -> tuple[list[int], Fraction]:
    """Display times of all frames as whole ticks, and the tick in seconds."""
    if times_s is None:
        first = round(start_s * rate)
        return [first + k for k in range(max(1, round(seconds * rate)))], 1 / rate
    return [round((start_s + t) * 90_000) for t in times_s], Fraction(1, 90_000)


def _video_writer(
    container: Any,
    stream: Any,
    ticks: tuple[list[int], Fraction],
    size: tuple[int, int],
    picture: Picture,
    first_number: int,
    rotation_deg: int,
    mirrored: bool,
) -> Iterator[float]:
    for k, tick in enumerate(ticks[0]):
        rgb = picture(first_number + k, *size)
        # a player turns clockwise first and mirrors after, so what is stored is the undoing of both
        stored = np.rot90(rgb[:, ::-1] if mirrored else rgb, rotation_deg // 90)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(stored))
        frame.pts, frame.time_base = tick, ticks[1]
        container.mux(stream.encode(frame))
        yield float(tick * ticks[1])
    container.mux(stream.encode(None))


def _audio_writer(
    container: Any, stream: Any, sound: np.ndarray, start_s: float, gaps_s: Sequence[tuple[float, float]]
) -> Iterator[float]:
    step = stream.codec_context.frame_size or 1024
    layout = stream.codec_context.layout.name
    for first in range(0, max(sound.shape[1], 1), step):
        time_s = start_s + first / AUDIO_RATE_HZ
        if any(low <= time_s < high for low, high in gaps_s):
            continue
        piece = sound[:, first : first + step]
        if piece.shape[1] == 0:
            break
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), format="fltp", layout=layout)
        frame.sample_rate = AUDIO_RATE_HZ
        frame.pts, frame.time_base = round(time_s * AUDIO_RATE_HZ), Fraction(1, AUDIO_RATE_HZ)
        for converted in _to_codec(stream, frame):
            container.mux(stream.encode(converted))
        yield time_s
    container.mux(stream.encode(None))


def _to_codec(stream: Any, frame: av.AudioFrame) -> list[av.AudioFrame]:
    return av.AudioResampler(format=stream.codec_context.format.name).resample(frame)


def _interleave(writers: list[Iterator[float]]) -> None:
    """Run the writers in step with their times, as a recorder would."""
    due = {k: -1.0 for k in range(len(writers))}
    while due:
        first = min(due, key=due.__getitem__)
        try:
            due[first] = next(writers[first])
        except StopIteration:
            del due[first]


# ----------------------------------------------------------------------------------------------------------- hard cases


def flash_and_click(path: Path, times_s: Sequence[float] = (0.5, 1.5), seconds: float = 2.5, **options: Any) -> Path:
    """A white picture and a click at the same moments (multiples of 1/30 s)."""
    numbers = [round(t * 30) for t in times_s]
    return make_clip(
        path, seconds=seconds, picture=flash_picture(numbers), sound=clicks(seconds, times_s), gop=15, **options
    )


def browser_webm(path: Path, seconds: float = 3.0, *, codec: str = "libvpx", seed: int = 1) -> Path:
    """What a browser's recorder writes: VP8 and Opus, uneven frame times, no duration in the header, no seek table."""
    times_s = uneven_times(seconds, 25.0, seed)
    return make_clip(
        path,
        times_s=times_s,
        codec=codec,
        codec_options={"deadline": "realtime", "cpu-used": "8"},
        gop=20,
        sound=tone(seconds),
        audio_codec="libopus",
        container_options={"live": "1"},
    )


def uneven_times(seconds: float, fps: float, seed: int = 1) -> list[float]:
    """Frame times on whole milliseconds that jitter around ``fps``, with a dropped frame now and then."""
    random = np.random.default_rng(seed)
    steps_s = random.uniform(0.6, 1.4, round(seconds * fps)) / fps
    steps_s[random.random(len(steps_s)) < 0.05] *= 3
    times_s = np.round(np.concatenate([[0.0], np.cumsum(steps_s)]), 3)
    return [float(t) for t in times_s[times_s < seconds]]


def open_gop(path: Path, seconds: float = 3.0, **options: Any) -> Path:
    """H.264 with B-frames whose groups of pictures lean on the one before (open GOP)."""
    x264 = {"x264-params": "open-gop=1:scenecut=0:b-adapt=0:bframes=3:keyint=15:min-keyint=15"}
    return make_clip(path, seconds=seconds, codec_options=x264, gop=15, b_frames=3, **options)


def undeclared_reordering(path: Path, frames: int = 180) -> Path:
    """H.264 (mkv) that keeps silent on how far it reorders its frames, and begins to do so only after 5 s.

    A decoder that has to guess drops frames at that point.
    """
    x264 = {"x264-params": "b-pyramid=normal:b-adapt=0:bframes=7:ref=4:keyint=400"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options=x264)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 400, 7
        for k in range(frames):
            frame = av.VideoFrame.from_ndarray(coded_picture(k, 160, 120))
            frame.pts, frame.time_base = k, Fraction(1, 30)
            if 0 < k < 150:
                frame.pict_type = av.video.frame.PictureType.P
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        header = bytes(container.streams.video[0].codec_context.extradata)
    parameters = header[8 : 8 + int.from_bytes(header[6:8], "big")]  # the SPS in an AVCDecoderConfigurationRecord
    path.write_bytes(path.read_bytes().replace(parameters, _without_bitstream_restriction(parameters)))
    return path


def _without_bitstream_restriction(parameters: bytes) -> bytes:
    """An SPS without the last part of its VUI (H.264, E.1.1): a flag and, after it, six fields up to the stop bit."""
    bits = "".join(f"{byte:08b}" for byte in parameters)
    stop = len(bits.rstrip("0")) - 1
    for flag in range(stop):
        fields, position = [], flag + 2
        while position < stop and "1" in bits[position:stop]:
            zeros = bits.index("1", position) - position
            fields.append(int(bits[position + zeros : position + 2 * zeros + 1], 2) - 1)
            position += 2 * zeros + 1
        if bits[flag] == "1" and position == stop and len(fields) == 6 and fields[:2] == [0, 0]:
            shortened = (bits[:flag] + "01").ljust(len(bits), "0")
            return bytes(int(shortened[k : k + 8], 2) for k in range(0, len(shortened), 8))
    raise ValueError("this SPS says nothing of reordering")


def with_hidden_picture(source: Path, path: Path, number: int) -> Path:
    """A VP8 recording one of whose pictures is coded but not to be shown (RFC 6386, 9.1: show_frame is bit 4)."""
    with av.open(str(source)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = source.read_bytes()
    assert data.count(packets[number]) == 1
    hidden = bytes([packets[number][0] & ~0x10]) + packets[number][1:]
    path.write_bytes(data.replace(packets[number], hidden))
    return path


def truncated(source: Path, path: Path, share: float = 0.5) -> Path:
    """The first ``share`` of the bytes of another recording."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def damaged(source: Path, path: Path, *, bursts: int = 6, burst_bytes: int = 200, seed: int = 3) -> Path:
    """Another recording with bursts of noise in its middle four fifths."""
    data = bytearray(source.read_bytes())
    random = np.random.default_rng(seed)
    for position in random.integers(len(data) // 10, len(data) * 9 // 10, bursts):
        data[position : position + burst_bytes] = random.bytes(burst_bytes)
    path.write_bytes(bytes(data))
    return path


def text_file(path: Path) -> Path:
    """Plain words under whatever name."""
    path.write_text("Day 3: patient rested well, no complaints.\n" * 40)
    return path


def empty_wav(path: Path) -> Path:
    """A well-formed WAV file of 0 samples."""
    path.write_bytes(
        b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
        + b"data" + struct.pack("<I", 0)
    )  # fmt: skip
    return path


def make_sound(path: Path, sound: np.ndarray, audio_codec: str, **options: Any) -> Path:
    """A file of sound alone (wav: pcm_s16le, flac, mp3: libmp3lame, m4a: aac)."""
    return make_clip(path, codec=None, sound=sound, audio_codec=audio_codec, **options)


def with_cover(path: Path, sound: np.ndarray) -> Path:
    """An MP3 with a cover picture (ID3 ``APIC``), as music players write it."""
    bare = make_sound(path.with_suffix(".bare.mp3"), sound, "libmp3lame").read_bytes()
    cover = still(path.with_suffix(".cover.jpg"), 0).read_bytes()
    body = b"\0image/jpeg\0\x03\0" + cover
    frame = b"APIC" + struct.pack(">IH", len(body), 0) + body
    path.write_bytes(b"ID3\x03\0\0" + _syncsafe(len(frame)) + frame + bare[_id3_length(bare) :])
    return path


def _syncsafe(number: int) -> bytes:
    return bytes((number >> shift) & 0x7F for shift in (21, 14, 7, 0))


def _id3_length(data: bytes) -> int:
    if data[:3] != b"ID3":
        return 0
    return 10 + sum(byte << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))


def still(path: Path, number: int, size: tuple[int, int] = (160, 120), exif_orientation: int = 1) -> Path:
    """A JPEG or PNG picture, stored the way the EXIF orientation (1-8) says it was taken."""
    rgb = coded_picture(number, *size)
    stored = {
        1: rgb,
        2: rgb[:, ::-1],
        3: rgb[::-1, ::-1],
        4: rgb[::-1],
        5: rgb.transpose(1, 0, 2),
        6: np.rot90(rgb),
        7: rgb[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(rgb, -1),
    }[exif_orientation]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(stored))
    frame.save(str(path), **({"qscale": "2"} if path.suffix == ".jpg" else {}))
    if exif_orientation != 1 and path.suffix == ".jpg":
        data = path.read_bytes()
        tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, exif_orientation, 0, 0)
        body = b"Exif\0\0" + tiff
        path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:])
    return path
