"""AWS's own SDK against our server."""

from typing import Any

import boto3
from botocore.config import Config
from tests.support.server import ACCESS_KEY, SECRET_KEY


def ses_client(url: str, region: str = "us-east-1", key: str = ACCESS_KEY, secret: str = SECRET_KEY) -> Any:
    """A boto3 SES client that does not try again by itself."""
    return boto3.client(
        "ses",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"max_attempts": 1, "mode": "standard"}, parameter_validation=True),
    )
