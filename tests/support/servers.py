"""The servers that a suite runs against, named by the usual variables: a cluster, Vault, S3, PostgreSQL.

A suite that needs one fails without it, with the sentence that says what to set; it is never skipped, because
a skipped proof reads like a proof.
"""

import json
import os
from pathlib import Path


def need(*names: str) -> tuple[str, ...]:
    """The values of environment variables, in order. Fails the test when one is missing."""
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise AssertionError(
            f"This test runs against real servers. Set {', '.join(missing)}; `make e2e` does it for a test laboratory."
        )
    return tuple(os.environ[name] for name in names)


def kubernetes() -> str:
    """Path of the kubeconfig of a cluster ≥ 1.30 that enforces NetworkPolicy; its user may do everything."""
    return need("KUBECONFIG")[0]


def image(name: str) -> str:
    """One of the product's images, `name@sha256:…`: `SPE_IMAGES` names the file that `make images` wrote."""
    (said,) = need("SPE_IMAGES")
    images = json.loads(said if said.startswith("{") else Path(said).read_text(encoding="utf-8"))
    if name not in images:
        raise AssertionError(f"SPE_IMAGES names no image {name!r}; `make images` builds all and writes their names.")
    return str(images[name])


def previous() -> tuple[Path, Path]:
    """The chart of an earlier commit and the values that name its images: in the folder that `.ci/previous` made."""
    if not os.environ.get("SPE_PREVIOUS"):
        raise AssertionError(
            "An upgrade starts from an earlier commit. Set SPE_PREVIOUS to what `.ci/previous` prints."
        )
    folder = Path(os.environ["SPE_PREVIOUS"])
    return folder / "charts" / "spe", folder / "images-values.json"


def in_pods(address: str) -> str:
    """A server's address as pods reach it, where that is another one: pairs of `host:port=host:port` in SPE_IN_PODS."""
    pairs = (pair.partition("=") for pair in os.environ.get("SPE_IN_PODS", "").split())
    for outside, _, inside in pairs:
        address = address.replace(outside, inside)
    return address


def chart_values() -> tuple[Path, ...]:
    """Further values for the chart that a site needs, such as a storage class: files in SPE_CHART_VALUES, or none."""
    return tuple(Path(name) for name in os.environ.get("SPE_CHART_VALUES", "").split())


def vault() -> tuple[str, str, str]:
    """Address, CA file and a token that may manage mounts, policies and roles."""
    address, ca, token = need("VAULT_ADDR", "VAULT_CACERT", "VAULT_TOKEN")
    return address, ca, token


def s3() -> tuple[str, str, str, str, str]:
    """Endpoint, region, access key, secret key, CA file of an account that may make buckets."""
    endpoint, region, key, secret, ca = need(
        "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CA_BUNDLE"
    )
    return endpoint, region, key, secret, ca


def postgres() -> str:
    """URL of a PostgreSQL account that may make databases and roles."""
    return need("DATABASE_SUPER_URL")[0]
