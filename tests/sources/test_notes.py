"""Notes are counted by kind and said in one line each."""

from fastmri_cls.sources.notes import _TITLES, Note, NoteCounts, NoteKind


def test_each_kind_has_one_line_with_its_number_and_first_file() -> None:
    counts = NoteCounts()
    counts.add("s/a.tif", (Note(NoteKind.PAGES_LEFT_OUT, 5), Note(NoteKind.LOW_CONTRAST)))
    counts.add("s/b.tif", (Note(NoteKind.PAGES_LEFT_OUT, 2),))
    counts.add("s/c.tif", ())
    pages, flat = counts.lines()
    assert "2 files" in pages
    assert "s/a.tif" in pages
    assert "7 left out" in pages
    assert flat.endswith("1 file (the first: s/a.tif)")
    assert counts.as_json()["pages_left_out"] == {"files": 2, "amount": 7, "first": "s/a.tif"}


def test_every_kind_has_a_title() -> None:
    assert set(_TITLES) == set(NoteKind)
