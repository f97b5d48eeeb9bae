"""Coach: what a person in front of the camera can do so that face and voice can be measured, in a few words.

One table, in the order in which things are best put right: a face must be there before it can come closer. The words
speak to the person who is being recorded; :mod:`painsense.words` speaks about a recording to whoever reads the report.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from painsense.tracks import Track

#: codes of this file, beside the reason codes of the face and voice tracks
MOVING, UNHEARD, TOO_SLOW = "moving", "unheard", "too_slow"

MOST_MOVEMENT = 0.25  # face sides within half a second: more of it and a neutral is taken from a head under way
MOST_TURNING_DEG = 12.0  # within half a second
MOVEMENT_S = 0.5
#: a microphone that is on hears at least its own noise; one that is muted gives zeros or the last bits
LEAST_PEAK = 10 ** (-75 / 20)
UNHEARD_S = 2.0  # how long nothing may come before it is said


@dataclass(frozen=True)
class Advice:
    """What to do about one thing. ``blocks``: the face cannot be measured before it is done."""

    code: str
    text: str
    blocks: bool


ADVICE: tuple[Advice, ...] = (
    Advice("no_face", "I cannot see a face. Sit in front of the camera, with your whole face in the picture.", True),
    Advice("several_faces", "I see more than one face. Only one person can be in the picture.", True),
    Advice("out_of_frame", "Part of your face is outside the picture. Move toward the middle.", True),
    Advice("too_small", "Move closer.", True),
    Advice("turned_away", "Turn toward the camera.", True),
    Advice("too_dark", "It is too dark. Turn on a light in front of you.", True),
    Advice("too_bright", "It is too bright. Turn away from the lamp or the window.", True),
    Advice("blurred", "The picture is blurred. Hold still, add light, or clean the lens.", True),
    Advice(MOVING, "Hold still.", False),
    Advice(TOO_SLOW, "Too few pictures a second get through. Close other programs on this machine.", False),
    Advice("other_face", "Another face is in the picture. It is better to be alone in it.", False),
    Advice(UNHEARD, "I cannot hear you. Check that the microphone is switched on.", False),
    Advice("clipped", "You are too loud for the microphone. Move away from it a little.", False),
    Advice("low_snr", "It is noisy around you. Move closer to the microphone, or switch the noise off.", False),
    Advice("steady_tone", "I hear a steady tone, such as an alarm or a hum. Switch it off if you can.", False),
    Advice("lips_still", "I hear somebody speak while your lips are still. It is better if only you speak.", False),
)


def advise(codes: Iterable[str]) -> tuple[Advice, ...]:
    """What to do about reason codes and the codes of this file, the first thing first; others are left out.

    Examples
    --------
    >>> [advice.text for advice in advise(["too_dark", "too_small", "blink"])]
    ['Move closer.', 'It is too dark. Turn on a light in front of you.']
    """
    wanted = set(codes)
    return tuple(advice for advice in ADVICE if advice.code in wanted)


def moving(raw: Track) -> bool:
    """Whether the head moves too much, over the last half second of a raw face track, for its face to be a neutral one.

    False where the face was seen too little to tell.
    """
    if not len(raw):
        return False
    near = raw.time_s >= raw.time_s[-1] - MOVEMENT_S
    place = np.stack([raw.column(name)[near] for name in ("box_x_px", "box_y_px", "box_side_px")])
    angles = np.stack([raw.column(name)[near] for name in ("yaw_deg", "pitch_deg", "roll_deg")])
    seen = np.isfinite(place[0])
    if seen.sum() < 2:
        return False
    x, y, side = place[:, seen]
    way = float(np.hypot(np.ptp(x), np.ptp(y)) / np.median(side))
    return way > MOST_MOVEMENT or float(np.ptp(angles[:, seen], axis=1).max()) > MOST_TURNING_DEG
