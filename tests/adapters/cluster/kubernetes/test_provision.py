"""A workspace is made, seen, and taken apart on a real cluster, in the order that is safe at every stop."""

import pytest

from spe.adapters.cluster.kubernetes.kinds import NAMESPACE, VOLUME
from tests.adapters.cluster.kubernetes.ground import SMALL, Ground, exposure

pytestmark = pytest.mark.servers


def test_a_workspace_is_made_seen_and_taken_apart(here: Ground) -> None:
    place = here.place()
    assert not place.seen().anything
    data = exposure()
    place.provision(data)
    seen = place.seen()
    assert seen.folders
    assert seen.gate
    assert seen.seal is not None
    assert seen.seal.holds, seen.seal
    assert seen.data == {(data.key, data.digest)}
    assert seen.places == {place.person}
    assert seen.limits == SMALL
    assert place.workspace in place.cluster.owned()
    place.remove()
    assert not place.seen().anything
    assert place.workspace not in place.cluster.owned()
    assert place.find(NAMESPACE, place.namespace) is None
    assert place.find(VOLUME, place.own.volume(data.key)) is None


