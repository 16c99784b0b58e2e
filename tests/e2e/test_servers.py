"""The servers of the suite answer, each asked by the client that the product uses."""

import boto3
import hvac
import psycopg
import pytest
from kubernetes import client, config

from tests.support import servers

pytestmark = pytest.mark.servers


def test_the_cluster_is_new_enough():
    config.load_kube_config(servers.kubernetes())
    version = client.VersionApi().get_code()
    assert (int(version.major), int(version.minor)) >= (1, 30)


def test_vault_is_unsealed():
    address, ca, token = servers.vault()
    assert hvac.Client(url=address, token=token, verify=ca).sys.read_health_status(method="GET")["sealed"] is False


def test_the_object_store_lists_its_buckets():
    endpoint, region, key, secret, ca = servers.s3()
    store = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        verify=ca,
    )
    assert "Buckets" in store.list_buckets()


def test_the_database_is_new_enough():
    with psycopg.connect(servers.postgres()) as connection:
        assert connection.info.server_version >= 150000
