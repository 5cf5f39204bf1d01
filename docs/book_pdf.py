"""Print the built book into one PDF: ``python docs/book_pdf.py SITE OUT``.

Chromium prints each page of the site by the rules of ``@media print`` in ``book.css``; pypdf joins them. What a browser
cannot do is done here: contents with page numbers, numbers that run through, bookmarks, and links from chapter to
chapter that stay within the file. A link to a page that is not printed, of the reference of modules, is none.
"""

import base64
import html
import io
import re
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from chapters import PARTS
from PIL import Image
from pypdf import PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    FloatObject,
    IndirectObject,
    NameObject,
    NullObject,
    StreamObject,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "docs"))
from browser import Browser  # the one that the book's tests drive

TASKS = ("colors", "two_styles", "portrait", "print", "folder", "film", "port", "no_network", "old_gpu")
IN_USE = (
    "painting/controls",
    *(f"tasks/{n}" for n in TASKS),
)
REFERENCE = (
    *(f"reference/{name}" for name in ("notation", "mutants", "architecture", "weights", "slim", "speed")),
    "_generated/command_line",
    "reference/bibliography",
)
PAPER = {"paperWidth": 8.27, "paperHeight": 11.69}  # A4, inches
OPEN = """(async () => {
    document.documentElement.dataset.theme = 'light';
    for (const image of document.images) image.loading = 'eager';
    for (const e of document.querySelectorAll('details:not(.script)')) e.open = true;
    dispatchEvent(new Event('beforeprint'));
    await Promise.all([...document.images].map(image => image.decode().catch(() => 0)));
})()"""
# Chromium gives a place a name in the PDF only if something on the page links to it.
LINK_TO = """(ids => {
    const box = document.createElement('div');
    box.style.cssText = 'position:absolute;top:0;left:0;font-size:2px;color:transparent;width:40px';
    for (const id of ids) {
        const link = document.createElement('a');
        link.href = '#' + id;
        link.textContent = '.';
        link.style.color = 'transparent';
        box.append(link);
    }
    document.body.prepend(box);
})"""
SECTIONS = """[...document.querySelectorAll('section > h2')].map(
    h => [h.parentElement.id, h.textContent.replace('#', '').trim()])"""
TITLE = "[...document.querySelectorAll('article h1')].pop().textContent.replace(/#$/, '').trim()"  # the one in the text


class Printed(NamedTuple):
    """A page of the site on paper: its title, its sections (id, title), and the PDF."""

    address: str
    title: str
    sections: list[tuple[str, str]]
    reader: PdfReader


def book() -> dict[str, list[str]]:
    """Return the pages of the PDF by the part that they belong to."""
    parts = {part: [page for page, _ in pages] for part, pages in PARTS.items()}
    return parts | {"In use": list(IN_USE), "Reference": list(REFERENCE)}


def wanted_places(site: Path, pages: list[str]) -> dict[str, set[str]]:
    """Return by the address of a page the ids on it that some printed page links to."""
    found: dict[str, set[str]] = {address(site, page): set() for page in pages}
    for page in pages:
        text = (site / f"{page}.html").read_text(encoding="utf-8")
        for link in re.findall(r'href="([^"]*#[^"]+)"', text):
            target, _, place = urljoin(address(site, page), html.unescape(link)).partition("#")
            if target in found:
                found[target].add(unquote(place))
    return found


def address(site: Path, page: str) -> str:
    """Return the address of a page."""
    return (site / f"{page}.html").resolve().as_uri()


def print_page(browser: Browser, where: str, places: set[str]) -> Printed:
    """Print a page of the site; `places` are the ids that must be found again."""
    browser.open(where, 1000)
    browser.run(OPEN)
    title, sections = browser.run(TITLE), browser.run(SECTIONS)
    names = sorted(places | {place for place, _ in sections})
    browser.run(f"({LINK_TO})({names!r})")
    return Printed(where, title, sections, to_pdf(browser))


def to_pdf(browser: Browser, **options: object) -> PdfReader:
    """Print what is in view."""
    chosen = PAPER | {"preferCSSPageSize": True, "printBackground": True} | options
    return PdfReader(io.BytesIO(base64.b64decode(browser.call("Page.printToPDF", **chosen)["data"])))


def print_html(browser: Browser, text: str, site: Path, **options: object) -> PdfReader:
    """Print a page that is not of the site, as if it lay beside its first page."""
    file = site / "_printed.html"
    file.write_text(text, encoding="utf-8")
    browser.open(file.resolve().as_uri(), 1000)
    file.unlink()
    return to_pdf(browser, **options)


FRONT = """<!doctype html><meta charset="utf-8"><style>
@page {{ margin: 22mm 20mm }} body {{ font: 11pt/1.45 sans-serif; color: #222 }}
a {{ color: inherit; text-decoration: none }}
h1 {{ font-size: 34pt; margin: 30mm 0 8mm }} img {{ width: 100% }} .front {{ break-after: page }}
h2 {{ font-size: 12pt; margin: 5mm 0 1mm; break-after: avoid }}
.line {{ display: flex; gap: 2mm }}
.line span:nth-child(2) {{ flex: 1; border-bottom: 1px dotted #999; margin-bottom: 1.2mm }}
</style><div class="front"><h1>handstyle</h1><img src="_static/demo.jpg" alt=""><p>{sentence}</p></div>
<h1 style="font-size:20pt;margin:0">Contents</h1>{lines}"""
SENTENCE = "Neural style transfer by hand: gradients that are derived, shown, executed, checked and broken on purpose."


def contents(parts: dict[str, list[Printed]], starts: dict[str, int], shift: int) -> str:
    """Return the title page and the contents; `starts` are pages counted from 0 behind them, `shift` their number."""
    lines = []
    for part, pages in parts.items():
        lines.append(f"<h2>{html.escape(part)}</h2>")
        for page in pages:
            link = f'<a href="{page.address}">{html.escape(page.title)}</a>'
            lines.append(f'<div class="line">{link}<span></span><span>{starts[page.address] + shift + 1}</span></div>')
    return FRONT.format(sentence=SENTENCE, lines="".join(lines))


def places_of(reader: PdfReader) -> dict[str, tuple[int, float]]:
    """Return by name the page and the height of each place that a link may lead to."""
    found = {}
    for name, place in reader.named_destinations.items():
        number = reader.get_destination_page_number(place)
        if number is not None and number >= 0:
            found[unquote(name.lstrip("/"))] = (number, float(place.top or 0))
    return found


def join(readers: list[tuple[str, PdfReader]]) -> tuple[PdfWriter, dict[str, dict[str, tuple[int, float]]], list[str]]:
    """Join PDFs; return them, the places of each by its address, and whose each page is."""
    writer, places, owners = PdfWriter(), {}, []
    for where, reader in readers:
        first = len(owners)
        top = float(reader.pages[0].mediabox.height)
        places[where] = {n: (first + page, height) for n, (page, height) in places_of(reader).items()} | {
            "": (first, top)
        }
        for page in reader.pages:
            writer.add_page(page)
            owners.append(where)
    return writer, places, owners


def mend_links(writer: PdfWriter, places: dict[str, dict[str, tuple[int, float]]], owners: list[str]) -> None:
    """Let each link lead to its page of this file, or out of it, or be none."""
    for page, owner in zip(writer.pages, owners, strict=True):
        kept = ArrayObject()
        for reference in page.get("/Annots") or ():
            link = reference.get_object()
            action = link.get("/A")
            if "/Dest" in link:
                where, place = owner, unquote(str(link["/Dest"]).lstrip("/"))
            elif action is not None and "/URI" in action:
                where, _, place = str(action["/URI"]).partition("#")
                place = unquote(place)
            else:
                continue
            if urlsplit(where).scheme != "file":
                kept.append(reference)
            elif where in places:
                number, height = places[where].get(place, places[where][""])
                spot = [NullObject(), FloatObject(height), NullObject()]
                link.pop("/A", None)
                target = writer.pages[number].indirect_reference
                link[NameObject("/Dest")] = ArrayObject([target, NameObject("/XYZ"), *spot])
                kept.append(reference)
        if kept:
            page[NameObject("/Annots")] = kept
        elif "/Annots" in page:
            del page["/Annots"]


def bookmark(
    writer: PdfWriter, parts: dict[str, list[Printed]], places: dict[str, dict[str, tuple[int, float]]]
) -> None:
    """Give the file the outline of the book: parts, chapters, sections."""
    for part, pages in parts.items():
        above = writer.add_outline_item(title=part, page_number=places[pages[0].address][""][0], is_open=False)
        for page in pages:
            first = places[page.address][""][0]
            here = writer.add_outline_item(title=page.title, page_number=first, parent=above, is_open=False)
            for place, title in page.sections:
                number, _ = places[page.address].get(place, places[page.address][""])
                writer.add_outline_item(title=title, page_number=number, parent=here)


def stamp_numbers(browser: Browser, writer: PdfWriter, site: Path) -> None:
    """Print a number below each page but the first."""
    blank = "<!doctype html><style>@page { margin: 0 0 12mm } div { height: 100px; break-after: page }</style>"
    style = "font:9px sans-serif;width:100%;text-align:center;color:#444"
    footer = f'<div style="{style}"><span class="pageNumber"></span></div>'
    options = {"displayHeaderFooter": True, "headerTemplate": "<span></span>", "footerTemplate": footer}
    numbers = print_html(browser, blank + "<div>&nbsp;</div>" * len(writer.pages), site, **options)
    for n, page in enumerate(writer.pages):
        if n:
            page.merge_page(numbers.pages[n])
            page.compress_content_streams()  # merging has unpacked them


def shrink_pictures(writer: PdfWriter) -> None:
    """Store the pictures that Chromium stores without loss as JPEG, where that is smaller; their masks stay."""
    for page in writer.pages:
        for reference in images_of(page):
            image = reference.get_object()
            three = image.get("/ColorSpace") == "/DeviceRGB" or "/ICCBased" in image.get("/ColorSpace", ())
            if image.get("/Filter") != "/FlateDecode" or not three:
                continue
            size = image["/Width"], image["/Height"]
            raw = image.get_data()
            if len(raw) != 3 * size[0] * size[1]:  # gray, or another depth
                continue
            packed = io.BytesIO()
            Image.frombytes("RGB", size, raw).save(packed, "JPEG", quality=90, subsampling=0)
            if len(packed.getvalue()) < len(image._data):
                small = StreamObject()
                small.update({k: v for k, v in image.items() if k not in ("/Filter", "/DecodeParms", "/Length")})
                small[NameObject("/Filter")] = NameObject("/DCTDecode")
                small._data = packed.getvalue()
                writer._replace_object(reference.indirect_reference, small)


def images_of(holder: DictionaryObject) -> list[IndirectObject]:
    """Return the references to the images of a page, or of what is drawn on it."""
    found = []
    resources = holder.get("/Resources", {})
    for reference in DictionaryObject(resources.get_object()).get("/XObject", DictionaryObject()).get_object().values():
        drawn = reference.get_object()
        found += [reference] if drawn.get("/Subtype") == "/Image" else images_of(drawn)
    return found


def make(site: Path, parts: dict[str, list[str]], out: Path) -> int:
    """Print the pages of the site that `parts` names into one PDF; return how many pages it has."""
    pages = [page for part in parts.values() for page in part]
    missing = [page for page in pages if not (site / f"{page}.html").is_file()]
    if missing:
        raise SystemExit(f"{site} has no page {missing[0]}: build the book first, make book")
    wanted = wanted_places(site, pages)
    with Browser() as browser:
        printed = {page: print_page(browser, address(site, page), wanted[address(site, page)]) for page in pages}
        by_part = {part: [printed[page] for page in of] for part, of in parts.items()}
        starts, count = {}, 0
        for page in printed.values():
            starts[page.address], count = count, count + len(page.reader.pages)
        length = len(
            print_html(browser, contents(by_part, starts, 0), site).pages
        )  # the numbers shift by its own length
        front = print_html(browser, contents(by_part, starts, length), site)
        writer, places, owners = join([("", front), *((page.address, page.reader) for page in printed.values())])
        mend_links(writer, places, owners)
        bookmark(writer, by_part, places)
        stamp_numbers(browser, writer, site)
    writer.add_metadata({"/Title": "handstyle", "/Author": "The handstyle developers"})
    writer.compress_identical_objects()
    shrink_pictures(writer)
    writer.write(out)
    return len(owners)


if __name__ == "__main__":
    count = make(Path(sys.argv[1]), book(), Path(sys.argv[2]))
    print(f"{sys.argv[2]}: {count} pages")
