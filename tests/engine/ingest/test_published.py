"""Each published layout, made of a few phantoms under the names of the set, is recognised and read
as its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from eyes import eye
from PIL import Image

from engine.ingest.picture import Writing, take
from engine.ingest.survey import Survey, survey
from engine.schema import UserError

IMAGE = eye(0, 64)


def lay(root: Path, *names: str, **tables: str) -> Path:
    """Images under these names, and tables: their lines parted by `/`."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        IMAGE.save(root / name)
    return root


def table(root: Path, name: str, *lines: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join(lines) + "\n")


def looked(root: Path, layout: str | None = None) -> tuple[Survey, dict]:
    found = survey(root, layout, (), ())
    return found, {file.relative_to(root).as_posix(): each for file, each in found.found.items()}


def test_aptos(tmp_path):
    lay(tmp_path, "train_images/000c1434d8d7.png", "test_images/0005cfc8afb6.png")
    table(tmp_path, "train.csv", "id_code,diagnosis", "000c1434d8d7,2", "gone,0")
    found, read = looked(tmp_path)
    assert (found.layout, found.source, found.gone) == ("aptos", "aptos", ["gone"])
    assert read["train_images/000c1434d8d7.png"].labels == {"dr_grade": 2}
    assert read["train_images/000c1434d8d7.png"].split == "train"
    assert [file.name for file in found.unnamed] == ["0005cfc8afb6.png"]


def test_eyepacs(tmp_path):
    lay(tmp_path, "train/10_left.jpeg", "train/10_right.jpeg", "test/1_left.jpeg")
    table(tmp_path, "trainLabels.csv", "image,level", "10_left,0", "10_right,4")
    table(tmp_path, "retinopathy_solution.csv", "image,level,Usage", "1_left,7,Private")
    found, read = looked(tmp_path)
    left, right = read["train/10_left.jpeg"], read["train/10_right.jpeg"]
    assert left.labels == {"dr_grade": 0, "eye_side": 1}
    assert right.labels == {"dr_grade": 4, "eye_side": 0}
    assert left.patient == right.patient == "10"
    held = read["test/1_left.jpeg"]
    assert (held.split, held.labels) == ("test", {"eye_side": 1})
    assert found.unread == {("level", "7"): 1}


def test_messidor_2_whatever_the_case_of_endings(tmp_path):
    lay(tmp_path, "IMAGES/20051020_43808_0100_PP.png", "IMAGES/IM0001.JPG")
    head = "image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable"
    lines = ("20051020_43808_0100_PP.png,1,0,1", "IM0001.jpg,,,0")
    table(tmp_path, "messidor_data.csv", head, *lines)
    _, read = looked(tmp_path)
    readable = "is_retinal_region_readable"
    first = read["IMAGES/20051020_43808_0100_PP.png"]
    assert first.labels == {"dr_grade": 1, "is_dme": 0, readable: 1}
    assert read["IMAGES/IM0001.JPG"].labels == {readable: 0}


def test_idrid_grading_and_segmentation(tmp_path):
    seg, grades = "A. Segmentation/", "B. Disease Grading/"
    photos, masks = f"{seg}1. Original Images/", f"{seg}2. All Segmentation Groundtruths/"
    lay(
        tmp_path,
        f"{photos}a. Training Set/IDRiD_01.jpg",
        f"{photos}b. Testing Set/IDRiD_55.jpg",
        f"{grades}1. Original Images/a. Training Set/IDRiD_001.jpg",
        f"{grades}1. Original Images/b. Testing Set/IDRiD_001.jpg",
    )
    for kind, short in (("1. Microaneurysms", "MA"), ("2. Haemorrhages", "HE"), ("5. Disc", "OD")):
        file = tmp_path / f"{masks}a. Training Set/{kind}/IDRiD_01_{short}.tif"
        file.parent.mkdir(parents=True)
        shape = Image.new("L", IMAGE.size)
        shape.paste(76, (10, 10, 14, 14) if short == "MA" else (30, 30, 34, 40))
        shape.save(file)
    head = "Image name,Retinopathy grade,Risk of macular edema ,,"
    where = f"{grades}2. Groundtruths/"
    table(tmp_path, f"{where}a. IDRiD_Disease Grading_Training Labels.csv", head, "IDRiD_001,3,2,,")
    table(tmp_path, f"{where}b. IDRiD_Disease Grading_Testing Labels.csv", head, "IDRiD_001,0,0,,")
    found, read = looked(tmp_path)
    assert found.layout == "idrid"
    taught = read[f"{grades}1. Original Images/a. Training Set/IDRiD_001.jpg"]
    held = read[f"{grades}1. Original Images/b. Testing Set/IDRiD_001.jpg"]
    assert (taught.split, taught.labels) == ("train", {"dr_grade": 3, "is_dme": 1})
    assert (held.split, held.labels, held.known_as) == (
        "test",
        {"dr_grade": 0, "is_dme": 0},
        "test_IDRiD_001",
    )
    lesions = read[f"{photos}a. Training Set/IDRiD_01.jpg"]
    assert [each.column for each in lesions.masks] == [
        "mask_dark_lesion",
        "mask_bright_lesion",
        "mask_disc",
    ]
    taken = take(found.root / lesions.name, lesions.masks, False, Writing("png", False))
    (tmp_path / "dark.png").write_bytes(taken.masks["mask_dark_lesion"])
    (tmp_path / "bright.png").write_bytes(taken.masks["mask_bright_lesion"])
    with Image.open(tmp_path / "dark.png") as dark, Image.open(tmp_path / "bright.png") as bright:
        assert dark.convert("L").histogram()[255] == 16 + 40
        # It was looked for and not there: IDRiD has no file of a lesion that an eye has not.
        assert bright.convert("L").histogram()[255] == 0
    assert f"{photos}b. Testing Set/IDRiD_55.jpg" not in read


def test_odir_labels_eyes_by_their_keywords(tmp_path):
    lay(
        tmp_path,
        *(f"Training Images/{n}_{side}.jpg" for n in (0, 1, 2) for side in ("left", "right")),
    )
    head = (
        "ID,Patient Age,Patient Sex,Left-Fundus,Right-Fundus,Left-Diagnostic Keywords,"
        "Right-Diagnostic Keywords,N,D,G,C,A,H,M,O"
    )
    lines = (
        "0,69,Female,0_left.jpg,0_right.jpg,cataract,normal fundus,0,0,0,1,0,0,0,0",
        "1,,,1_left.jpg,1_right.jpg,severe nonproliferative retinopathy，glaucoma,,0,1,1,0,0,0,0,0",
        "2,50,Male,2_left.jpg,2_right.jpg,diabetic retinopathy,glaucoma,0,1,0,0,0,0,0,0",
    )
    table(tmp_path, "full_df.csv", head, *lines, *lines)
    found, read = looked(tmp_path)
    none = dict.fromkeys(("dr_grade", "is_gc", "is_amd", "is_htr", "is_pm"), 0)
    left = read["Training Images/1_left.jpg"]
    assert left.labels == {
        "dr_grade": 3, "is_gc": 1, "is_amd": 0, "is_htr": 0, "is_pm": 0, "eye_side": 1
    }  # fmt: skip
    # The patient's D and G need not be this eye's.
    assert read["Training Images/1_right.jpg"].labels == {
        "is_amd": 0, "is_htr": 0, "is_pm": 0, "eye_side": 0
    }  # fmt: skip
    assert read["Training Images/0_right.jpg"].labels == {**none, "eye_side": 0}
    assert read["Training Images/0_left.jpg"].labels == {**none, "eye_side": 1}
    ungraded = read["Training Images/2_left.jpg"]
    assert ungraded.least == 1
    assert "dr_grade" not in ungraded.labels
    # A keyword that the patient's letter denies says nothing for sure.
    assert "is_gc" not in read["Training Images/2_right.jpg"].labels
    assert left.patient == "1"
    assert {word for _, word in found.unread} == {"cataract"}
    assert not found.contradicted


def test_rfmid_counts_each_split_from_one(tmp_path):
    sets = ("Training_Set/Training_Set/Training", "Evaluation_Set/Evaluation_Set/Validation")
    lay(tmp_path, *(f"{each}/1.png" for each in (*sets, "Test_Set/Test_Set/Test")))
    head = "ID,Disease_Risk,DR,ARMD,MH,BRVO,CRVO,ERM"
    for name, line in (
        ("Training_Set/Training_Set/RFMiD_Training_Labels.csv", "1,1,1,0,0,0,1,0"),
        ("Evaluation_Set/Evaluation_Set/RFMiD_Validation_Labels.csv", "1,0,0,0,0,0,0,0"),
        ("Test_Set/Test_Set/RFMiD_Testing_Labels.csv", "1,1,0,1,0,0,0,1"),
    ):
        table(tmp_path, name, head, line)
    _, read = looked(tmp_path)
    train, val = (read[f"{each}/1.png"] for each in sets)
    assert (train.labels, train.least) == ({"is_amd": 0, "is_em": 0, "is_rvo": 1}, 1)
    assert (val.labels["dr_grade"], val.least, val.split) == (0, None, "val")
    assert read["Test_Set/Test_Set/Test/1.png"].labels["is_em"] == 1


def test_refuge_masks_are_cut_into_disc_and_cup(tmp_path):
    lay(tmp_path, "Training400/Glaucoma/g0001.jpg", "Training400/Non-Glaucoma/n0001.jpg")
    lay(tmp_path, "REFUGE-Test400/T0001.jpg")
    mask = Image.new("L", IMAGE.size, 255)
    mask.paste(128, (10, 10, 30, 30))
    mask.paste(0, (15, 15, 20, 20))
    folder = tmp_path / "Annotation-Training400/Disc_Cup_Masks/Glaucoma"
    folder.mkdir(parents=True)
    mask.save(folder / "g0001.bmp")
    test = ("ImgName,Label(Glaucoma=1),Fovea_X,Fovea_Y", "T0001.jpg,1,30,30")
    table(tmp_path, "REFUGE-Test-GT/Glaucoma_label_and_Fovea_location.csv", *test)
    found, read = looked(tmp_path)
    sick, well = read["Training400/Glaucoma/g0001.jpg"], read["Training400/Non-Glaucoma/n0001.jpg"]
    assert (sick.labels, sick.split, well.labels) == ({"is_gc": 1}, "train", {"is_gc": 0})
    assert read["REFUGE-Test400/T0001.jpg"].labels == {"is_gc": 1}
    assert found.unnamed == []
    taken = take(tmp_path / sick.name, sick.masks, False, Writing("png", False))
    areas = {}
    for column, data in taken.masks.items():
        (tmp_path / "mask.png").write_bytes(data)
        with Image.open(tmp_path / "mask.png") as read_again:
            areas[column] = read_again.convert("L").histogram()[255]
    assert areas == {"mask_disc": 400, "mask_cup": 25}


def test_airogs(tmp_path):
    lay(tmp_path, "0/TRAIN000000.jpg", "1/TRAIN000001.jpg")
    lines = ("TRAIN000000,NRG", "TRAIN000001,RG")
    table(tmp_path, "train_labels.csv", "challenge_id,class", *lines)
    _, read = looked(tmp_path)
    assert read["0/TRAIN000000.jpg"].labels == {"is_gc": 0}
    assert read["1/TRAIN000001.jpg"].labels == {"is_gc": 1}


def test_synfundus_is_synthetic(tmp_path):
    lay(tmp_path, "Part0/3.png", "Part1/50003.png")
    lines = ("3,4,1,0", "50003,0,0,1")
    table(tmp_path, "SynFundus-1M_gen_cond.csv", "idx,dr_grade,is_dme,eye_side", *lines)
    _, read = looked(tmp_path)
    assert read["Part0/3.png"].labels == {"dr_grade": 4, "is_dme": 1, "eye_side": 0}
    assert all(each.synthetic for each in read.values())
    assert len(read) == 2


def test_what_could_be_two_layouts_is_asked_about(tmp_path):
    lay(tmp_path, "a/000c1434d8d7.png", "b/10_left.jpeg")
    table(tmp_path, "a/train.csv", "id_code,diagnosis", "000c1434d8d7,2")
    table(tmp_path, "b/trainLabels.csv", "image,level", "10_left,1")
    with pytest.raises(UserError, match="looks like aptos and eyepacs"):
        looked(tmp_path)
    found, read = looked(tmp_path, "eyepacs")
    assert [*read] == ["b/10_left.jpeg"]
    assert [file.name for file in found.unnamed] == ["000c1434d8d7.png"]


def test_a_layout_that_is_not_there_and_a_table_that_nobody_knows_are_refused(tmp_path):
    lay(tmp_path, "eye.png")
    with pytest.raises(UserError, match="nothing here is laid out as APTOS 2019"):
        looked(tmp_path, "aptos")
    with pytest.raises(UserError, match=r"'kaggle'.*aptos or eyepacs"):
        looked(tmp_path, "kaggle")
    table(tmp_path, "sheet.csv", "Bild,Befund", "eye.png,x")
    with pytest.raises(UserError, match=r"these columns: Bild, Befund .*file=THEIRS"):
        looked(tmp_path)
    assert [*looked(tmp_path, "images")[1]] == ["eye.png"]
