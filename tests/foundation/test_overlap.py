"""The host reads a result while the device computes the next one."""

from fastmri_cls.foundation.overlap import one_ahead


def test_every_item_comes_once_and_in_order():
    for count in range(5):
        assert list(one_ahead(range(count))) == list(range(count))


def test_an_item_comes_when_the_next_one_has_been_started():
    started = []

    def start():
        for number in range(4):
            started.append(number)
            yield number

    assert [(item, len(started)) for item in one_ahead(start())] == [(0, 2), (1, 3), (2, 4), (3, 4)]
