"""AWS's own S3 encryption client, in an environment of its own beside ours: it wants an older cryptography."""

import fcntl
import json
import subprocess
import sys
import venv
from pathlib import Path

from tests.support.moto import ACCESS

PINNED = Path(__file__).parents[2] / "requirements" / "s3_encryption_client.txt"
PLACE = Path(sys.prefix) / "s3-encryption-client"

READ = """
import json, sys
import boto3
from s3_encryption import S3EncryptionClient, S3EncryptionClientConfig
from s3_encryption.materials.kms_keyring import KmsKeyring
from s3_encryption.materials.materials import AlgorithmSuite, CommitmentPolicy

asked = json.loads(sys.argv[1])
made = {"endpoint_url": asked["url"], "region_name": asked["region"], "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing"}
keyring = KmsKeyring(boto3.client("kms", **made), asked["key"], enable_legacy_wrapping_algorithms=asked["legacy"])
config = S3EncryptionClientConfig(
    keyring,
    encryption_algorithm=AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF,
    commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
)
client = S3EncryptionClient(boto3.client("s3", **made), config)
sys.stdout.buffer.write(client.get_object(Bucket=asked["bucket"], Key=asked["object"])["Body"].read())
"""


def read_encrypted(url: str, region: str, key: str, bucket: str, name: str, *, legacy: bool = True) -> bytes:
    """What the client makes of an object. Raises RuntimeError with its words where it makes nothing of it."""
    _install()
    asked = {"url": url, "region": region, "key": key, "bucket": bucket, "object": name, "legacy": legacy}
    done = subprocess.run(
        [PLACE / "bin" / "python", "-c", READ, json.dumps(asked)], capture_output=True, timeout=60, env=dict(ACCESS)
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())
    return done.stdout


def _install() -> None:
    with PLACE.with_suffix(".lock").open("w") as lock:
        # Two runs at once install it once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install_alone(PLACE / "done")


def _install_alone(done: Path) -> None:
    if done.exists() and done.read_text() == PINNED.read_text():
        return
    venv.create(PLACE, clear=True, with_pip=True)
    pip = [PLACE / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", PINNED], check=True, timeout=300)
    done.write_text(PINNED.read_text())
