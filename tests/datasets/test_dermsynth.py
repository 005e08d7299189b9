"""What dermsynth renders: the same bytes each time, DermXDB's layout, the rules of split, raters and shortcut."""

import csv
import hashlib
from collections import Counter, defaultdict
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from datasets import dermxdb
from datasets.dermsynth import distractors, plan, raters, render, scene, skin
from datasets.dermsynth.canvas import Canvas
from datasets.dermsynth.characteristics import CHARACTERISTICS
from datasets.dermsynth.diagnoses import RECIPES

SIDE = 64
IMAGES = 30
STICKER = plan.PlantedMark(shape="sticker", dose=1.0)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    made = tmp_path_factory.mktemp("made") / "dermsynth"
    render(made, images=IMAGES, side=SIDE, seed=3)
    return made


@pytest.fixture(scope="module")
def planned():
    return plan.cases(900, seed=5, train_fraction=0.65)


def digests(directory):
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows(path, delimiter=","):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def pixels(path):
    return np.asarray(Image.open(path))


def annotations(directory):
    return rows(directory / "masks" / "instance_mask_annotations.csv")


def test_the_same_seed_gives_the_same_bytes(directory, tmp_path):
    render(tmp_path / "again", images=IMAGES, side=SIDE, seed=3)
    assert digests(tmp_path / "again") == digests(directory)


def test_another_seed_gives_other_images(directory, tmp_path):
    render(tmp_path / "other", images=6, side=SIDE, seed=4)
    other, made = digests(tmp_path / "other"), digests(directory)
    assert not any(other[name] == made.get(name) for name in other if name.startswith("images/"))


def test_fewer_images_are_the_first_of_more(directory, tmp_path):
    render(tmp_path / "few", images=13, side=SIDE, seed=3)
    few, many = digests(tmp_path / "few"), digests(directory)
    pictures = {name for name in few if name.endswith(".png")}
    assert pictures
    assert all(few[name] == many[name] for name in pictures)


def test_all_diagnoses_occur_about_equally(directory):
    table = rows(directory / "metadata.csv", ";")
    assert Counter(row["diagnosis"] for row in table) == dict.fromkeys(plan.DIAGNOSES, IMAGES / 6)
    assert {row["skin_tone"] for row in table} <= set(plan.TONES)
    assert {row["age"] for row in table} <= set(plan.AGES)
    assert {row["dataset"] for row in table} == {"dermsynth"}


def test_metadata_is_in_the_dialect_of_dermxdb(directory):
    lines = (directory / "metadata.csv").read_bytes().split(b"\r\n")
    assert lines[0] == b"original_filename;dataset;diagnosis;current_filename;skin_tone;age"
    assert b"\n" not in b"".join(lines)
    assert all(row["current_filename"].endswith(".jpeg") for row in rows(directory / "metadata.csv", ";"))


def test_images_are_rgb_and_match_the_metadata(directory):
    stems = {row["current_filename"].removesuffix(".jpeg") for row in rows(directory / "metadata.csv", ";")}
    assert {path.stem for path in (directory / "images").iterdir()} == stems
    assert not any("_" in stem for stem in stems)
    for path in (directory / "images").iterdir():
        assert pixels(path).shape == (SIDE, SIDE, 3)
        assert pixels(path).std() > 5


def test_masks_match_the_table_one_to_one(directory):
    table = annotations(directory)
    assert list(table[0]) == ["image_id", "mask_id", "class_name"]
    listed = [row["mask_id"] for row in table]
    assert len(set(listed)) == len(listed)
    assert {path.name for path in (directory / "masks" / "masks").iterdir()} == {f"{name}.png" for name in listed}
    for row in table:
        assert row["mask_id"].startswith(f"{row['image_id']}_")
        assert row["mask_id"].removeprefix(f"{row['image_id']}_").isdigit()
        assert row["class_name"] in CHARACTERISTICS


def test_masks_are_gray_black_and_white_and_not_empty(directory):
    for path in (directory / "masks" / "masks").iterdir():
        image = Image.open(path)
        assert image.mode == "L"
        assert image.size == (SIDE, SIDE)
        assert set(np.unique(image)) in ({0, 255}, {255})


def test_three_raters_at_most_look_at_an_image(directory):
    seen = defaultdict(set)
    for row in annotations(directory):
        rater, _, stem = row["image_id"].partition("_")
        seen[stem].add(rater)
    assert max(map(len, seen.values())) == raters.RATERS_PER_IMAGE
    assert set.union(*seen.values()) == set(raters.HABITS)
    assert len(seen) > 0.9 * IMAGES


def test_folds_share_out_all_images_and_no_patient_parts(directory):
    split = {name: rows(directory / "folds" / f"metadata_fold_0_{name}.csv") for name in ("train", "test")}
    header = ["", "original_filename", "dataset", "diagnosis", "current_filename", "patient_id"]
    assert list(split["train"][0]) == header
    names = [row["current_filename"] for part in split.values() for row in part]
    assert sorted(names) == sorted(row["current_filename"] for row in rows(directory / "metadata.csv", ";"))
    people = [{row["patient_id"] for row in part} for part in split.values()]
    assert not people[0] & people[1]


def test_the_split_is_stratified_and_patients_have_up_to_three_images(planned):
    for diagnosis in plan.DIAGNOSES:
        own = [case for case in planned if case.diagnosis == diagnosis]
        assert np.mean([case.split == "train" for case in own]) == pytest.approx(0.65, abs=0.03)
    taken = Counter(case.patient.name for case in planned)
    assert max(taken.values()) == 3
    splits = defaultdict(set)
    for case in planned:
        splits[case.patient.name].add(case.split)
    assert all(len(found) == 1 for found in splits.values())


def test_the_mark_gives_a_diagnosis_away_in_training_alone(planned):
    rate = defaultdict(list)
    for case in planned:
        rate[case.split, case.diagnosis].append(case.marked)
    for diagnosis in plan.DIAGNOSES:
        expected = plan.DOSE if diagnosis == plan.SHORTCUT else 0
        assert np.mean(rate["train", diagnosis]) == pytest.approx(expected, abs=0.02)
        assert np.mean(rate["test", diagnosis]) == pytest.approx(plan.MARKED_TEST, abs=0.02)


def test_an_image_and_its_masks_are_the_same_each_time(planned):
    case = planned[0]
    first, second = (scene.photograph(case, SIDE) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    one, other = (raters.drawings(np.random.default_rng(case.hands), first.truth) for _ in range(2))
    assert [name for masks in one.values() for name, _ in masks]
    for drawn, again in zip(one.values(), other.values(), strict=True):
        assert [(name, mask.sum()) for name, mask in drawn] == [(name, mask.sum()) for name, mask in again]


def test_shortcut_masks_are_there_for_marked_images(directory):
    marked = {case.stem for case in plan.cases(IMAGES, seed=3, train_fraction=0.65) if case.marked}
    assert marked == {path.stem for path in (directory / "shortcut").iterdir()}
    for path in (directory / "shortcut").iterdir():
        assert set(np.unique(pixels(path))) == {0, 255}


def test_the_mark_is_violet_and_beside_the_lesion(planned):
    for case in [case for case in planned if case.marked][:6]:
        made = scene.photograph(case, SIDE)
        seen = np.logical_or.reduce(list(made.truth.values()))
        assert not (made.mark & seen).any()
        red, green, blue = made.image[made.mark].mean(axis=0)
        assert blue > green
        assert red > green


@pytest.mark.parametrize("dose", [0.0, 0.25, 1.0])
def test_the_dose_is_the_fraction_of_marked_training_images(dose):
    planned = plan.cases(600, seed=5, train_fraction=0.65, dose=dose)
    rate = defaultdict(list)
    for case in planned:
        rate[case.split, case.diagnosis].append(case.marked)
    for diagnosis in plan.DIAGNOSES:
        expected = dose if diagnosis == plan.SHORTCUT else 0
        assert np.mean(rate["train", diagnosis]) == pytest.approx(expected, abs=0.02)
        assert np.mean(rate["test", diagnosis]) == pytest.approx(plan.MARKED_TEST, abs=0.03)


def test_dose_and_mark_change_marked_images_alone(directory, tmp_path):
    render(tmp_path / "other", images=24, side=SIDE, seed=3, mark=STICKER)
    other, made = digests(tmp_path / "other"), digests(directory)
    marked = {path.stem for name in (directory, tmp_path / "other") for path in (name / "shortcut").iterdir()}
    images = [name for name in other if name.startswith(("images/", "masks/masks"))]
    assert {name for name in images if other[name] != made[name]} == {
        name for name in images if name.startswith("images/") and name[7:-4] in marked
    }
    assert "mark=sticker, dose=1.0" in (tmp_path / "other" / "SYNTHETIC.txt").read_text()


def test_the_sticker_is_turquoise_round_and_beside_the_lesion(planned):
    for case in [case for case in planned if case.marked][:6]:
        made = scene.photograph(case, SIDE, "sticker")
        assert not (made.mark & np.logical_or.reduce(list(made.truth.values()))).any()
        assert made.mark.mean() == pytest.approx(np.pi * distractors.MARK_RADIUS**2, rel=0.1)
        red, green, blue = made.image[made.mark].mean(axis=0)
        assert blue > green > red + 40


def test_raters_differ_but_agree(planned):
    scores = []
    for case in planned[:36]:
        truth = scene.photograph(case, SIDE).truth
        drawn = raters.drawings(np.random.default_rng(case.hands), truth)
        votes = {rater: np.sum([mask for _, mask in masks], axis=0) for rater, masks in drawn.items() if masks}
        for rater, own in votes.items():
            others = [vote for name, vote in votes.items() if name != rater]
            if others:
                p, y = own / own.max(), np.sum(others, axis=0) / np.sum(others, axis=0).max()
                scores.append(2 * np.minimum(p, y).sum() / (p + y).sum())
        for one, two in combinations(votes.values(), 2):
            assert not np.array_equal(one, two)
    assert 0.55 < np.mean(scores) < 0.75


@pytest.mark.parametrize("diagnosis", plan.DIAGNOSES)
def test_every_characteristic_changes_what_is_seen(diagnosis, planned):
    for case in [case for case in planned if case.diagnosis == diagnosis][:8]:
        rng = np.random.default_rng(case.stream)
        canvas = skin.ground(rng, SIDE, case.patient)
        before, flat = canvas.color(), canvas.height.copy()
        RECIPES[diagnosis](rng, canvas)
        change = np.abs(canvas.color() - before).max(axis=-1) + np.abs(canvas.height - flat) * SIDE
        assert any(where.any() for where in canvas.truth.values())
        for characteristic, where in canvas.truth.items():
            if where.any():
                assert change[where].mean() > 2 * 0.004, characteristic


def test_every_characteristic_occurs(planned):
    found = set()
    for case in planned[:90]:
        found |= set(scene.patient_with(case, 48, np.random.default_rng(case.stream)).truth)
    assert found == set(CHARACTERISTICS)


def test_inflammation_is_darker_on_dark_skin():
    reds = {}
    for melanin in (0.2, 2.2):
        plane = np.full((4, 4), melanin)
        canvas = Canvas(
            skin=plane > 0,
            melanin=plane,
            blood=np.full((4, 4), 0.8),
            height=np.zeros((4, 4)),
            gloss=np.zeros((4, 4)),
            bare=np.ones((4, 4)),
            coat=np.zeros((4, 4, 3)),
        )
        reds[melanin] = canvas.color().mean(axis=(0, 1))
    assert (reds[2.2] < 0.5 * reds[0.2]).all()
    assert reds[0.2][0] > reds[0.2][1]


def test_dermxdbs_reader_reads_it(directory):
    assert dermxdb.has_layout(directory)
    read = dermxdb.load(directory)
    assert len(read.samples) == IMAGES
    assert read.classes == plan.DIAGNOSES
    assert {sample.split for sample in read.samples} == {"train", "test"}
    assert not read.left_out


def test_a_folder_in_use_is_refused(directory):
    with pytest.raises(ValueError, match="not empty"):
        render(directory, images=6, side=SIDE)


@pytest.mark.parametrize("wrong", [{"images": 5}, {"side": 16}, {"seed": -1}, {"train_fraction": 1.0}])
def test_arguments_out_of_range_are_refused(wrong, tmp_path):
    with pytest.raises(ValueError, match="cannot render"):
        render(tmp_path / "x", **({"images": 6} | wrong))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("wrong", [{"dose": 1.5}, {"dose": -0.1}, {"shape": "hair"}])
def test_marks_out_of_range_are_refused(wrong, tmp_path):
    with pytest.raises(ValueError, match="cannot plant"):
        render(tmp_path / "x", images=6, mark=plan.PlantedMark(**wrong))
    assert not (tmp_path / "x").exists()


def test_the_note_says_synthetic(directory):
    text = (directory / "SYNTHETIC.txt").read_text()
    assert text.startswith("SYNTHETIC")
    assert "seed=3" in text
    assert "Version 1" in text
