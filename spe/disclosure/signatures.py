"""Which format some bytes are, by their own first bytes and never by their name.

General detectors do not know genomic containers (disclosure notes, finding 6), so the table is ours and comes
first. A gzip or BGZF wrapper is opened just far enough to name what is inside. Formats of text without magic
are told by their grammar, in `grammars`.
"""

import zlib
from dataclasses import dataclass
from typing import Final

from spe.disclosure.content import Signature

READS: Final = "reads"
GENOTYPES: Final = "genotypes"
VARIANTS: Final = "variants"
SAMPLES: Final = "samples"
INDEX: Final = "index"
ARRAYS: Final = "arrays"
TRACKS: Final = "tracks"
REPOSITORY: Final = "repository"
ORDINARY: Final = "ordinary"
GENOMIC: Final = frozenset({READS, GENOTYPES, VARIANTS, SAMPLES, INDEX, ARRAYS, TRACKS})

INFLATED: Final = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Magic:
    name: str
    group: str
    magic: bytes
    at: int = 0


def _m(name: str, group: str, magic: bytes, at: int = 0) -> _Magic:
    return _Magic(name=name, group=group, magic=magic, at=at)


_MAGICS: Final = (
    _m("BAM", READS, b"BAM\x01"),
    _m("CRAM", READS, b"CRAM"),
    _m("SRA", READS, b"NCBI.sra"),
    _m("SFF", READS, b".sff"),
    _m("POD5", READS, b"\x8bPOD\r\n\x1a\n"),
    _m("FAST5 or SLOW5", READS, b"SLOW5\x01"),
    _m("BCF", VARIANTS, b"BCF\x02"),
    _m("BCF", VARIANTS, b"BCF\x04"),
    _m("VCF", VARIANTS, b"##fileformat=VCF"),
    _m("PLINK bed", GENOTYPES, b"l\x1b\x01"),
    _m("PLINK bed", GENOTYPES, b"l\x1b\x00"),
    _m("PLINK pgen", GENOTYPES, b"l\x1b"),
    _m("BGEN", GENOTYPES, b"bgen", 16),
    _m("GDS", GENOTYPES, b"COREARRAYx0A"),
    _m("Crypt4GH", ARRAYS, b"crypt4gh"),
    _m("tskit trees", GENOTYPES, b"\x89KAS\r\n\x1a\n"),
    _m("HDF5", ARRAYS, b"\x89HDF\r\n\x1a\n"),
    _m("Parquet", ARRAYS, b"PAR1"),
    _m("Parquet", ARRAYS, b"PARE"),
    _m("Arrow", ARRAYS, b"ARROW1"),
    _m("Feather", ARRAYS, b"FEA1"),
    _m("NumPy array", ARRAYS, b"\x93NUMPY"),
    _m("2bit", TRACKS, b"\x43\x27\x41\x1a"),
    _m("2bit", TRACKS, b"\x1a\x41\x27\x43"),
    _m("bigWig", TRACKS, b"\x26\xfc\x8f\x88"),
    _m("bigWig", TRACKS, b"\x88\x8f\xfc\x26"),
    _m("bigBed", TRACKS, b"\xeb\xf2\x89\x87"),
    _m("bigBed", TRACKS, b"\x87\x89\xf2\xeb"),
    _m("BAM index", INDEX, b"BAI\x01"),
    _m("tabix index", INDEX, b"TBI\x01"),
    _m("CSI index", INDEX, b"CSI\x01"),
    _m("git packfile", REPOSITORY, b"PACK\x00\x00\x00"),
    _m("git index", REPOSITORY, b"DIRC\x00\x00\x00"),
    _m("git bundle", REPOSITORY, b"# v2 git bundle"),
    _m("git bundle", REPOSITORY, b"# v3 git bundle"),
    _m("PNG", ORDINARY, b"\x89PNG\r\n\x1a\n"),
    _m("JPEG", ORDINARY, b"\xff\xd8\xff"),
    _m("GIF", ORDINARY, b"GIF8"),
    _m("TIFF", ORDINARY, b"II*\x00"),
    _m("TIFF", ORDINARY, b"MM\x00*"),
    _m("WebP", ORDINARY, b"WEBP", 8),
    _m("PDF", ORDINARY, b"%PDF"),
    _m("PostScript", ORDINARY, b"%!PS"),
    _m("RTF", ORDINARY, b"{\\rtf"),
    _m("zip archive or Office document", ORDINARY, b"PK\x03\x04"),
    _m("zip archive", ORDINARY, b"PK\x05\x06"),
    _m("zip archive", ORDINARY, b"PK\x07\x08"),
    _m("old Office document", ORDINARY, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    _m("tar archive", ORDINARY, b"ustar", 257),
    _m("7z archive", ORDINARY, b"7z\xbc\xaf\x27\x1c"),
    _m("xz archive", ORDINARY, b"\xfd7zXZ\x00"),
    _m("bzip2 archive", ORDINARY, b"BZh"),
    _m("zstd archive", ORDINARY, b"\x28\xb5\x2f\xfd"),
    _m("rar archive", ORDINARY, b"Rar!\x1a\x07"),
    _m("SQLite database", ORDINARY, b"SQLite format 3\x00"),
    _m("R data", ORDINARY, b"RDX"),
    _m("R data", ORDINARY, b"RDA"),
    _m("Stata data", ORDINARY, b"<stata_dta>"),
    _m("SPSS data", ORDINARY, b"$FL2"),
    _m("SPSS data", ORDINARY, b"$FL3"),
    _m("SAS data", ORDINARY, b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc2\xea\x81\x60"),
    _m("pickle", ORDINARY, b"\x80\x02"),
    _m("pickle", ORDINARY, b"\x80\x03"),
    _m("pickle", ORDINARY, b"\x80\x04"),
    _m("pickle", ORDINARY, b"\x80\x05"),
    _m("DICOM", ORDINARY, b"DICM", 128),
    _m("OpenPGP message", ORDINARY, b"-----BEGIN PGP MESSAGE"),
    _m("age-encrypted file", ORDINARY, b"age-encryption.org/"),
    _m("program", ORDINARY, b"\x7fELF"),
    _m("program", ORDINARY, b"MZ\x90"),
    _m("HTML", ORDINARY, b"<!DOCTYPE html"),
    _m("HTML", ORDINARY, b"<html"),
    _m("SVG", ORDINARY, b"<svg"),
    _m("XML", ORDINARY, b"<?xml"),
)

# A browser finds markup after blanks and in either case, so it is looked for in the same way.
_MARKUP: Final = (("HTML", b"<!doctype html"), ("HTML", b"<html"), ("SVG", b"<svg"), ("XML", b"<?xml"))


def signature(data: bytes) -> tuple[Signature | None, bytes]:
    """The format of `data` and, for compressed genomic files, the inflated beginning; else empty bytes."""
    found = _direct(data)
    if found is not None:
        return found, data[:INFLATED] if found.group == VARIANTS else b""
    if data[:2] == b"\x1f\x8b":
        inner = inflated(data)
        inside = _direct(inner)
        if inside is None:
            return Signature(name="gzip archive", group=ORDINARY), inner
        return Signature(name=f"{inside.name} (gzip)", group=inside.group), inner
    return _bgen(data), b""


def inflated(data: bytes) -> bytes:
    """The first 256 KiB inside a gzip or BGZF file, over block borders; what inflates before an error."""
    out, rest = b"", data
    while rest[:2] == b"\x1f\x8b" and len(out) < INFLATED:
        engine = zlib.decompressobj(31)
        try:
            out += engine.decompress(rest, INFLATED - len(out))
        except zlib.error:
            break
        if not engine.eof:
            break
        rest = engine.unused_data
    return out


def _direct(data: bytes) -> Signature | None:
    for one in _MAGICS:
        if data.startswith(one.magic, one.at):
            return Signature(name=one.name, group=one.group)
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for name, magic in _MARKUP:
        if start.startswith(magic):
            return Signature(name=name, group=ORDINARY)
    return None


def _bgen(data: bytes) -> Signature | None:
    """A BGEN header whose magic was zeroed: header block length 20 or more, then layout 1 or 2 flags."""
    if len(data) < 24 or data[16:20] != b"\x00\x00\x00\x00":
        return None
    offset, header = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little")
    flags = int.from_bytes(data[header : header + 4], "little") if 20 <= header <= offset < len(data) else 0
    layout = (flags >> 2) & 0xF
    return Signature(name="BGEN", group=GENOTYPES) if layout in {1, 2} and flags & 3 < 3 else None
