"""The Merkle tree of RFC 6962 (hashing and proofs as in RFC 9162, section 2.1), over leaf hashes.

A tree of `size` leaves is kept as its complete subtrees: node `(level, index)` covers the leaves from
`index * 2**level` up to the next one. Such a node never changes once it exists, so a store appends
them and nothing else; every root and proof is made from O(log size) of them, read through a callable.
Pure: no storage, no signatures, no knowledge of what a leaf says.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

NodeOf: TypeAlias = Callable[[int, int], bytes]
"""level, index → hash of that complete subtree; raises what the store raises when it is missing."""

EMPTY_ROOT = hashlib.sha256(b"").digest()
HASH_SIZE = 32


def leaf_hash(data: bytes) -> bytes:
    """SHA-256 of 0x00 and the entry; the prefix keeps entries and inner nodes apart."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of 0x01, the left and the right hash."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One complete subtree: `hash` covers leaves `index * 2**level` to `(index + 1) * 2**level - 1`."""

    level: int
    index: int
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """All that is needed to append: the size and the peaks, the complete subtrees from left to right.

    There is one peak for each bit set in `size`, the largest first.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    @classmethod
    def load(cls, size: int, node: NodeOf) -> "Frontier":
        """The frontier of a stored tree of `size` leaves; reads at most log2(size) + 1 nodes."""
        return cls(size=size, peaks=_peaks(0, size, node))

    def append(self, leaf: bytes) -> "tuple[Frontier, tuple[Node, ...]]":
        """The frontier after one more leaf hash, and the nodes to store: the leaf first, then upwards.

        Hashes once for each peak that is merged: O(log size) at most, two on average.
        """
        peaks, level, made = list(self.peaks), 0, [Node(level=0, index=self.size, hash=leaf)]
        while self.size >> level & 1:
            level += 1
            made.append(Node(level=level, index=self.size >> level, hash=node_hash(peaks.pop(), made[-1].hash)))
        peaks.append(made[-1].hash)
        return Frontier(size=self.size + 1, peaks=tuple(peaks)), tuple(made)

    def root(self) -> bytes:
        """The Merkle tree hash of all leaves so far."""
        return _fold(self.peaks)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The Merkle tree hash of these leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier, _ = frontier.append(leaf)
    return frontier.root()


def inclusion_proof(index: int, size: int, node: NodeOf) -> tuple[bytes, ...]:
    """The audit path of leaf `index` in the tree of the first `size` leaves, leaf side first.

    Raises ValueError unless 0 ≤ index < size.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not among the first {size}")
    begin, end, path = 0, size, []
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_range_hash(middle, end, node))
            end = middle
        else:
            path.append(_range_hash(begin, middle, node))
            begin = middle
    return tuple(reversed(path))


def consistency_proof(old: int, new: int, node: NodeOf) -> tuple[bytes, ...]:
    """Proof that the first `old` of `new` leaves are unchanged; empty for `old` = 0 or `old` = `new`.

    Raises ValueError unless 0 ≤ old ≤ new.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a log of {new} entries never had {old}")
    if old in (0, new):
        return ()
    begin, end, path = 0, new, []
    while end != old:
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append(_range_hash(middle, end, node))
            end = middle
        else:
            path.append(_range_hash(begin, middle, node))
            begin = middle
    if begin:  # the verifier holds the old root itself when it is one of the new tree's nodes
        path.append(_range_hash(begin, end, node))
    return tuple(reversed(path))


def verify_inclusion(*, leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves that `leaf` is entry `index` of the tree with this size and root (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if position & 1 or position == last:
            found = node_hash(sibling, found)
            position, last = _climb(position, last)
        else:
            found = node_hash(found, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(*, old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the old tree is a prefix of the new one (RFC 9162 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    if old == new:
        return not proof and old_root == new_root
    nodes = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not nodes:
        return False
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    before = after = nodes[0]
    for sibling in nodes[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            position, last = _climb(position, last)
        else:
            after = node_hash(after, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


def _climb(position: int, last: int) -> tuple[int, int]:
    """Skip the levels on which the node at the right edge has no sibling and passes up unchanged."""
    while position and not position & 1:
        position, last = position >> 1, last >> 1
    return position, last


def _split(count: int) -> int:
    """The largest power of two below `count`: how many leaves the left side holds."""
    return 1 << (count - 1).bit_length() - 1


def _peaks(begin: int, end: int, node: NodeOf) -> tuple[bytes, ...]:
    """The complete subtrees that cover the leaves from `begin` to before `end`, largest first.

    `begin` must be a multiple of a power of two not below the count, as all ranges of a proof are.
    """
    found = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        found.append(node(level, begin >> level))
        begin += 1 << level
    return tuple(found)


def _range_hash(begin: int, end: int, node: NodeOf) -> bytes:
    return _fold(_peaks(begin, end, node))


def _fold(peaks: Sequence[bytes]) -> bytes:
    if not peaks:
        return EMPTY_ROOT
    found = peaks[-1]
    for peak in reversed(peaks[:-1]):
        found = node_hash(peak, found)
    return found
