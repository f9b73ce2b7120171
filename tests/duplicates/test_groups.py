"""Groups are what pairs and patients connect."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastmri_cls.duplicates.groups import connected_groups, label_conflicts
from fastmri_cls.duplicates.pairs import Pair


def near(a: int, b: int) -> Pair:
    return Pair(a, b, "near", "id", 0.99)


@given(st.integers(1, 12), st.data())
def test_a_group_is_everything_that_can_be_reached(n, data):
    edges = data.draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=15))
    reach = np.eye(n, dtype=bool)
    for a, b in edges:
        reach[a, b] = reach[b, a] = True
    for _ in range(n):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    expected = [int(np.flatnonzero(row)[0]) for row in reach]
    assert connected_groups(n, [near(a, b) for a, b in edges]).tolist() == expected


def test_a_chain_is_one_group_named_after_its_first_image():
    assert connected_groups(5, [near(1, 3), near(3, 4)]).tolist() == [0, 1, 2, 1, 1]


def test_images_of_a_patient_belong_together_and_no_patient_is_nobody():
    patients = np.array(["", "p1", "", "p1", "p2"])
    assert connected_groups(5, [near(3, 4)], patients).tolist() == [0, 1, 2, 1, 1]


def test_a_group_with_two_classes_is_a_conflict():
    labels = np.array(["glioma", "glioma", "pituitary", "notumor"])
    assert label_conflicts(np.array([0, 0, 2, 2]), labels).tolist() == [2]
    assert label_conflicts(np.array([0, 0, 2, 3]), labels).tolist() == []
