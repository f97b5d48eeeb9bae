"""How the picture of a recording is cut, so that threads can share the work without changing the result.

The segments depend on the file alone, and each has a short run-in.
"""

from __future__ import annotations

import math

import numpy as np

from painsense.media import VideoInfo
from painsense.tracks import TimeArray

SEGMENTS = 16  # a recording is cut into about this many segments ...
SEGMENT_S = (2.5, 20.0)  # ... of at least and at most this length
RUN_IN_S = 0.25  # frames before a segment that let the crop settle; after two of them it differs by less than a pixel


def thinned(time_s: TimeArray, fps: float | None) -> frozenset[float] | None:
    """The frames to analyse at no more than ``fps`` a second: the first in each interval. None for all."""
    if fps is None:
        return None
    slot = np.floor(time_s * fps + 1e-6)
    return frozenset(time_s[np.concatenate([[True], np.diff(slot) > 0])].tolist())


def segments(video: VideoInfo) -> list[tuple[float, float]]:
    """Start and stop of each segment. They depend on the file alone, and none is without frames.

    A segment begins a run-in after a key frame where there is one near, so that nothing is decoded in vain.
    """
    begin, end = float(video.time_s[0]), float(video.time_s[-1])
    length = float(np.clip((end - begin) / SEGMENTS, *SEGMENT_S))
    wanted = begin + length * np.arange(1, math.ceil((end - begin) / length))
    ready = video.key_s + RUN_IN_S
    near = ready[np.abs(ready - wanted[:, None]).argmin(axis=1)] if len(wanted) else wanted
    edges = np.unique(np.where(np.abs(near - wanted) <= length / 2, near, wanted))
    edges = np.concatenate([[begin], edges[(edges > begin) & (edges <= end)], [np.inf]])
    frames = np.searchsorted(video.time_s, edges)
    return [(float(a), float(b)) for a, b, m, n in zip(edges, edges[1:], frames, frames[1:], strict=False) if n > m]
