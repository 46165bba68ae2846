"""Label tables: what is read, and that every mistake is named with file, line and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.labels import LabelRow, label_value, read_table
from engine.schema import LABEL_NAMES, Annotation, UserError

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "labels.csv"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "labels.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_rows_hold_what_the_cells_hold(tmp_path):
    path = write(
        tmp_path,
        "file,split,source,patient_id,caption,dr_grade,is_gc,mask_disc\n"
        'a.jpg,train,idrid,p1,"Mild NPDR, left eye.",1,,m/a.png\n'
        "\n"
        "b.jpg,,,,,,0.0,\n",
    )
    assert read_table(path) == [
        LabelRow(
            file="a.jpg",
            line=2,
            annotation=Annotation(dr_grade=1, source="idrid"),
            split="train",
            patient_id="p1",
            caption="Mild NPDR, left eye.",
            masks={"mask_disc": "m/a.png"},
        ),
        LabelRow(file="b.jpg", line=4, annotation=Annotation(is_gc=0)),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_tables_of_other_programs_are_read(tmp_path, encoding, ending):
    path = write(tmp_path, f"file,dr_grade{ending} a.jpg , 3 {ending}".encode(encoding))
    assert [(row.file, row.annotation.dr_grade) for row in read_table(path)] == [("a.jpg", 3)]


@pytest.mark.parametrize(
    "text",
    [
        "sep=,\nfile,dr_grade\na.jpg,3\n",
        "file,dr_grade,,\na.jpg,3,,\n,,,\n",
        "\nfile,dr_grade\n\na.jpg,3,,\n",
        '"file","dr_grade"\n"a.jpg","3"\n',
    ],
)
def test_what_sheets_leave_round_a_table_is_passed_over(tmp_path, text):
    rows = read_table(write(tmp_path, text))
    assert [(row.file, row.annotation.dr_grade) for row in rows] == [("a.jpg", 3)]


def test_only_line_ends_end_a_line(tmp_path):
    (row,) = read_table(write(tmp_path, "file,caption\na,one\u2028two\x85three\n"))
    assert row.caption == "one\u2028two\x85three"


def test_a_quoted_cell_over_two_lines_keeps_the_line_numbers_true(tmp_path):
    path = write(tmp_path, 'file,caption,dr_grade\na,"one\ntwo",1\nb,,9\n')
    with pytest.raises(UserError, match=r"line 4: dr_grade: 9 is out of range"):
        read_table(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("file,dr_grade,is_unicorn\nx,1,1\n", ["line 1", "is_unicorn", "is_amd"]),
        ("file,is_dmee\nx,1\n", ["is_dmee", "did you mean 'is_dm"]),
        ("file,dr_grade\nx,7\n", ["line 2", "dr_grade", "7", "0 1 2 3 4"]),
        ("file,dr_grade\nx,-1\n", ["line 2", "dr_grade", "0 1 2 3 4"]),
        ("file,is_gc\nx,1\ny,2\n", ["line 3", "is_gc", "0 1 or empty"]),
        ("file,is_gc\nx,yes\n", ["line 2", "is_gc", "'yes' is not a whole number"]),
        ("file,is_gc\nx,0.5\n", ["line 2", "is_gc", "0.5"]),
        ("file,is_gc\nx,nan\n", ["line 2", "is_gc", "nan"]),
        ("file,is_gc\nx,inf\n", ["line 2", "is_gc", "inf"]),
        ("file,is_gc,is_gc\nx,0,1\n", ["line 1", "is_gc", "twice"]),
        ("file,\nx,1\n", ["line 1", "(empty)"]),
        ("file,is_gc\nx\n", ["line 2", "1 cells", "2"]),
        ("file,is_gc\nx,1,1\n", ["line 2", "3 cells", "2"]),
        ('file,is_gc\nx,"1\n', ["line 2", "broken CSV"]),
        ("", ["empty"]),
        ("file,is_gc\n", ["no rows"]),
        (b"file\n\xff\xfe\x00\n", ["line 2", "UTF-8", "0xff"]),
        ("file,caption\nx,M\xe9\n".encode("latin-1"), ["line 2", "UTF-8", "0xe9"]),
        ("file\tis_gc\nx\t1\n".encode("utf-16"), ["UTF-16", "CSV UTF-8"]),
        ("file;dr_grade\nx;2\n", ["line 1", "semicolons (';')", "commas"]),
        ('"file";"dr_grade"\nx;2\n', ["semicolons (';')"]),
        ("file\tdr_grade\nx\t2\n", ["tabs"]),
        ("file|dr_grade\nx|2\n", ["upright strokes"]),
        ("sep=;\nfile;dr_grade\nx;2\n", ["line 1", "semicolons"]),
        ("image;level\n1_left;0\n", ["semicolons"]),
        ("id_code,diagnosis\nx,2\n", ["APTOS 2019", "id_code", "`dr_grade`"]),
        ("image,level\nx,2\n", ["EyePACS", "`dr_grade`"]),
        ("Image name,Retinopathy grade,Risk of macular edema \nx,2,0\n", ["IDRiD", "`is_dme`"]),
        ("ID,Disease_Risk,DR,ARMD\n1,0,0,0\n", ["RFMiD"]),
        ("challenge_id,class\nx,RG\n", ["AIROGS", "`is_gc`"]),
        ("file,is_gc\nx,7\ny,1\nz,x\n", ["line 2", "7 is out of range", "1 more lines"]),
        (b"PK\x03\x04" + b"\0" * 26 + b"[Content_Types].xml", ["Excel workbook", "CSV"]),
        (b"\0" * 128 + b"DICM", ["DICOM", "retinaforge ingest"]),
        (b"PAR1\0", ["Parquet", ".parquet"]),
    ],
)
def test_a_mistake_is_named(tmp_path, text, told):
    path = write(tmp_path, text)
    with pytest.raises(UserError) as error:
        read_table(path)
    for words in [str(path), *told]:
        assert words in str(error.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(UserError, match="is a folder"):
        read_table(tmp_path)


@pytest.mark.parametrize("value", [None, "", "  "])
def test_nothing_is_unknown(value):
    assert label_value("dr_grade", value) is None


@pytest.mark.parametrize("value", [True, False, [1], {}, "one", 1.5, "0_1"])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(UserError, match="not a whole number"):
        label_value("dr_grade", value)


@pytest.mark.skipif(not DATA.is_file(), reason="no shared/data beside the checkout")
def test_the_shared_photographs_have_a_table():
    rows = read_table(DATA)
    assert len(rows) > 600
    assert all((DATA.parent / str(row.file)).is_file() for row in rows[::50])
    assert {row.split for row in rows} == {"train", "test", "all"}
    assert {name for row in rows for name in row.annotation.known()} <= set(LABEL_NAMES)
