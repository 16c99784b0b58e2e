"""Content that a person does not see: metadata, notebook results, coded runs, unseen characters. Section 1.3."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spe.disclosure import codepoints
from spe.disclosure.content import Hit, Image, Layer, Notebook
from spe.disclosure.layers import long_runs
from spe.disclosure.parameters import Nothing, Stricter, parameter
from spe.disclosure.registry import check
from spe.domain.verdict import Place, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """How many bytes beside the picture are tolerated."""

    dropped_bytes: int = parameter(1024, stricter=Stricter.LOWER, says="bytes of metadata", at_least=0)
    trailing_bytes: int = parameter(0, stricter=Stricter.LOWER, says="bytes after the end", at_least=0)


@check(
    "HID-05",
    applies_to=Image,
    parameters=Metadata,
    sentence="A picture holds at most {dropped_bytes} bytes beside its pixels and {trailing_bytes} after its end.",
    remedy="Save the picture again without metadata (in Matplotlib: metadata={{}}), as PNG.",
)
def picture_metadata(image: Image, p: Metadata) -> Iterator[Hit]:
    """EXIF, XMP, text and private parts, and bytes after the end, carry what no checker sees."""
    if image.trailing > p.trailing_bytes:
        yield Hit(text="bytes stand after the end of the picture")
    if image.dropped > p.dropped_bytes:
        yield Hit(text=f"more than {p.dropped_bytes} bytes of metadata stand beside the pixels")
    elif image.dropped:
        yield Hit(text="a little metadata stands beside the pixels", severity=Severity.NOTE)


@check(
    "HID-09",
    applies_to=Notebook,
    parameters=Nothing,
    sentence="A notebook leaves without outputs, attachments, widget state and extra metadata.",
    remedy="Clear all outputs (`jupyter nbconvert --clear-output --clear-output-metadata`) and save it again.",
)
def notebook_results(notebook: Notebook, _: Nothing) -> Iterator[Hit]:
    """Outputs of a notebook are results of their own; each has to be taken out as a file that can be checked."""
    parts = (
        (notebook.outputs, "the cell holds outputs"),
        (notebook.attachments, "the cell holds attachments"),
        (notebook.cell_metadata, "the cell holds metadata beyond the usual words"),
    )
    for cells, text in parts:
        for cell in cells:
            yield Hit(text=text, place=Place(cell=cell))
    if notebook.metadata:
        yield Hit(text="the notebook holds metadata beyond kernel and language, or parts that are not cells")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """How long a coded run may be."""

    length: int = parameter(200, stricter=Stricter.LOWER, says="characters in one coded run", at_least=40)


@check(
    "HID-10",
    applies_to=Layer,
    parameters=Runs,
    sentence="No base64, base85, hexadecimal or uuencoded run of {length} characters or more.",
    remedy="Remove the coded part; take the content out as a file of its own that can be checked.",
)
def coded_run(layer: Layer, p: Runs) -> Iterator[Hit]:
    """A long coded run is a file inside the text; shorter ones are decoded and scanned like text."""
    for position in dict.fromkeys(long_runs(layer.outline, p.length)):
        yield Hit(text=f"a coded run of {p.length} characters or more{layer.suffix}", place=layer.place(position))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """How heavy words of mixed scripts weigh."""

    look_alikes: Severity = parameter(
        Severity.REFER, stricter=Stricter.WORSE, says="how words with letters of two scripts weigh"
    )


@check(
    "HID-12",
    applies_to=Layer,
    parameters=Unseen,
    sentence="No zero-width characters, variation selectors, tags, non-characters; look-alike letters: {look_alikes}.",
    remedy="Remove the unseen characters; the preview shows each by its code point.",
)
def unseen_characters(layer: Layer, p: Unseen) -> Iterator[Hit]:
    """Characters that show nothing can carry any message through a reviewed text."""
    for place, count in _by_line(layer, codepoints.invisible(layer.text)):
        yield Hit(text=f"{_times(count, 'character')} that cannot be seen{layer.suffix}", place=place)
    for place, count in _by_line(layer, codepoints.disguised(layer.text)):
        text = f"{_times(count, 'word')} with look-alike letters of another script{layer.suffix}"
        yield Hit(text=text, place=place, severity=p.look_alikes)


def _by_line(layer: Layer, positions: Iterable[int]) -> Iterable[tuple[Place, int]]:
    return Counter(map(layer.place, positions)).items()


def _times(count: int, what: str) -> str:
    return f"a {what}" if count == 1 else f"{count} {what}s"
