"""Templates: escaping by kind, no silent gaps, and no folder of somebody's machine in a card."""

import jinja2
import pytest

from fastmri_cls.foundation.templates import base_name, render, without_folders


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("fastmri-cls build-tfrecords a=/home/me/a --out /data/x", "fastmri-cls build-tfrecords a=a --out x"),
        ("fastmri-cls build-tfrecords '/home/my own/b c' --seed 3", "fastmri-cls build-tfrecords 'b c' --seed 3"),
        ("fastmri-cls train --classes=/home/me/c.txt data/a", "fastmri-cls train --classes=c.txt data/a"),
        ("fastmri-cls train --set x=0.5", "fastmri-cls train --set x=0.5"),
    ],
)
def test_absolute_folders_are_cut_from_a_command(command, shown):
    assert without_folders(command) == shown


def test_the_name_of_a_folder_is_its_last_part():
    assert [base_name(path) for path in ("/home/me/mri", "data/mri/", "mri", "/")] == ["mri", "mri", "mri", "/"]


def test_a_missing_value_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render("report/templates/base.html", title="x")


def test_a_page_escapes_names_and_a_card_does_not():
    values = {"sections": [("a", "<b>")], "made": {"date": "", "version": ""}}
    assert "&lt;b&gt;" in render("report/templates/base.html", title="x", **values)
