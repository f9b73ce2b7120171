"""Which options make two runs different systems, how the systems are called, and the table of what differs."""

from dataclasses import asdict, replace

import pytest

from fastmri_cls.comparison.settings import identity, names, settings_of, settings_table
from fastmri_cls.foundation.json_files import flatten
from fastmri_cls.runs.protocol import PROTOCOLS, Protocol

CONFIG = {
    "data": "/home/somebody/data/mri",
    "model": "small-cnn",
    "out": "runs/a",
    "protocol": asdict(Protocol("strict")),
    "weights": "default",
    "feature_views": 0,
    "cache": "ram",
    "precision": "float32",
    "xla": "off",
    "fold": None,
    "seed": 0,
    "deterministic": False,
    "devices": ["/device:CPU:0"],
    "classes": ["a", "b"],
    "image_size": 64,
    "channels": 1,
    "dataset": {"fingerprint": "f" * 64, "split": "grouped", "splits": {"train": 10}, "per_class": {}},
    "loaded_weights": None,
    "environment": {"commit": "abc", "packages": {"tensorflow": "2.21.0"}, "cores": 2},
}


def changed(**changes):
    """The settings of a run that differs from CONFIG; a dotted path is written with two underscores."""
    config = {**CONFIG, "protocol": dict(CONFIG["protocol"]), "dataset": dict(CONFIG["dataset"])}
    for path, value in changes.items():
        *parents, name = path.split("__")
        place = config
        for parent in parents:
            place[parent] = dict(place[parent])
            place = place[parent]
        place[name] = value
    return settings_of(config)


@pytest.mark.parametrize("path", [path for path, _ in flatten(asdict(Protocol("strict"))) if path != "name"])
def test_every_option_of_a_protocol_makes_another_system_with_its_own_name(path):
    first, second = changed(), changed(**{f"protocol__{path.replace('.', '__')}": "another"})
    assert identity(first) != identity(second)
    one, other = names([first, second])
    assert one != other
    assert "another" in other
    table = settings_table([one, other], [[first], [second]])
    assert len(table.columns) == 2
    assert table.rows[1] == (other, "another")


@pytest.mark.parametrize("change", [{"feature_views": 4}, {"precision": "mixed_bfloat16"}, {"image_size": 128},
                                    {"an_option_of_a_later_version": 1}])  # fmt: skip
def test_options_besides_the_protocol_count_too(change):
    first, second = changed(**dict.fromkeys(change, 0) | {}), changed(**change)
    assert identity(first) != identity(second)
    (value,) = change.values()
    assert str(value) in names([first, second])[1]


def test_runs_of_another_seed_fold_or_folder_are_repeats():
    assert identity(changed()) == identity(changed(seed=1, fold=2, out="runs/b", resume=True))


def test_runs_on_another_machine_are_repeats_and_the_table_says_so():
    here = changed()
    there = changed(environment__packages__tensorflow="2.22.0", devices=["/device:GPU:0"], cache="none")
    assert identity(here) == identity(there)
    table = settings_table(["small-cnn"], [[here, there]])
    assert dict(table.rows) == {"cache": "ram / none", "devices": "CPU:0 / GPU:0", "tensorflow": "2.21.0 / 2.22.0"}


def test_a_name_gives_up_to_three_differences_and_a_letter_for_more():
    first = changed()
    three = {"protocol__optimizer": "adamw", "protocol__batch_size": 1, "protocol__phase2__max_epochs": 3}
    assert names([first, changed(**three)]) == [
        "small-cnn, batch size 32, phase 2 max epochs 10, adam",
        "small-cnn, batch size 1, phase 2 max epochs 3, adamw",
    ]
    fourth = changed(**three, precision="mixed_bfloat16")
    other = changed(model="convnext-tiny")
    assert names([first, other, fourth]) == ["small-cnn A", "convnext-tiny", "small-cnn B"]


def test_letters_do_not_run_out():
    systems = [
        changed(**{f"protocol__{name}": f"{name}{i}" for name in ("optimizer", "batch_size", "augment", "ema")})
        for i in range(60)
    ]
    found = names(systems)
    assert (found[25], found[26], found[53]) == ("small-cnn Z", "small-cnn AA", "small-cnn BB")
    assert len(set(found)) == 60


def test_names_are_unique_even_if_the_first_differences_are_not():
    base = {"protocol__batch_size": 8, "protocol__optimizer": "sgd", "protocol__ema": True}
    systems = [changed(**base), changed(**base, feature_views=2), changed()]
    systems[2] = changed(protocol__label_smoothing=0.2)
    assert len(set(names(systems))) == 3


def test_what_a_protocol_implies_is_not_repeated_in_the_name():
    systems = [changed(protocol=asdict(PROTOCOLS[name])) for name in ("strict", "notebook")]
    assert names(systems) == ["small-cnn, strict", "small-cnn, notebook"]
    own = replace(PROTOCOLS["notebook"], contrast=1.2)
    assert names([systems[0], changed(protocol=asdict(own))]) == [
        "small-cnn, strict, contrast 1",
        "small-cnn, notebook, contrast 1.2",
    ]


def test_models_are_named_by_themselves():
    assert names([changed(), changed(model="convnext-tiny")]) == ["small-cnn", "convnext-tiny"]


def test_datasets_and_weights_are_compared_by_content_and_named_by_folder_and_file():
    loaded = {"spec": "x", "path": "x", "tensors": 1}
    old = {"weights": "old/mine.h5", "loaded_weights": {**loaded, "sha256": "a" * 64}}
    moved = {"weights": "elsewhere/mine.h5", "loaded_weights": {**loaded, "sha256": "a" * 64}}
    new = {"weights": "new/mine.h5", "loaded_weights": {**loaded, "sha256": "b" * 64}}
    assert identity(changed(**old)) == identity(changed(**moved))
    assert names([changed(**old), changed(**new), changed()]) == [
        "small-cnn, weights mine.h5 aaaaaaaa",
        "small-cnn, weights mine.h5 bbbbbbbb",
        "small-cnn, no weights",
    ]
    assert identity(changed()) == identity(changed(data="moved/mri"))
    assert names([changed(), changed(data="other", dataset__fingerprint="e" * 64)]) == [
        "small-cnn, dataset mri",
        "small-cnn, dataset other",
    ]


def test_the_table_leaves_out_what_is_equal():
    table = settings_table(["a", "b"], [[changed()], [changed(model="convnext-tiny")]])
    assert table.rows == []


def test_the_table_has_its_fewer_things_as_columns():
    many = {"precision": "mixed_bfloat16", "feature_views": 4, "protocol__optimizer": "sgd"}
    wide = settings_table(["a", "b"], [[changed()], [changed(**many)]])
    assert wide.columns == ("setting", "a", "b")
    assert ("optimizer", "adam", "sgd") in wide.rows
    tall = settings_table(["a", "b"], [[changed()], [changed(precision="mixed_bfloat16")]])
    assert tall.columns == ("model", "precision")
    assert tall.rows == [("a", "float32"), ("b", "mixed_bfloat16")]
