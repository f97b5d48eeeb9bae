"""The installed package, by itself.

CI runs this file against the built wheel, in an environment without torch and without what the other tests use.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import painsense

#: What costs time to import, or is not there in a clinic
HEAVY = {
    "ai_edge_litert",
    "av",
    "cv2",
    "jinja2",
    "librosa",
    "mediapipe",
    "numpy",
    "onnxruntime",
    "rich",
    "scipy",
    "torch",
}
NOT_NEEDED = {
    "gradio",
    "librosa",
    "matplotlib",
    "mediapipe",
    "moderngl",
    "numba",
    "pandas",
    "pytest",
    "sklearn",
    "torch",
}


def modules_after(code: str) -> set[str]:
    """The top-level modules that a new Python has loaded after running ``code``."""
    code += "\nimport json, sys\nprint(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_painsense_loads_next_to_nothing() -> None:
    assert modules_after("import painsense; painsense.__version__") & HEAVY == set()


def test_help_loads_nothing_heavy() -> None:
    code = "from painsense import cli\nassert cli.main(['score', '--help']) == 0"
    assert modules_after(code) & HEAVY == set()


def test_an_analysis_needs_the_core_packages_only() -> None:
    code = "from painsense import doctor\nfor finding in doctor.examine():\n    assert finding.ok is not False, finding"
    # doctor loads every package painsense names as needed, and then analyses a picture and a sound
    needed = {
        re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        for requirement in importlib.metadata.requires("painsense") or []
        if "extra ==" not in requirement
    }
    assert modules_after(code) & (NOT_NEEDED - needed) == set()


def test_public_names() -> None:
    for name in painsense.__all__:
        assert getattr(painsense, name).__name__ == name
        assert name in dir(painsense)
    with pytest.raises(AttributeError, match="no attribute 'diagnose'"):
        painsense.diagnose  # noqa: B018


def test_version_is_the_installed_one() -> None:
    assert importlib.metadata.version("painsense") == painsense.__version__


@pytest.mark.parametrize(
    "file",
    [
        "demo/static/app.css",
        "demo/static/live.js",
        "demo/templates/result.html.j2",
        "py.typed",
        "schema/report-1.schema.json",
        "templates/report.css",
        "templates/report.html.j2",
        "templates/timeline.html.j2",
        "templates/timeline.js",
        "weights/action_units.onnx",
        "weights/face_shape.npz",
        "weights/fusion.onnx",
        "weights/manifest.json",
        "weights/voice_segments.onnx",
    ],
)
def test_files_beside_the_code_are_installed(file: str) -> None:
    assert importlib.resources.files("painsense").joinpath(file).is_file()


def test_the_example_of_the_demo_is_there() -> None:
    from painsense.demo import examples

    assert all(examples.find(example.file).stat().st_size > 100_000 for example in examples.EXAMPLES)


def test_without_its_extra_the_demo_says_how_to_get_it() -> None:
    code = "import sys; sys.modules['gradio'] = None; from painsense.cli import main; sys.exit(main(['demo']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'painsense[demo]'" in done.stderr


def test_torch_is_no_core_dependency() -> None:
    requirements = importlib.metadata.requires("painsense") or []
    core = [requirement for requirement in requirements if "extra ==" not in requirement]
    assert any(requirement.startswith("numpy") for requirement in core)
    assert [requirement for requirement in core if requirement.startswith(("torch", "mediapipe", "gradio"))] == []


def test_licence_and_notice_are_installed() -> None:
    files = {Path(str(file)).name for file in importlib.metadata.files("painsense") or []}
    assert importlib.metadata.metadata("painsense")["License-Expression"] == "Apache-2.0"
    assert {"LICENSE", "NOTICE"} <= files


def test_the_command_is_installed() -> None:
    command = Path(sysconfig.get_path("scripts")) / "painsense"
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"painsense {painsense.__version__}\n"
    module = subprocess.run(
        [sys.executable, "-m", "painsense", "--version"], capture_output=True, text=True, check=True
    )
    assert module.stdout == done.stdout
