"""How many channels a dataset stores, and its images in as many: three keep every colour, one is luma."""

from dataclasses import replace

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log
from fastmri_cls.records.catalogue import Catalogue, Spool
from fastmri_cls.records.ingest import StorageForm, ingest
from fastmri_cls.records.workers import Workers
from fastmri_cls.sources.notes import NoteKind

# Above this fraction of images with a small coloured part colour is no mark that somebody drew but part of the set: in
# the public MRI sets it is 32 of 10 283.
_COLOURED_FRACTION = 0.1


def settle_channels(
    catalogue: Catalogue, spool: Spool, form: StorageForm, workers: Workers, slices: str | int = "content"
) -> int:
    """Return 1 or 3; `form.channels` of 0 means 1 where all images are grey or bear a mark at most, else 3.

    Where the answer is 3, images whose small coloured parts had been merged are read again with their colours.

    Raises:
        UserError: a file changed meanwhile, or a worker process died.
    """
    if form.channels:
        return form.channels
    marked = catalogue.notes.files(NoteKind.COLOUR_DROPPED)
    if max(catalogue.channels, default=1) == 1 and marked <= _COLOURED_FRACTION * len(catalogue):
        return 1
    if max(catalogue.channels, default=1) == 1:
        log.warning(f"note: {marked} of {len(catalogue)} images have coloured parts: stored in 3 channels")
    merged = {catalogue.files[index]: index for index, was_merged in enumerate(catalogue.colour_merged) if was_merged}
    files = list(dict.fromkeys(file.whole() for file in merged))
    for file, image in ingest(files, replace(form, channels=3), workers, slices, title="reading colours"):
        if isinstance(image, str):
            raise UserError(f"{file.path}: changed while the dataset was built ({image}); build it again")
        if file in merged:
            catalogue.replace(merged[file], image)
            spool.replace(merged[file], image.encoded)
    catalogue.notes.remove(NoteKind.COLOUR_DROPPED)
    return 3
