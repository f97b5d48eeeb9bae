"""Splits: by person, the same on every machine, and never a person on two sides."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from training.errors import TrainingError
from training.fusion import splits
from training.fusion.record import EVALUATION_ONLY, Clip, Label, age_band, from_dict, heads, to_dict
from training.fusion.splits import Split

NAN = float("nan")


def clips_of(sizes: dict[str, int], fold: dict[str, str] | None = None) -> list[Clip]:
    return [
        Clip(f"{subject}-{k}", "unbc", subject, audio=Path(f"/{subject}/{k}.wav"), fold=(fold or {}).get(subject, ""))
        for subject, size in sizes.items()
        for k in range(size)
    ]


PEOPLE = {f"p{k:02d}": 1 + k % 4 for k in range(12)}


def sides_of(split: Split, clips: list[Clip]) -> dict[str, set[str]]:
    return {part: {clip.subject for clip in split.part(part, clips)} for part in splits.PARTS}


def test_loso_leaves_each_person_out_once() -> None:
    clips = clips_of(PEOPLE)
    made = splits.loso(clips, validation=0.2, calibration=0.3)
    assert [sides_of(split, clips)["test"] for split in made] == [{subject} for subject in sorted(PEOPLE)]
    for split in made:
        sides = sides_of(split, clips)
        assert (len(sides["validation"]), len(sides["calibration"])) == (2, 3)  # of the eleven others
        assert set.union(*sides.values()) == set(PEOPLE)
        assert sum(len(side) for side in sides.values()) == len(PEOPLE)


def test_k_fold_judges_everybody_once_in_folds_of_like_size() -> None:
    clips = clips_of(PEOPLE)
    made = splits.k_fold(clips, 4, seed=3)
    judged = [each for split in made for each in split.test]
    assert sorted(judged) == sorted(clip.id for clip in clips)
    sizes = [len(split.test) for split in made]
    assert max(sizes) - min(sizes) <= max(PEOPLE.values())


def test_folds_depend_on_the_seed_and_not_on_the_order() -> None:
    clips = clips_of(PEOPLE)
    mixed = random.Random(1).sample(clips, len(clips))
    assert splits.k_fold(clips, 4, validation=0.2) == splits.k_fold(mixed, 4, validation=0.2)
    assert splits.loso(clips, calibration=0.2) == splits.loso(mixed, calibration=0.2)
    assert splits.k_fold(clips, 4, seed=1) != splits.k_fold(clips, 4, seed=2)
    assert splits.hold_out(clips, seed=1) != splits.hold_out(clips, seed=2)
    # The folds of a published run must not change from one run, or Python, to the next.
    sides = sides_of(splits.hold_out(clips, 0.25, validation=0.3), clips)
    assert (sides["test"], sides["validation"]) == ({"p00", "p01", "p07"}, {"p05", "p06", "p08"})


def test_published_folds() -> None:
    five = clips_of(PEOPLE, {subject: f"fold-{k % 5}" for k, subject in enumerate(PEOPLE)})
    made = splits.published(five)
    assert [split.name for split in made] == [f"published-fold-{k}" for k in range(5)]
    for k, split in enumerate(made):
        assert {clip.fold for clip in split.part("test", five)} == {f"fold-{k}"}
    held = clips_of(PEOPLE, {subject: "validation" if k < 4 else "train" for k, subject in enumerate(PEOPLE)})
    (split,) = splits.published(held, validation=0.2)
    assert sides_of(split, held)["test"] == set(list(PEOPLE)[:4])
    with pytest.raises(TrainingError, match="clips without a fold in unbc"):
        splits.published(clips_of(PEOPLE))
    torn = [replace(clip, fold=f"fold-{clip.id[-1]}") for clip in clips_of({"p1": 2, "p2": 2})]
    with pytest.raises(TrainingError, match="p1 and 1 more subjects are in two folds"):
        splits.published(torn)


def test_the_guard_refuses_a_person_on_two_sides() -> None:
    clips = clips_of({"p1": 2, "p2": 2})
    with pytest.raises(TrainingError, match="subject p1 is in train and in test"):
        splits.check(Split("mine", ("p1-0", "p2-0"), (), (), ("p1-1",)), clips)
    with pytest.raises(TrainingError, match="subject p2 is in train and in calibration"):
        splits.check(Split("mine", ("p2-0",), (), ("p2-1",), ("p1-1",)), clips)
    splits.check(Split("mine", ("p2-0", "p2-1"), (), (), ("p1-1",)), clips)


def test_the_guard_refuses_a_file_on_two_sides() -> None:
    """One recording under two subjects' names leaks as much as one subject on two sides."""
    one, two = clips_of({"p1": 1, "p2": 1})
    with pytest.raises(TrainingError, match=r"0\.wav is in train and in test"):
        splits.check(Split("mine", (one.id,), (), (), (two.id,)), [one, replace(two, audio=one.audio)])


def test_the_guard_refuses_what_is_not_there_or_not_single() -> None:
    clips = clips_of({"p1": 1, "p2": 1})
    with pytest.raises(TrainingError, match="clip p9-0 is in test but not in the data"):
        splits.check(Split("mine", ("p1-0",), (), (), ("p9-0",)), clips)
    with pytest.raises(TrainingError, match="two clips have the id p1-0"):
        splits.check(Split("mine", ("p1-0",), (), (), ("p2-0",)), [*clips, clips[0]])
    with pytest.raises(TrainingError, match="0 to judge by"):
        splits.check(Split("mine", ("p1-0",), (), (), ()), clips)


def test_clips_for_evaluation_only_are_never_learned_from() -> None:
    clips = clips_of({"p1": 1, "p2": 1, "p3": 1})
    clips[2] = replace(clips[2], flags=(EVALUATION_ONLY,))
    assert [(split.train, split.test) for split in splits.loso(clips)] == [
        (("p2-0",), ("p1-0",)), (("p1-0",), ("p2-0",)), (("p1-0", "p2-0"), ("p3-0",))
    ]  # fmt: skip
    more = [*clips, *clips_of({"p4": 1, "p5": 1})]
    for seed in range(5):  # nobody is drawn to stop the fit by whose clips may not
        assert all(split.validation for split in splits.loso(more, validation=0.3, seed=seed))
    with pytest.raises(TrainingError, match="for evaluation only, and stands in train"):
        splits.check(Split("mine", ("p1-0", "p3-0"), (), (), ("p2-0",)), clips)
    with pytest.raises(TrainingError, match="nobody is left to learn from among 3 subjects"):
        splits.loso([replace(clip, flags=(EVALUATION_ONLY,)) for clip in clips])


def test_too_few_people() -> None:
    with pytest.raises(TrainingError, match="at least 5 subjects are needed, there are 3"):
        splits.k_fold(clips_of({"p1": 9, "p2": 1, "p3": 1}), 5)
    with pytest.raises(TrainingError, match="at least 2 subjects are needed, there are 1"):
        splits.loso(clips_of({"p1": 9}))
    with pytest.raises(TrainingError, match="nobody is left to learn from"):
        splits.loso(clips_of({"p1": 1, "p2": 1, "p3": 1}), validation=0.5, calibration=0.5)
    with pytest.raises(TrainingError, match=r"between 0 and 1, not at 1\.5"):
        splits.hold_out(clips_of(PEOPLE), 1.5)


def test_reactive_subset() -> None:
    clips = clips_of({"p1": 1, "p2": 1})
    marked = [replace(clips[0], flags=(splits.NON_REACTIVE,)), clips[1]]
    assert splits.reactive(marked) == (clips[1],)
    with pytest.raises(TrainingError, match="BioVid parts A and B only"):
        splits.reactive(clips)


def test_label_kinds_and_scales_have_heads_of_their_own() -> None:
    said = [Label("vas", 0, 10, 3), Label("vas", 0, 100, 30), Label("nrs", 0, 10, 3), Label("stimulus_level", 0, 4, 3)]
    clips = [Clip(f"c{k}", "manifest", "p", labels=(label,)) for k, label in enumerate(said)]
    assert heads(clips) == {"nrs_0_10": 1, "stimulus_level_0_4": 1, "vas_0_10": 1, "vas_0_100": 1}


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (("mood", 0, 10, 3), "not 'mood'"),
        (("vas", 0, 10, 11), "between 0 and 10, not at 11"),
        (("vas", 0, 10, NAN), "not at nan"),
        (("vas", 10, 0, 3), "goes up, not from 10 to 0"),
        (("pspi_frame", 0, 16, 3), "value per frame"),
        (("pspi_frame", 0, 16, NAN, (1.0, 17.0)), "not at 17"),
    ],
)
def test_labels_outside_their_scale(label: tuple[object, ...], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Label(*label)  # type: ignore[arg-type]


def test_a_clip_is_stored_without_its_paths() -> None:
    frames = tuple(Path(f"/data/Sub1 Ada Example/rgb/{k}.jpg") for k in range(2))
    labels = (Label("pspi_frame", 0, 16, NAN, (1.0, NAN)), Label("vas", 0, 10, 4))
    clip = Clip("c-1", "mintpain", "s-1", frames=frames, fps=2.0, labels=labels, groups={"sex": "female"}, flags=("a",))
    stored = to_dict(clip)
    assert "Ada" not in repr(clip) + repr(stored)
    back = from_dict(stored)
    assert to_dict(back) == stored
    assert back.label("vas") == labels[1]
    with pytest.raises(TrainingError, match="prepare the data set anew"):
        from_dict({"id": "c-1"})


def test_a_message_is_rid_of_names() -> None:
    frame = Path("/data/Sub1 Ada Example/Annotated_data_Sub01_Trial01/rgb/RGB-1.jpg")
    clip = Clip("c-1", "mintpain", "s-1", frames=(frame,))
    assert clip.hide(f"{frame}: cannot be decoded") == "c-1/RGB-1.jpg: cannot be decoded"
    assert "Ada" not in clip.hide("in Sub1 Ada Example: nothing")


@pytest.mark.parametrize(
    ("age", "band"), [(17.9, "under 18"), (18, "18-35"), (36, "36-50"), (65, "51-65"), (66, "66 and over")]
)
def test_age_bands(age: float, band: str) -> None:
    assert age_band(age) == band


def test_a_clip_that_makes_no_sense() -> None:
    with pytest.raises(TrainingError, match="ends after it starts"):
        Clip("c", "d", "s", start_s=3, end_s=2)
    with pytest.raises(TrainingError, match="2 pictures but 1 pspi_frame values"):
        Clip("c", "d", "s", frames=(Path("1"), Path("2")), fps=30, labels=(Label("pspi_frame", 0, 16, NAN, (1.0,)),))
    with pytest.raises(TrainingError, match="needs its rate"):
        Clip("c", "d", "s", frames=(Path("1"), Path("2")))
    with pytest.raises(TrainingError, match="two labels of one kind"):
        Clip("c", "d", "s", labels=(Label("vas", 0, 10, 1), Label("vas", 0, 10, 2)))
