"""A local S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def local_s3(bucket: str) -> Iterator[tuple[Any, dict[str, str]]]:
    """Run a server with a bucket; yield a client, and the variables that lead to it."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        variables = {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_S3_ENDPOINT": f"{host}:{port}",
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
        }
        import boto3

        client = boto3.client(
            "s3",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            region_name="us-east-1",
            endpoint_url=variables["AWS_ENDPOINT_URL"],
        )
        client.create_bucket(Bucket=bucket)
        yield client, variables
    finally:
        server.stop()


def object_of(client: Any, bucket: str, key: str) -> bytes:
    return client.get_object(Bucket=bucket, Key=key)["Body"].read()
