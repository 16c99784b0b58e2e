"""The servers that a suite runs against, named by the usual variables: a cluster, Vault, S3, PostgreSQL.

A suite that needs one fails without it, with the sentence that says what to set; it is never skipped, because
a skipped proof reads like a proof.
"""

import json
import os


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
    """One of the product's images, `name@sha256:…`, as `make images` prints them: `SPE_IMAGES` is a JSON object."""
    images = json.loads(need("SPE_IMAGES")[0])
    if name not in images:
        raise AssertionError(f"SPE_IMAGES names no image {name!r}; `make images` builds and prints all.")
    return str(images[name])


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
