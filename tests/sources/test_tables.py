"""Tables of labels, patients and splits: what is read, what is refused, what is said."""

from pathlib import Path

import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import Source
from fastmri_cls.sources.scan import UNLISTED, Scan, scan
from fastmri_cls.sources.tables import Row, Table, read_tables
from tests.sources.test_layout import make, passed


def table(folder: Path, text: str, name: str = "table.csv", source: str = "") -> list[Table]:
    (folder / name).write_text(text, encoding="utf-8")
    argument = f"{source}={folder / name}" if source else str(folder / name)
    return read_tables([argument], [Source("s", folder / "s"), Source("other", folder / "other")])


def read(root: Path, tables: list[Table], *, allow_unlisted: bool = False) -> Scan:
    return scan([Source("s", root)], ClassNames(), tables, allow_unlisted=allow_unlisted)


def found(result: Scan) -> dict[str, tuple[str, str, str | None]]:
    return {file.filename: (file.label, file.patient, file.split) for file in result.files}


FLAT = {"a.png": ("glioma", "7", None), "b.png": ("notumor", "8", None)}


@pytest.mark.parametrize(
    "text",
    [
        "filename,label,patient\na.png,glioma_tumor,7\nb.png,no_tumor,8\n",
        "filename\tlabel\tpatient\na.png\tglioma\t7\nb.png\tnotumor\t8\n",
        "patient;filename;label\r\n7;a.png;glioma\r\n8;b.png;No Tumor\r\n",
        '\ufeffFilename, Class ,group\n"./a.png", "glioma",7\nb.png,notumor,8\n',
    ],
)
def test_a_flat_folder_gets_labels_and_patients_from_a_csv_or_tsv(tmp_path, text):
    text = text.replace('"./a.png", "glioma"', '"./a.png","glioma"')
    assert found(read(make(tmp_path / "s", "a.png", "b.png"), table(tmp_path, text))) == FLAT


def test_bare_names_are_found_in_folders_unless_two_files_share_one(tmp_path):
    root = make(tmp_path / "s", "pictures/a.png", "deep/er/b.png")
    text = "filename,label,patient\na.png,glioma,7\nb.png,notumor,8\n"
    assert [file.label for file in read(root, table(tmp_path, text)).files] == ["notumor", "glioma"]
    make(tmp_path / "s", "more/a.png")
    said = r"leaves out 2 of 3 images of source s \(more/a.png, pictures/a.png\); several files are named a.png"
    with pytest.raises(UserError, match=said):
        read(root, table(tmp_path, text))


class CountedRows(dict[tuple[str, str], Row]):
    """Rows that count how often somebody goes through all of them."""

    rounds = 0

    def __iter__(self):
        self.rounds += 1
        return super().__iter__()


def test_bare_names_are_found_without_going_through_the_table_for_every_image(tmp_path):
    rows = CountedRows({("", f"{number}.png"): Row(patient="1") for number in range(1, 41)})
    bare = Table("t", "", None, frozenset({"patient"}), rows)
    root = make(tmp_path / "s", "x/{1-20}.png", "y/{21-40}.png")
    assert {file.patient for file in read(root, [bare]).files} == {"1"}
    assert rows.rounds <= 1


@pytest.mark.parametrize("column", ["label", "patient", "split"])
def test_two_tables_that_contradict_each_other_are_refused(tmp_path, column):
    root = make(tmp_path / "s", "x/a.png", "y/b.png")
    one, same, other = "train", "train", "test"
    tables = [
        *table(tmp_path, f"filename,{column}\nx/a.png,{one}\ny/b.png,test\n", "one.csv"),
        *table(tmp_path, f"filename,{column}\nx/a.png,{same}\ny/b.png,\n", "same.csv"),
    ]
    assert len(read(root, tables, allow_unlisted=True).files) == 2
    tables += table(tmp_path, f"filename,{column}\nx/a.png,{other}\ny/b.png,test\n", "other.csv")
    with pytest.raises(UserError, match=rf"other.csv: x/a.png has another {column} in an earlier --table"):
        read(root, tables, allow_unlisted=True)


def test_empty_lines_are_skipped_and_lines_are_counted_as_an_editor_does(tmp_path):
    root = make(tmp_path / "s", "x/a.png", "y/b.png")
    text = "\n\nfilename,patient\n\nx/a.png,1\n,\ny/b.png,2\n"
    assert [file.patient for file in read(root, table(tmp_path, text)).files] == ["1", "2"]
    with pytest.raises(UserError, match=r"line 8: y/b.png has another entry already"):
        table(tmp_path, text + "y/b.png,3\n")


def test_split_folders_still_name_the_split_of_a_flat_set(tmp_path):
    root = make(tmp_path / "s", "train/a.png", "test/b.png")
    result = read(root, table(tmp_path, "filename,label\ntrain/a.png,x\ntest/b.png,y\n"))
    assert [file.split for file in result.files] == ["test", "train"]


def test_a_table_of_patients_leaves_the_class_folders_alone(tmp_path):
    root = make(tmp_path / "s", "x/a.png", "y/b.png")
    result = read(root, table(tmp_path, "filename,patient\nx/a.png,1\ny/b.png,2\n"))
    assert found(result) == {"x/a.png": ("x", "1", None), "y/b.png": ("y", "2", None)}


def test_images_that_a_table_leaves_out_are_refused_with_number_and_names(tmp_path):
    root = make(tmp_path / "s", "x/{1-9}.png", "y/1.png")
    rows = "filename,patient\n" + "".join(f"x/{n}.png,{n}\n" for n in range(5, 10))
    message = r"leaves out 5 of 10 images of source s \(x/1.png, x/2.png, x/3.png, …\); .*--allow-unlisted"
    with pytest.raises(UserError, match=message):
        read(root, table(tmp_path, rows))
    result = read(root, table(tmp_path, rows), allow_unlisted=True)
    assert sum(file.patient == "" for file in result.files) == 5


def test_images_without_a_label_are_passed_over_when_allowed(tmp_path):
    root = make(tmp_path / "s", "a.png", "b.png", "c.png", "d.png")
    tables = table(tmp_path, "filename,label\na.png,x\nb.png,y\nc.png,\n")
    with pytest.raises(UserError, match=r"leaves out 2 of 4 images of source s \(c.png, d.png\)"):
        read(root, tables)
    result = read(root, tables, allow_unlisted=True)
    assert [file.filename for file in result.files] == ["a.png", "b.png"]
    assert passed(result) == {UNLISTED: (2, "c.png")}


def test_rows_that_name_no_image_are_counted_with_the_first(tmp_path):
    root = make(tmp_path / "s", "x/1.png", "y/1.png")
    result = read(root, table(tmp_path, "filename,patient\nx/1.png,1\ny/1.png,2\nx/8.png,3\nx/9.png,4\n"))
    [line] = result.warnings
    assert line.endswith("table.csv: 2 rows name no image (the first: x/8.png)")


def test_a_table_that_names_no_image_says_what_a_name_looks_like(tmp_path):
    root = make(tmp_path / "s", "x/1.png", "y/1.png")
    with pytest.raises(UserError, match=r"no row names an image of source s; .* for instance x/1.png"):
        read(root, table(tmp_path, "filename,patient\n/elsewhere/x/1.png,1\n"))


def test_a_table_for_one_source_says_nothing_of_another(tmp_path):
    make(tmp_path / "s", "a.png", "b.png")
    make(tmp_path / "other", "x/a.png", "y/b.png")
    tables = table(tmp_path, "filename,label,patient\na.png,x,1\nb.png,y,2\n", source="s")
    result = scan([Source("s", tmp_path / "s"), Source("other", tmp_path / "other")], ClassNames(), tables)
    assert [(file.source, file.label, file.patient) for file in result.files] == [
        ("s", "x", "1"), ("s", "y", "2"), ("other", "x", ""), ("other", "y", ""),
    ]  # fmt: skip


def test_a_row_may_name_its_source(tmp_path):
    for name in ("s", "other"):
        make(tmp_path / name, "x/a.png", "y/b.png")
    rows = "source,filename,patient\n" + "".join(
        f"{name},{path},{name}\n" for name in ("s", "other") for path in ("x/a.png", "y/b.png")
    )
    result = scan([Source(n, tmp_path / n) for n in ("s", "other")], ClassNames(), table(tmp_path, rows))
    assert [file.patient for file in result.files] == ["s", "s", "other", "other"]


def test_a_table_names_masks_and_texts_it_wants_read(tmp_path):
    root = make(tmp_path / "s", "a.png", "a_mask.png", "b_mask.png", "masks/a.png", "notes.txt")
    result = read(root, table(tmp_path, "filename,label\na.png,x\na_mask.png,y\nb_mask.png,y\n"))
    assert [file.filename for file in result.files] == ["a.png", "a_mask.png", "b_mask.png"]


def test_accents_composed_or_not_are_one_name(tmp_path):
    make(tmp_path / "s", "tumo\u0308r/1.png", "x/1.png")
    result = read(tmp_path / "s", table(tmp_path, "filename,patient\ntum\u00f6r/1.png,1\nx/1.png,2\n"))
    assert [file.patient for file in result.files] == ["1", "2"]


def test_one_hot_tables_beside_the_images_are_read(tmp_path):
    root = make(tmp_path / "s", "train/{1-2}.jpg", "valid/3.jpg", "test/4.jpg", "README.roboflow.txt")
    for split, rows in (("train", "1.jpg,1,0\n2.jpg, 0, 1\n"), ("valid", "3.jpg,1,0\n"), ("test", "4.jpg,0,1\n")):
        (root / split / "_classes.csv").write_text("filename, cat, dog\n" + rows)
    assert [(file.filename, file.split, file.label) for file in read(root, []).files] == [
        ("test/4.jpg", "test", "dog"), ("train/1.jpg", "train", "cat"), ("train/2.jpg", "train", "dog"),
        ("valid/3.jpg", "val", "cat"),
    ]  # fmt: skip


def test_rows_of_a_one_hot_table_with_no_class_or_two_are_no_labels(tmp_path):
    root = make(tmp_path / "s", "train/{1-4}.jpg")
    (root / "train" / "_classes.csv").write_text("filename,cat,dog\n1.jpg,1,0\n2.jpg,1,1\n3.jpg,0,0\n4.jpg,0,1\n")
    with pytest.raises(UserError, match=r"_classes.csv: leaves out 2 of 4 images"):
        read(root, [])
    assert len(read(root, [], allow_unlisted=True).files) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,patient\na,1\n", "needs the column filename and any of label, patient, split; it has name, patient"),
        ("filename,score\na,1\n", "needs the column filename"),
        ("", "it has none"),
        ("filename,patient\n", "has no rows"),
        ("filename,split\na,holdout\n", "line 2: split 'holdout' is none of train, val, test"),
        ("filename,patient\na,1\na,2\n", "line 3: a has another entry already"),
        ("filename,patient,group\na,1,2\n", "two columns for patient"),
        ('filename,patient\n"a,1\n', "is no CSV or TSV in UTF-8"),
        ("filename,patient\na\0,1\n", "is no CSV or TSV in UTF-8"),
        ("filename,patient\na,Smith, John\n", "line 2: has 3 values for 2 columns; put a value that holds ',' in"),
        ("filename;patient\na;1\n\nb;2;3;\n", "line 4: has 4 values for 2 columns; put a value that holds ';' in"),
    ],
)
def test_a_wrong_table_is_named(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        table(tmp_path, text)


def test_an_error_about_a_table_holds_no_id(tmp_path):
    with pytest.raises(UserError) as caught:
        table(tmp_path, "filename,patient\na,PLANTED-1\na,PLANTED-2\n")
    assert "PLANTED" not in str(caught.value)


@pytest.mark.parametrize("make_path", [lambda p: p, lambda p: p / "absent.csv"])
def test_a_table_that_is_not_there_or_a_folder_is_named(tmp_path, make_path):
    with pytest.raises(UserError, match="--table"):
        read_tables([str(make_path(tmp_path))], [])


def test_a_table_for_a_source_that_is_not_there_names_those_that_are(tmp_path):
    (tmp_path / "t.csv").write_text("filename,patient\na,1\n")
    sources = [Source("mri", tmp_path), Source("ct", tmp_path)]
    with pytest.raises(UserError, match=r"no source is named rmi; the sources are mri, ct"):
        read_tables([f"rmi={tmp_path / 't.csv'}"], sources)


def test_a_file_name_with_an_equals_sign_is_a_file_name(tmp_path):
    (tmp_path / "x=1.csv").write_text("filename,patient\na,1\n")
    assert read_tables([str(tmp_path / "x=1.csv")], [Source("s", tmp_path)])[0].source is None
