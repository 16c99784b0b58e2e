"""What is in a workspace: its gate, claims, datasets; and no Secret (B1.7, B7). Pure."""

from collections.abc import Iterator, Mapping

from spe.adapters.cluster.kubernetes import view
from spe.adapters.cluster.kubernetes.kinds import CLAIM, DEPLOYMENT, POD, QUOTA, SERVICE, Document, is_leaving, name_of
from spe.adapters.cluster.kubernetes.names import GATE, SHARED, data_claim
from spe.adapters.cluster.kubernetes.objects import claims, data
from spe.adapters.cluster.kubernetes.objects import gate as gates
from spe.adapters.cluster.kubernetes.site import Site
from spe.adapters.cluster.kubernetes.verify.finding import CouldNotLook, Verdict, judged, outside
from spe.adapters.cluster.kubernetes.verify.place import Place, stands

# -- gate


def gate(place: Place) -> Verdict:
    """The gate's objects are as made, and there is only one gate."""
    site, seen = place.site, place.seen
    if seen.one(DEPLOYMENT, GATE) is None and not place.all(POD):
        return outside("there is no gate yet, and nobody to let in")
    awake = view.awake(seen)
    wrong = list(
        stands(place, (gates.service(seen.own), gates.deployment(site, seen.own, permit=seen.permit, awake=awake)))
    )
    for kind in (DEPLOYMENT, SERVICE):
        wrong += [f"{kind.name} {name_of(item)} is not ours" for item in place.all(kind) if name_of(item) != GATE]
    return judged(wrong, "one gate, as made" + (", awake" if awake else ", at rest"))


def claims_held(place: Place) -> Verdict:
    """Claims are ours and empty when they are made."""
    wrong = []
    for claim in place.all(CLAIM):
        spec = claim["spec"]
        if not place.seen.own.owns(claim):
            wrong.append(f"claim {name_of(claim)} is not ours")
        if spec.get("dataSource") or spec.get("dataSourceRef"):
            wrong.append(f"claim {name_of(claim)} is filled from another one")
    shared = place.seen.one(CLAIM, SHARED)
    wanted = claims.shared_claim(place.site, place.seen.own, size=0)["spec"]["accessModes"]
    if shared is None:
        wrong.append("the shared folder's claim is not there")
    elif shared["spec"].get("accessModes") != wanted:
        wrong.append(f"the shared folder is {shared['spec'].get('accessModes')}, not {wanted}")
    return judged(wrong, f"{len(place.all(CLAIM))} claims, all ours")


def secrets(place: Place) -> Verdict:
    """The quota counts no Secret; nobody needs the right to read one to know."""
    live = place.seen.one(QUOTA, "workspace")
    counted = ((live or {}).get("status") or {}).get("used") or {}
    if "count/secrets" not in counted:
        raise CouldNotLook("the quota has not counted Secrets")
    held = counted["count/secrets"]
    return judged([] if held == "0" else [f"there are {held} Secrets"], "no Secret, as the quota counts")


# -- data


def volumes(place: Place) -> Verdict:
    """Datasets' volumes can only be read and are bound to their own claims."""
    if not place.seen.volumes:
        return outside("no dataset is exposed")
    by_name = {name_of(claim): claim for claim in place.seen.data_claims}
    wrong = [
        f"volume {name_of(volume)}: {said}"
        for volume in place.seen.volumes
        for said in _volume(place.site, volume, by_name)
    ]
    return judged(wrong, f"{len(place.seen.volumes)} volumes: read-only, bound to their own claim, kept")


def _volume(site: Site, volume: Document, claimed: Mapping[str, Document]) -> Iterator[str]:
    spec = volume["spec"]
    reference = spec.get("claimRef") or {}
    claim = claimed.get(str(reference.get("name", "")))
    told = {
        "it can be written (accessModes)": spec.get("accessModes") == ["ReadOnlyMany"],
        "its bytes would go with it (persistentVolumeReclaimPolicy)": spec.get("persistentVolumeReclaimPolicy")
        == "Retain",
        "it belongs to a storage class": not spec.get("storageClassName"),
        "its claim is not the one it was made for (claimRef)": claim is not None
        and reference.get("uid") in (None, claim["metadata"]["uid"]),
        "it can be written (csi.readOnly)": "csi" not in spec or spec["csi"].get("readOnly") is True,
        "it can be written (nfs.readOnly)": "nfs" not in spec or spec["nfs"].get("readOnly") is True,
        "it is mounted to write (mountOptions)": "nfs" not in spec or "ro" in (spec.get("mountOptions") or []),
        "it is a folder of the node": "hostPath" not in spec or site.storage.host_folders,
        "its source is none that a dataset may have": bool({"csi", "nfs", "hostPath"} & {*spec}),
        "it is being removed": not is_leaving(volume),
    }
    yield from (said for said, holds in told.items() if not holds)


def data_claims(place: Place) -> Verdict:
    """Datasets' claims can only be read and are of the volume made for them."""
    if not place.seen.data_claims:
        return outside("no dataset is exposed")
    volumes = {name_of(volume): volume for volume in place.seen.volumes}
    wrong = []
    for claim in place.seen.data_claims:
        spec, name = claim["spec"], name_of(claim)
        if spec.get("accessModes") != ["ReadOnlyMany"]:
            wrong.append(f"claim {name} can be written")
        if spec.get("volumeName") != f"{place.seen.own.namespace}-{name}" or spec.get("volumeName") not in volumes:
            wrong.append(f"claim {name} is of a volume that was not made for it")
    return judged(wrong, f"{len(place.seen.data_claims)} claims, read-only, each of its own volume")


def digests(place: Place) -> Verdict:
    """Volume and claim say the same of every dataset."""
    found = view.exposures(place.seen)
    if not found:
        return outside("no dataset is exposed")
    wrong = [f"{key} is not exposed whole, or claim and volume do not name the same bytes" for key, d in found if not d]
    wrong += [
        f"claim {name_of(claim)} says it is {data.exposed(claim)[0]}, whose claim is called otherwise"
        for claim in place.seen.data_claims
        if name_of(claim) != data_claim(data.exposed(claim)[0])
    ]
    return judged(sorted(wrong), ", ".join(f"{key} {digest[:19]}…" for key, digest in sorted(found)))
