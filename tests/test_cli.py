"""The command line: what it writes, what it says where, and with which exit code it ends."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from painsense import __version__, cli, cli_shared, doctor, landmarks, providers
from painsense.errors import BaselineError, MediaError, ModelError, OutputError, ProviderError
from painsense.pipeline import Settings
from tests.clips import make_clip
from tests.make_report import make_refusal, make_report

ALL_FILES = ["painsense.json", "frames.csv", "windows.csv", "dictionary.csv", "html"]
Act = Callable[[Any], Any]


@dataclass
class Analyses:
    """What stands in for the analysis: ``acts`` by file name, else a report. ``settings`` and ``clips``: what came."""

    acts: dict[str, Act] = field(default_factory=dict)
    settings: list[Settings] = field(default_factory=list)
    clips: list[str] = field(default_factory=list)


@pytest.fixture
def analyses(monkeypatch: pytest.MonkeyPatch) -> Analyses:
    told = Analyses()

    class Analyzer:
        def __init__(self, settings: Settings) -> None:
            told.settings.append(settings)

        def __enter__(self) -> Analyzer:
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing to let go."""

        def analyze(self, path: Path, *, progress: Any = None) -> Any:
            told.clips.append(path.name)
            if progress:
                progress(7.0, 28.0)
            act = told.acts.get(path.name, lambda _: make_report(4.0, file=path.name))
            return act(progress)

    monkeypatch.setattr("painsense.pipeline.Analyzer", Analyzer)
    return told


def raising(error: BaseException) -> Act:
    def act(*_: Any, **__: Any) -> Any:
        raise error

    return act


def clips(folder: Path, *names: str) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return [str(folder / name) for name in names]


def results(folder: Path) -> list[str]:
    """What is in a folder beside recordings, hidden files too."""
    return sorted(p.name for p in folder.iterdir() if p.suffix not in (".mp4", ".mov", ".wav"))


def expected(*stems: str, endings: list[str] = ALL_FILES) -> list[str]:
    return sorted(f"{stem}.{ending}" for stem in stems for ending in endings)


Captured = pytest.CaptureFixture[str]


# ---------------------------------------------------------------------------------------------------------- the results


def test_results_lie_beside_the_clip_and_one_line_says_what_came_out(
    analyses: Analyses, tmp_path: Path, capsys: Captured
) -> None:
    (clip,) = clips(tmp_path, "Müller visit 1.mp4")
    assert cli.main(["score", clip]) == 0
    assert results(tmp_path) == expected("Müller visit 1")
    out, err = capsys.readouterr()
    assert out.startswith(f"{clip}: Pain expression: ")
    assert re.search(r"; PSPI \d+\.\d \(\d+\.\d-\d+\.\d\) of 16, highest \d+\.\d at 0:0\d\.\d; face usable \d+%; ", out)
    assert out.endswith(f"report: {tmp_path}/Müller visit 1.html\n")
    assert out.count("\n") == 1
    assert err == f"{clip}: note: the microphone level changed during the recording\n"


def test_a_fused_score_is_shown_with_its_interval(tmp_path: Path) -> None:
    line = cli.result_line(Path("clip.mp4"), make_report(4.0, fused=True), [tmp_path / "clip.painsense.json"])
    assert line.startswith(
        "clip.mp4: Pain expression score: 5.2 of 10, at its highest 8.1; 90% interval 3.9-6.4; PSPI "
    )
    assert line.endswith("report: " + str(tmp_path / "clip.painsense.json"))


def test_not_enough_evidence_is_a_result_and_says_why(analyses: Analyses, tmp_path: Path, capsys: Captured) -> None:
    (clip,) = clips(tmp_path, "clip.mp4")
    analyses.acts["clip.mp4"] = lambda _: make_refusal(8.0)
    assert cli.main(["score", clip]) == 0
    out = capsys.readouterr().out
    assert "Not enough evidence for a result (face seen too rarely); face usable 25%" in out
    assert "PSPI" not in out


def test_out_is_made_and_only_what_was_asked_for_is_written(analyses: Analyses, tmp_path: Path) -> None:
    (clip,) = clips(tmp_path / "in", "clip.mp4")
    out = tmp_path / "made" / "here"
    assert cli.main(["score", clip, "--out", str(out), "--format", "json,csv"]) == 0
    assert results(out) == expected("clip", endings=ALL_FILES[:-1])
    assert results(tmp_path / "in") == []


def test_options_reach_the_analysis(analyses: Analyses, tmp_path: Path) -> None:
    rest, clip = clips(tmp_path, "rest.mp4", "clip.mp4")
    options = ["--modalities", "voice", "--fps", "12.5", "--person", "2", "--workers", "3", "--baseline", rest]
    assert cli.main(["score", clip, *options, "--include-frames"]) == 0
    assert analyses.settings == [
        Settings(
            baseline=Path(rest),
            modalities=("voice",),
            fps=12.5,
            person=2,
            workers=3,
            include_frames=True,
        )
    ]
    assert cli.main(["score", clip, "--modalities", "voice", "--face-engine", "mediapipe"]) == 0
    assert analyses.settings[1] == Settings(modalities=("voice",), face_engine="mediapipe")
    assert cli.main(["score", clip]) == 0
    assert analyses.settings[2] == Settings()


def test_mediapipe_cannot_be_told_whom_to_follow(tmp_path: Path, capsys: Captured) -> None:
    (clip,) = clips(tmp_path, "clip.mp4")
    options = ["--modalities", "voice", "--face-engine", "mediapipe", "--person", "2"]
    assert cli.main(["score", clip, *options]) == 2
    assert "choose a person with --face-engine litert" in capsys.readouterr().err


def test_quiet_says_nothing_but_errors(analyses: Analyses, tmp_path: Path, capsys: Captured) -> None:
    good, bad = clips(tmp_path, "good.mp4", "bad.mp4")
    assert cli.main(["score", good, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    analyses.acts["bad.mp4"] = raising(MediaError("bad.mp4: it is empty"))
    assert cli.main(["score", bad, "--quiet"]) == 3
    assert capsys.readouterr() == ("", "bad.mp4: it is empty\n")


# ------------------------------------------------------------------------------------------------------------- failures


def test_one_bad_file_never_stops_the_others(analyses: Analyses, tmp_path: Path, capsys: Captured) -> None:
    names = clips(tmp_path, "a.mp4", "bad.mp4", "c.mp4", "worse.mp4")
    analyses.acts["bad.mp4"] = raising(MediaError("expected a recording, got an empty file"))
    analyses.acts["worse.mp4"] = raising(MediaError("worse.mp4: expected a recording, got text"))
    assert cli.main(["score", *names]) == 3
    assert results(tmp_path) == expected("a", "c")
    out, err = capsys.readouterr()
    assert [line.split(":")[0] for line in out.splitlines()] == [names[0], names[2]]
    assert err.splitlines()[-3:] == [
        "2 of 4 clips have no result:",
        f"{names[1]}: expected a recording, got an empty file",
        "worse.mp4: expected a recording, got text",
    ]


def test_an_error_nobody_foresaw_is_one_line_and_costs_the_others_nothing(
    analyses: Analyses, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PAINSENSE_DEBUG", raising=False)
    names = clips(tmp_path, "a.mp4", "b.mp4")
    analyses.acts["a.mp4"] = raising(ZeroDivisionError("two\nlines"))
    assert cli.main(["score", *names]) == 1
    assert results(tmp_path) == expected("b")
    err = capsys.readouterr().err
    assert f"{names[0]}: internal error: ZeroDivisionError: two lines. This is a fault of painsense" in err
    assert "painsense doctor" in err
    assert "Traceback" not in err


def test_the_traceback_is_there_for_those_who_ask(
    analyses: Analyses, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAINSENSE_DEBUG", "1")
    analyses.acts["a.mp4"] = raising(ZeroDivisionError("here"))
    assert cli.main(["score", *clips(tmp_path, "a.mp4")]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_said_before_the_work(
    analyses: Analyses, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clip,) = clips(tmp_path, "clip.mp4")
    # not by permissions: the tests may run as root, whom they do not stop
    monkeypatch.setattr("tempfile.TemporaryFile", raising(PermissionError(13, "Permission denied")))
    assert cli.main(["score", clip]) == 3
    assert re.search(r"cannot be written \(Permission denied\).*--out", capsys.readouterr().err)
    assert analyses.clips == []


def test_a_missing_clip_is_said_before_a_folder_that_cannot_be_written(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", raising(PermissionError(13, "Permission denied")))
    assert cli.main(["score", str(tmp_path / "absent.mp4")]) == 3
    err = capsys.readouterr().err
    assert "there is no such file" in err
    assert "cannot be written" not in err


def test_a_result_that_cannot_be_written_is_a_failure_of_that_clip(
    analyses: Analyses, tmp_path: Path, capsys: Captured
) -> None:
    names = clips(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "a.html").mkdir()
    assert cli.main(["score", *names]) == 3
    assert results(tmp_path) == sorted(["a.html", *expected("b")])
    assert "a.html" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Usage"),
        (["score"], "Missing argument"),
        (["score", "clip.mp4", "--modalities", "face,smell"], "expected one or more of face,voice, got 'smell'"),
        (["score", "clip.mp4", "--modalities", ""], "expected one or more of face,voice"),
        (["score", "clip.mp4", "--format", "docx"], "one or more of json,csv,html,pdf,functionals, got 'docx'"),
        (["score", "clip.mp4", "--person", "0"], "expected largest, or 1, 2"),
        (["score", "clip.mp4", "--person", "smallest"], "expected largest, or 1, 2"),
        (["score", "clip.mp4", "--fps", "0"], "0"),
        (["score", "clip.mp4", "--workers", "-1"], "-1"),
        (["score", "clip.mp4", "--baseline", "absent.mp4"], "there is no file 'absent.mp4'"),
        (["score", "clip.mp4", "--out", __file__], "is a file"),
        (["score", "clip.mp4", "--face-engine", "dlib"], "litert"),
        (["baseline", "rest.mp4"], "Missing option '--out'"),
        (["baseline", "rest.mp4", "--out", "rest.txt"], "ends in .json"),
        (["diagnose"], "No such command"),
    ],
)
def test_wrong_use_is_exit_code_2_and_explained(
    arguments: list[str], message: str, analyses: Analyses, capsys: Captured
) -> None:
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err
    assert analyses.clips == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--baseline", "{folder}/text.json"],
        ["--face-model", "{folder}/text.json"],
        ["--face-model", "{folder}/absent"],
        ["--face-engine", "mediapipe"],
    ],
)
def test_what_is_wrong_for_every_clip_is_said_once(
    arguments: list[str], analyses: Analyses, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("painsense.reference.check", raising(ModelError("mediapipe is not installed")))
    names = clips(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "text.json").write_text("no baseline")
    assert cli.main(["score", *names, *(argument.format(folder=tmp_path) for argument in arguments)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("painsense: ")
    assert err.count("\n") == 1
    assert analyses.clips == []


def test_a_provider_that_does_not_work_is_said_before_the_work(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "check", raising(ProviderError("cuda: no driver; use --provider cpu")))
    (clip,) = clips(tmp_path, "clip.mp4")
    assert cli.main(["score", clip, "--provider", "cuda"]) == 2
    assert capsys.readouterr() == ("", "painsense: cuda: no driver; use --provider cpu\n")


def test_the_voice_alone_needs_no_face_networks(
    analyses: Analyses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("painsense.assets.face_model", raising(ModelError("there is none")))
    (clip,) = clips(tmp_path, "clip.wav")
    assert cli.main(["score", clip]) == 2
    assert cli.main(["score", clip, "--modalities", "voice"]) == 0


# ------------------------------------------------------------------------------------------------------- names of files


@pytest.mark.parametrize(
    ("given", "stems"),
    [
        (["a.mp4", "b.mp4"], ["a", "b"]),
        (["a.mp4", "a.mov"], ["a-mp4", "a-mov"]),
        (["a.mp4", "A.MP4"], ["a-mp4", "A-MP4-2"]),
        (["one/a.mp4", "two/a.mp4"], ["a-mp4", "a-mp4-2"]),
        (["a.mp4", "a.mov", "a-mp4.wav"], ["a-mp4-2", "a-mov", "a-mp4"]),
        (["a", "a.wav"], ["a", "a-wav"]),
    ],
)
def test_no_two_clips_write_the_same_files(given: list[str], stems: list[str]) -> None:
    names = cli_shared.output_names([Path(name) for name in given], Path("out"))
    assert names == [(Path("out"), stem) for stem in stems]


def test_clips_of_one_name_in_two_folders_need_no_other_names() -> None:
    assert cli_shared.output_names([Path("one/a.mp4"), Path("two/a.mp4")], None) == [
        (Path("one"), "a"),
        (Path("two"), "a"),
    ]


def test_a_clip_named_twice_is_scored_once(analyses: Analyses, tmp_path: Path, capsys: Captured) -> None:
    (clip,) = clips(tmp_path, "a.mp4")
    again = tmp_path / "again.mp4"
    again.symlink_to(clip)
    assert cli.main(["score", clip, clip, str(again)]) == 0
    assert analyses.clips == ["a.mp4"]
    assert results(tmp_path) == expected("a")
    assert f"{again}: named twice, scored once" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------------------- Ctrl-C


def test_ctrl_c_keeps_what_is_done_and_names_what_is_not(analyses: Analyses, tmp_path: Path, capsys: Captured) -> None:
    names = clips(tmp_path, "a.mp4", "bad.mp4", "c.mp4", "d.mp4")
    analyses.acts["bad.mp4"] = raising(MediaError("bad.mp4: it is empty"))
    analyses.acts["c.mp4"] = raising(KeyboardInterrupt())
    assert cli.main(["score", *names]) == 130
    assert results(tmp_path) == expected("a")
    assert analyses.clips == ["a.mp4", "bad.mp4", "c.mp4"]
    err = capsys.readouterr().err
    assert "bad.mp4: it is empty" in err
    assert err.endswith(f"stopped; nothing was written for {names[2]}, {names[3]}\n")


def test_ctrl_c_while_writing_waits_for_the_files_to_be_whole(
    analyses: Analyses, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = clips(tmp_path, "a.mp4", "b.mp4")
    replace_file = os.replace

    def press_and_replace(source: Any, target: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        replace_file(source, target)

    monkeypatch.setattr(os, "replace", press_and_replace)
    assert cli.main(["score", *names]) == 130
    assert results(tmp_path) == expected("a")
    assert capsys.readouterr().err.endswith(f"stopped; nothing was written for {names[1]}\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_ctrl_c_during_a_real_analysis(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "long.mp4",
        seconds=30,
        fps=10,
        size=(640, 360),
        picture=lambda number, width, height: np.full((height, width, 3), number % 200, np.uint8),
        codec_options={"preset": "ultrafast"},
    )
    running = subprocess.Popen(
        [sys.executable, "-m", "painsense", "score", str(clip)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # the face networks are mapped once the analysis is under way
    deadline_s = time.monotonic() + 30
    maps = Path(f"/proc/{running.pid}/maps")
    while maps.exists() and "litert" not in maps.read_text().lower() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert err.strip().endswith(f"stopped; nothing was written for {clip}")
    assert results(tmp_path) == []


# --------------------------------------------------------------------------------------------------------- the terminal


class Terminal(io.StringIO):
    """A stand-in for a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_only_and_apart_from_the_results(
    analyses: Analyses, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    (clip,) = clips(tmp_path, "clip[b].mp4")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert cli.main(["score", clip]) == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert re.search(r"clip\[b\]\.mp4 .* 25%", shown)
    assert "%" not in capsys.readouterr().out.replace("face usable", "").split(";")[0]

    quiet = Terminal()
    monkeypatch.setattr(sys, "stderr", quiet)
    assert cli.main(["score", clip, "--quiet"]) == 0
    assert quiet.getvalue() == ""


def test_a_name_the_terminal_cannot_show_is_no_reason_to_fail(
    analyses: Analyses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="latin-1", write_through=True))
    (clip,) = clips(tmp_path, "Müller Ω.mp4")
    assert cli.main(["score", clip]) == 0
    assert "Müller \\u03a9.mp4: Pain expression" in shown.getvalue().decode("latin-1")


def test_a_reader_who_leaves_early_is_no_reason_for_a_traceback() -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "painsense", "models"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    running.stdout.close()
    assert running.stderr is not None
    assert running.stderr.read() == ""
    running.stderr.close()
    assert running.wait(30) == 1


COMMANDS = ("baseline", "compare", "demo", "doctor", "models", "score")


def test_help_and_version(capsys: Captured) -> None:
    assert cli.main(["--help"]) == 0
    assert re.findall(r"^  (\w+)  ", capsys.readouterr().out, re.MULTILINE) == list(COMMANDS)
    for command in COMMANDS:
        assert cli.main([command, "--help"]) == 0
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"painsense {__version__}"


# ------------------------------------------------------------------------------------------------------------- baseline


class Neutral:
    """A baseline of which only the saving matters."""

    def save(self, path: Path) -> None:
        path.write_text("{}")


def test_a_baseline_is_saved(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Path, Settings]] = []

    def make(clip: Path, settings: Settings, progress: object) -> Neutral:
        asked.append((clip, settings))
        return Neutral()

    monkeypatch.setattr("painsense.pipeline.make_baseline", make)
    (rest,) = clips(tmp_path, "rest.mp4")
    out = tmp_path / "neutral.json"
    assert cli.main(["baseline", rest, "--out", str(out), "--person", "2"]) == 0
    assert out.exists()
    assert asked == [(Path(rest), replace(Settings(), baseline="none", person=2))]
    assert capsys.readouterr() == (f"{rest}: neutral saved: {out}\n", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MediaError("rest.mp4: it is empty"), 3),
        (BaselineError("rest.mp4: too little face"), 3),
        (OutputError("rest.mp4: the disk is full"), 3),
        (ModelError("rest.mp4: no networks"), 2),
        (KeyboardInterrupt(), 130),
        (ValueError("rest.mp4"), 1),
    ],
)
def test_a_baseline_that_cannot_be_made(
    error: BaseException, code: int, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("painsense.pipeline.make_baseline", raising(error))
    (rest,) = clips(tmp_path, "rest.mp4")
    assert cli.main(["baseline", rest, "--out", str(tmp_path / "neutral.json")]) == code
    assert results(tmp_path) == []
    out, err = capsys.readouterr()
    assert out == ""
    assert "rest.mp4" in err or "neutral.json was not written" in err
    assert "Traceback" not in err


# ---------------------------------------------------------------------------------------------------- doctor and models


def test_doctor_finds_this_machine_well(capsys: Captured) -> None:
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "FAULT" not in out
    for proved in ("cpu: works", "a drawn face: found", "pitch 220", "face_landmarker: "):
        assert proved in out


def test_doctor_finds_a_missing_model(capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PAINSENSE_FACE_MODEL", str(tmp_path / "absent.task"))
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert re.search(r"FAULT face_landmarker: .*absent\.task", out)
    assert out.splitlines()[-1].endswith("faults found")


@pytest.mark.parametrize(
    ("seen", "name"),
    [(lambda _: None, "a drawn face"), (lambda _: True, "an empty picture")],
    ids=["blind", "fanciful"],
)
def test_doctor_finds_networks_that_see_wrongly(
    seen: Act, name: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landmarks, "detect", seen)
    assert cli.main(["doctor"]) == 1
    assert f"FAULT {name}: PainsenseError: " in capsys.readouterr().out


def test_doctor_finds_a_broken_package(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.requires", lambda _: ["absent-package>=1", "numpy>=2"])
    findings = list(doctor._packages())
    assert [(finding.name, finding.ok) for finding in findings[:2]] == [("absent-package", False), ("numpy", True)]
    assert "absent_package" in findings[0].text


def test_models_are_listed_with_hash_licence_source_and_place(capsys: Captured) -> None:
    assert cli.main(["models"]) == 0
    out = capsys.readouterr().out
    assert "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff" in out
    assert "face_landmarker float16/1" in out
    for label in ("licence", "source", "file"):
        assert re.search(rf"^  {label} +\S", out, re.MULTILINE)


def test_a_model_that_is_not_there_is_said_in_its_line(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PAINSENSE_FACE_MODEL", str(tmp_path / "absent.task"))
    assert cli.main(["models"]) == 0
    assert re.search(r"^  file +none that can be used: .*absent\.task", capsys.readouterr().out, re.MULTILINE)


# ---- compare


def test_a_pdf_without_what_makes_it_is_said_before_the_work(
    analyses: Analyses, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clip,) = clips(tmp_path, "a.mp4")
    monkeypatch.setattr("painsense.report.find_spec", lambda name: None)
    assert cli.main(["score", clip, "--format", "pdf"]) == cli.WRONG_USE
    assert "pip install 'painsense[pdf]'" in capsys.readouterr().err
    assert analyses.clips == []


def test_compare_tells_two_results_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = []
    for name, sha256 in (("rest", "ab" * 32), ("move", "cd" * 32)):
        report = make_report(60.0, fused=True)
        report = replace(report, media=replace(report.media, file=f"{name}.mp4", sha256=sha256))
        files += [str(file) for file in report.write(tmp_path, ("json",), name)]
    assert cli.main(["compare", *files, "--labels", "at rest,on movement"]) == 0
    told = capsys.readouterr()
    assert "on movement" in told.out and "calmest part" in told.err
    assert cli.main(["compare", *files, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["first"]["label"] == "first"
    assert cli.main(["compare", files[0], str(tmp_path / "gone.json")]) == cli.WRONG_USE
    assert "gone.json" in capsys.readouterr().err
    assert cli.main(["compare", *files, "--labels", "one"]) == cli.WRONG_USE
