"""The yardstick: what a bare loop of MediaPipe's FaceLandmarker takes.

Runs in an environment that has mediapipe and av: ``python yardstick.py CLIP face_landmarker.task``.

Decoding, landmarks and blendshapes, nothing else; loading MediaPipe is not counted. Prints frames, faces and seconds.
"""

import json
import os
import sys
import time

# MediaPipe reports usage to Google when a FaceLandmarker is made; a proxy that is not there keeps it from that
os.environ.update(dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"))
os.environ.pop("no_proxy", None)
os.environ.pop("NO_PROXY", None)

import av
import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision


def main(clip: str, model: str) -> None:
    """Measure and print."""
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=model),
        running_mode=vision.RunningMode.VIDEO,
        num_faces=1,
        output_face_blendshapes=True,
    )
    frames = faces = 0
    with vision.FaceLandmarker.create_from_options(options) as landmarker, av.open(clip) as container:
        start_s = time.perf_counter()
        for frame in container.decode(video=0):
            # mediapipe takes no heed of an array's strides, so rows that FFmpeg padded must be closed up
            picture = np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
            image = mp.Image(image_format=mp.ImageFormat.SRGB, data=picture)
            result = landmarker.detect_for_video(image, round(1000 * frame.time))
            frames += 1
            faces += bool(result.face_landmarks)
        seconds = time.perf_counter() - start_s
    print(json.dumps({"frames": frames, "faces": faces, "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
