"""Reading HTML pages the package wrote: their tables, and whether they need anything from elsewhere."""

from html.parser import HTMLParser
from pathlib import Path


class Page(HTMLParser):
    """A page's tables as lists of rows of cell texts, by their captions, and all addresses it refers to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.ids: set[str | None] = set()
        self.tables: dict[str, list[list[str]]] = {}
        self._heading, self._inside = "", ""
        self.feed(path.read_text(encoding="utf-8"))

    @property
    def needs(self) -> list[str]:
        """Addresses outside the page itself."""
        return [address for address in self.addresses if not address.startswith(("data:", "#"))]

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "poster")]
        self.ids |= {value for name, value in attrs if name == "id"}
        if tag == "caption":
            self._heading = ""
        if tag == "tr":
            self.tables.setdefault(self._heading, []).append([])
        if tag in ("td", "th"):
            self.tables[self._heading][-1].append("")
        if tag in ("caption", "td", "th"):
            self._inside = tag

    def handle_endtag(self, tag):
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data):
        if self._inside == "caption":
            self._heading += data
        elif self._inside:
            cell = self.tables[self._heading][-1]
            cell[-1] += (" " if cell[-1] and data.startswith("[") else "") + data
