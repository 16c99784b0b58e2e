"""What kinds of files may leave, and whether they are what they say. Disclosure notes, section 1.2."""

from collections.abc import Iterator
from dataclasses import dataclass

from spe.disclosure.content import Hit, Opened, Sheet, Unreadable
from spe.disclosure.parameters import Nothing, Stricter, parameter
from spe.disclosure.readers import TYPES, is_genomic, type_by_name
from spe.disclosure.registry import check
from spe.domain.verdict import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """The kinds of files that may leave."""

    allow: frozenset[str] = parameter(
        frozenset(TYPES), stricter=Stricter.FEWER, says="kinds of files that may leave", words=frozenset(TYPES)
    )


@check(
    "TYP-01",
    applies_to=Opened,
    parameters=Allowed,
    sentence="Only these kinds of files may leave, told by content, with a name that agrees: {allow}.",
    remedy="Save it as one of the accepted kinds (a table as CSV, a figure as PNG) with the matching extension.",
)
def accepted_type(output: Opened, p: Allowed) -> Iterator[Hit]:
    """The content decides what a file is; it must be on the list, be read without fault, and be named so."""
    if isinstance(output.content, Unreadable):
        if output.content.rule == "TYP-01":
            yield Hit(text=output.content.reason, place=output.content.place, severity=Severity.BLOCK)
        return
    if output.type not in p.allow:
        yield Hit(text=f"files of kind {output.type} may not leave under this policy")
    promised = type_by_name(output.path)
    if promised is None:
        yield Hit(text="the name has no extension of an accepted kind")
    elif promised != output.type:
        yield Hit(text=f"the name says {promised}, but the content is {output.type}")


@check(
    "TYP-03",
    applies_to=Opened,
    parameters=Nothing,
    sentence="No container of genomic or array data, whatever it is called.",
    remedy="Take out a summary table instead; individual-level genomic files never leave.",
)
def genomic_container(output: Opened, _: Nothing) -> Iterator[Hit]:
    """Alignments, variants, genotypes, indexes and arrays, by magic or by grammar (section 1.10's table)."""
    if output.signature is not None and is_genomic(output.signature):
        yield Hit(text=f"the content is {output.signature.name}")


@check(
    "TYP-06",
    applies_to=Opened,
    parameters=Nothing,
    severity=Severity.REFER,
    sentence="Tables and JSON are well-formed: one header, one delimiter, rows of equal length, nothing around them.",
    remedy="Write the table again with one header row and nothing before or after it.",
)
def well_formed(output: Opened, _: Nothing) -> Iterator[Hit]:
    """Loose form hides content from readers that read differently; what cannot be parsed at all is a block."""
    if isinstance(output.content, Unreadable) and output.content.rule == "TYP-06":
        yield Hit(text=output.content.reason, place=output.content.place, severity=Severity.BLOCK)
    if isinstance(output.content, Sheet):
        yield from output.content.table.defects


@check(
    "TYP-07",
    applies_to=Opened,
    parameters=Nothing,
    sentence="Text is valid UTF-8 and holds no control characters beyond tab and line ends.",
    remedy="Save the file as UTF-8 text.",
)
def clean_text(output: Opened, _: Nothing) -> Iterator[Hit]:
    """Bytes that are no characters, zero bytes and control characters are not results."""
    if isinstance(output.content, Unreadable) and output.content.rule == "TYP-07":
        yield Hit(text=output.content.reason, place=output.content.place, severity=Severity.BLOCK)
