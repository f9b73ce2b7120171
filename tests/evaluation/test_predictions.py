"""What read_predictions refuses; that predictions.csv keeps every bit is tested beside the metrics made of it."""

import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs.predictions import read_predictions


def test_a_csv_of_other_columns_is_refused(tmp_path):
    (tmp_path / "p.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"p\.csv: has the columns a, b"):
        read_predictions(tmp_path / "p.csv")


def test_a_csv_without_rows_is_refused(tmp_path):
    (tmp_path / "p.csv").write_text("split,source,filename,group,clean,label,prediction,p_a,p_b\n")
    with pytest.raises(UserError, match=r"p\.csv: has"):
        read_predictions(tmp_path / "p.csv")
