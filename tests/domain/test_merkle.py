import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spe.domain.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The definitions of RFC 6962 section 2.1, word for word and as slow as they stand there.


def naive_root(leaves):
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = naive_split(len(leaves))
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def naive_path(m, leaves):
    if len(leaves) == 1:
        return []
    k = naive_split(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(m, leaves, whole):
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = naive_split(len(leaves))
    if m <= k:
        return [*naive_subproof(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_subproof(m - k, leaves[k:], False), naive_root(leaves[:k])]


class Tree:
    """A stored tree that counts how many nodes are read."""

    def __init__(self, size):
        self.leaves = [leaf_hash(str(n).encode()) for n in range(size)]
        self.nodes, self.reads = {}, 0
        self.frontier = Frontier()
        self.roots = [self.frontier.root()]
        for leaf in self.leaves:
            self.frontier, made = self.frontier.append(leaf)
            for node in made:
                assert (node.level, node.index) not in self.nodes, "a stored node never changes"
                self.nodes[node.level, node.index] = node.hash
            self.roots.append(self.frontier.root())

    def node(self, level, index):
        self.reads += 1
        return self.nodes[level, index]


TREE = Tree(64)


@pytest.mark.parametrize(
    ("size", "root"),
    list(
        enumerate(
            [
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
            ]
        )
    ),
)
def test_roots_are_those_of_the_certificate_transparency_vectors(size, root):
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    assert root_of(leaf_hash(bytes.fromhex(data)) for data in inputs[:size]).hex() == root


@pytest.mark.parametrize("size", range(65))
def test_roots_and_loaded_frontiers_equal_the_definition(size):
    assert TREE.roots[size] == naive_root(TREE.leaves[:size])
    loaded = Frontier.load(size, TREE.node)
    assert loaded.root() == TREE.roots[size]
    assert len(loaded.peaks) == size.bit_count()


@pytest.mark.parametrize("size", range(1, 65))
def test_inclusion_proofs_equal_the_definition_and_verify(size):
    for index in range(size):
        TREE.reads = 0
        path = inclusion_proof(index, size, TREE.node)
        assert list(path) == naive_path(index, TREE.leaves[:size])
        assert TREE.reads <= 2 * size.bit_length()
        facts = {"leaf": TREE.leaves[index], "index": index, "size": size, "path": path, "root": TREE.roots[size]}
        assert verify_inclusion(**facts)


@pytest.mark.parametrize("new", range(65))
def test_consistency_proofs_equal_the_definition_and_verify_for_every_pair(new):
    for old in range(new + 1):
        TREE.reads = 0
        proof = consistency_proof(old, new, TREE.node)
        assert list(proof) == (naive_subproof(old, TREE.leaves[:new], True) if old else [])
        assert TREE.reads <= 2 * max(1, new).bit_length()
        facts = {"old": old, "old_root": TREE.roots[old], "new": new, "new_root": TREE.roots[new], "proof": proof}
        assert verify_consistency(**facts)


@settings(max_examples=30)
@given(size=st.integers(65, 5000), seed=st.integers(0, 2**32))
def test_large_trees_prove_what_small_ones_do_with_few_reads(size, seed):
    tree, chance = Tree(size), random.Random(seed)
    assert tree.frontier.root() == naive_root(tree.leaves)
    for _ in range(10):
        index, old = chance.randrange(size), chance.randrange(1, size + 1)
        tree.reads = 0
        path, proof = inclusion_proof(index, size, tree.node), consistency_proof(old, size, tree.node)
        assert tree.reads <= 4 * size.bit_length()
        root = tree.roots[size]
        assert verify_inclusion(leaf=tree.leaves[index], index=index, size=size, path=path, root=root)
        assert verify_consistency(old=old, old_root=tree.roots[old], new=size, new_root=root, proof=proof)


def test_an_inclusion_proof_proves_nothing_else():
    for size in range(1, 33):
        for index in range(size):
            path = list(inclusion_proof(index, size, TREE.node))
            true = {"leaf": TREE.leaves[index], "index": index, "size": size, "path": path, "root": TREE.roots[size]}
            wrong = [
                {"leaf": TREE.leaves[(index + 1) % 64]},
                {"path": [*path, TREE.leaves[0]]},
                {"path": [TREE.leaves[0], *path]},
                {"root": TREE.roots[size - 1]},
                *({"index": other} for other in (-1, *range(size + 2)) if other != index),
                *({"path": [*path[:n], flipped(step), *path[n + 1 :]]} for n, step in enumerate(path)),
                *({"path": path[:n] + path[n + 1 :]} for n in range(len(path))),
            ]
            for change in wrong:
                assert not verify_inclusion(**{**true, **change}), (size, index, change)


def test_a_consistency_proof_proves_nothing_else():
    for new in range(1, 33):
        for old in range(1, new + 1):
            proof = list(consistency_proof(old, new, TREE.node))
            true = {"old": old, "old_root": TREE.roots[old], "new": new, "new_root": TREE.roots[new], "proof": proof}
            wrong = [
                {"old_root": flipped(TREE.roots[old])},
                {"new_root": flipped(TREE.roots[new])},
                {"old": new + 1},
                {"old": -1},
                {"proof": [*proof, TREE.leaves[0]]},
                {"proof": [TREE.leaves[0], *proof]},
                *({"proof": [*proof[:n], flipped(step), *proof[n + 1 :]]} for n, step in enumerate(proof)),
                *({"proof": proof[:n] + proof[n + 1 :]} for n in range(len(proof))),
                *({"old": other} for other in range(new + 1) if other != old),
            ]
            for change in wrong:
                assert not verify_consistency(**{**true, **change}), (old, new, change)


def test_a_fork_of_the_log_has_no_consistency_proof():
    fork = list(TREE.leaves[:40])
    fork[7] = leaf_hash(b"rewritten")
    proof = consistency_proof(20, 40, TREE.node)
    facts = {"old": 20, "old_root": TREE.roots[20], "new": 40, "new_root": naive_root(fork), "proof": proof}
    assert not verify_consistency(**facts)


def test_an_empty_log_is_a_prefix_of_every_log_and_has_one_root():
    assert root_of([]) == EMPTY_ROOT
    assert verify_consistency(old=0, old_root=EMPTY_ROOT, new=5, new_root=TREE.roots[5], proof=())
    assert not verify_consistency(old=0, old_root=TREE.roots[1], new=5, new_root=TREE.roots[5], proof=())


def test_leaves_and_nodes_are_kept_apart():
    left, right = TREE.leaves[:2]
    assert leaf_hash(left + right) != node_hash(left, right)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5)])
def test_no_proof_is_made_of_a_leaf_that_is_not_there(index, size):
    with pytest.raises(ValueError, match="not among"):
        inclusion_proof(index, size, TREE.node)


@pytest.mark.parametrize(("old", "new"), [(6, 5), (-1, 5)])
def test_no_proof_is_made_of_a_shrinking_log(old, new):
    with pytest.raises(ValueError, match="never had"):
        consistency_proof(old, new, TREE.node)


def flipped(data):
    return bytes([data[0] ^ 1]) + data[1:]
