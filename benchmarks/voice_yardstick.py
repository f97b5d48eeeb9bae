"""The yardstick of the voice: what openSMILE's eGeMAPSv02 functionals take.

Runs in an environment that has opensmile: ``python voice_yardstick.py RECORDING.npy`` (float32, mono, 16 kHz). Making
the extractor is not counted. Prints seconds of processor time and how many functionals there were.
"""

import json
import sys
import time

import numpy as np
import opensmile


def main(recording: str) -> None:
    """Measure and print."""
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals, num_workers=1)
    y = np.load(recording)
    smile.process_signal(y[:16000], 16000)
    start_s = time.process_time()
    found = smile.process_signal(y, 16000)
    print(json.dumps({"seconds": time.process_time() - start_s, "functionals": found.shape[1]}))


if __name__ == "__main__":
    main(sys.argv[1])
