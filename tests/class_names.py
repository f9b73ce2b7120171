"""Names that the class folders of a dataset may have, as hypothesis strategies."""

from hypothesis import strategies as st

_COLUMNS = (
    "source", "filename", "label", "prediction", "split", "group", "clean", "path", "error", "overlay", "ood_score",
    "novelty",
)  # fmt: skip

# A folder's name is any text without "/" and NUL; one that is not UTF-8 is refused when a dataset is built.
FOLDER_NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
NASTY_NAMES = st.sampled_from(
    [
        *_COLUMNS, *map(str.capitalize, _COLUMNS), "A", "a", " a", "a ",
        "-1", "1", "+1", "=1+1", "胶质瘤", "سليم", "probability of label", "probability of probability of label", "\n",
        '"', ",", "\r", "e\u0301", "é", "nan", "ΑΣ", "ας", "'", "#", "\ufeff",
    ]
)  # fmt: skip
CLASSES = st.lists(FOLDER_NAMES | NASTY_NAMES, min_size=2, max_size=6, unique=True).map(tuple)
