"""Readers of what lies around images as targets: tables of labels and patients, ZIP archives. See targets.py."""

import io
import zipfile

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.sources.archives import Archive
from fastmri_cls.sources.folders import Source
from fastmri_cls.sources.pixels import RejectedImage
from fastmri_cls.sources.tables import check_used, read_one_hot, read_tables
from tests.fuzz.checking import Target, fuzz_folder, one_line, within_memory

# --- table: CSV or TSV with filename and label, patient or split ------------------------------------------------------


def table_seeds() -> list[bytes]:
    """Return tables with each delimiter, quotes, a byte order mark, one-hot columns, and some that are refused."""
    return [
        b"filename,label,patient,split\na/1.png,x,p1,train\na/2.png,y,p2,test\n",
        b"\xef\xbb\xbffilename\tlabel\n1.png\tx\n", b"filename;class;group\r\n\"a;1.png\";x;7\r\n",
        b"source,filename,patient\ns,./a\\1.png,p\n", b"filename, cat, dog\n1.jpg, 1, 0\n2.jpg, 0, 1\n",
        b"filename,label\n", b"name,set\n1,2\n", b"filename,label\na,x\na,y\n", b"filename,label\n\"a", b"",
    ]  # fmt: skip


def check_table(data: bytes) -> None:
    """The table is refused clearly, or has rows that are found by their names; one-hot columns likewise."""
    path = fuzz_folder() / "table.csv"
    path.write_bytes(data)
    with within_memory():
        try:
            [table] = read_tables([str(path)], [Source("s", path.parent)])
            assert table.rows
            for source, filename in table.rows:
                assert table.find(source, filename) is not None
            check_used([table])
        except UserError as error:
            one_line(error)
        try:
            assert all(isinstance(label, str) for label in read_one_hot("table.csv", data).values())
        except UserError as error:
            one_line(error)


# --- archive: a ZIP as source -----------------------------------------------------------------------------------------


def archive_seeds() -> list[bytes]:
    """Return archives, stored and compressed, of folders as several systems write them, and some that are refused."""
    names = ("set/cat/1.png", "set\\dog\\2.png", "./set/dog/3.png", "__MACOSX/._1.png")
    whole = [_zipped(names, method) for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
    return [*whole, _zipped(("../a",)), _zipped(("/a",)), _zipped(("a", "./a")), _zipped(()), whole[1][:-9], b"PK", b""]


def _zipped(names: tuple[str, ...], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name in names:
            archive.writestr(name, name.encode() * 9)
    return buffer.getvalue()


def check_archive(data: bytes) -> None:
    """The archive is refused clearly, or each of its files lies inside it and is read or refused."""
    path = fuzz_folder() / "set.zip"
    path.write_bytes(data)
    with within_memory():
        try:
            archive = Archive(path)
        except UserError as error:
            one_line(error)
            return
        found = list(archive.tree().below())
        assert sorted(found) == sorted(archive.members)
        for name in found:
            assert ".." not in name.split("/")
            assert not name.startswith("/")
            try:
                assert len(archive.read(name)) == archive.members[name].file_size
            except RejectedImage as error:
                one_line(error)


SOURCE_TARGETS = {
    "table": Target(table_seeds, check_table),
    "archive": Target(archive_seeds, check_archive),
}
