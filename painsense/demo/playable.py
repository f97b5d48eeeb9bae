"""A recording that browsers can play: the file itself, or a small copy of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from painsense import media, media_write
from painsense.media_container import open_container, tracks

#: What the browsers of the day play: containers (FFmpeg's name begins with one of these), codecs, and kinds of pixels
CONTAINERS = ("mov,mp4", "matroska,webm", "mp3", "ogg", "wav", "flac", "aac")
VIDEO, PIXELS = frozenset({"h264", "vp8", "vp9", "av1", "libdav1d"}), frozenset({"yuv420p", "yuvj420p"})
AUDIO = frozenset({"aac", "mp3", "mp3float", "opus", "vorbis", "flac", "pcm_s16le", "pcm_u8", "pcm_s24le"})
COPY_SIDE_PX = 960  # longer side of a copy: enough to look at a face


def plays(path: Path) -> bool:
    """Whether browsers play a file, judged by its container and codecs, and can jump about in it.

    None can promise it: the page says so where one does not.
    """
    with open_container(path, None) as container:
        name, video, audio = container.format.name, tracks(container, "video"), tracks(container, "audio")
        if not name.startswith(CONTAINERS) or (name.startswith("matroska") and path.suffix.lower() == ".mkv"):
            return False
        if name.startswith("matroska") and container.duration is None:
            return False  # as a browser's recorder leaves it: without a length, and no index to jump by
        pictures = all(s.codec_context.name in VIDEO and s.codec_context.pix_fmt in PIXELS for s in video[:1])
        return pictures and all(s.codec_context.name in AUDIO for s in audio[:1])


def copy(path: Path, folder: Path, progress: Callable[[float, float], None] | None = None) -> Path:
    """The recording itself when browsers play it, else the path of a copy in ``folder``.

    MediaError when it cannot be read; whatever ``progress`` raises ends it.
    """
    if plays(path):
        return path
    clip = media.open_media(path)
    out = Path(tempfile.mkdtemp(prefix="copy-", dir=folder)) / f"{path.stem}.{'m4a' if clip.video is None else 'mp4'}"
    media_write.transcode(clip, out, max_side_px=COPY_SIDE_PX, progress=progress)
    return out
