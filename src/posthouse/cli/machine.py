"""Checks of `posthouse doctor` on this machine: files, disk, database, clock, ports, certificates."""

import asyncio
import os
import shutil
import ssl
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from posthouse.cli.failure import Failed
from posthouse.cli.findings import Finding, fail, ok, warn
from posthouse.cli.listeners import listeners
from posthouse.cli.refusals import refusals
from posthouse.config import Config
from posthouse.smtp.certificates import FILE_NAME
from posthouse.stores.open import SQLITE_FILE, migrate

SLOW_SYNC_MS = 10.0
"""Every accepted message waits for at least one sync."""
SYNCS = 8
LITTLE_SPACE, NO_SPACE = 2 << 30, 200 << 20
CLOCK_SLACK_S = 2.0
EXPIRES_SOON_DAYS = 21


def configuration(config: Config) -> list[Finding]:
    """That it can be read was seen before any check; here, what does not fit together in real use."""
    name = "configuration"
    summary = f"{config.profile} profile, {config.delivery.mode} delivery, {config.auth.mode} authentication"
    return [ok(name, summary), *(warn(name, *each) for each in _oddities(config))]


def _oddities(config: Config) -> Iterator[tuple[str, str]]:
    exposed = [str(at) for at in (*config.http.listen, *config.smtp.submission_listen) if not at.is_loopback]
    if config.auth.mode == "open" and exposed:
        yield f"anybody who reaches {exposed[0]} may send", 'set auth.mode = "strict"'
    if config.delivery.mode == "capture":
        return
    if config.identities.service_domain == "posthouse.test":
        yield "identities.service_domain is posthouse.test", "name a domain of yours: it signs every mail"
    if "//127." in config.http.public_url or "//localhost" in config.http.public_url:
        yield f"links in mails lead to {config.http.public_url}", "set http.public_url to what the world sees"
    if "." not in config.smtp.hostname:
        yield f"smtp.hostname is {config.smtp.hostname}", "set it to the full name that the PTR record tells"


def data_directory(config: Config) -> list[Finding]:
    name, path = "data directory", config.data_path
    home = _nearest_existing(path)
    try:
        sync_ms = _sync_ms(home)
    except OSError as error:
        return [fail(name, f"{home} cannot be written: {error.strerror}", "give it to the user who runs posthouse")]
    is_there = str(path) if home == path else f"{path} (still to be made)"
    text = f"{is_there} can be written, a sync takes {sync_ms:.1f} ms"
    if sync_ms > SLOW_SYNC_MS:
        return [warn(name, text, "every send waits for one: use a faster disk, or one with a safe write cache")]
    return [ok(name, text)]


def _nearest_existing(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())


def _sync_ms(directory: Path) -> float:
    taken = []
    with tempfile.NamedTemporaryFile(dir=directory, prefix=".doctor-") as file:
        for _ in range(SYNCS):
            file.write(bytes(4096))
            file.flush()
            start = time.perf_counter()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken)


def disk(config: Config) -> list[Finding]:
    name, free = "disk", shutil.disk_usage(_nearest_existing(config.data_path)).free
    text = f"{free / (1 << 30):.1f} GiB free"
    if free < NO_SPACE:
        return [fail(name, text, "make room: a full disk refuses mail")]
    return [warn(name, text, "make room soon") if free < LITTLE_SPACE else ok(name, text)]


def database(config: Config) -> list[Finding]:
    name, url = "database", config.database.url
    if url == "memory":
        return [warn(name, "in memory", "everything is gone when the server ends; set database.url to keep it")]
    if url == "sqlite" and not (config.data_path / SQLITE_FILE).exists():
        return [ok(name, "not there yet: made at the first start")]
    try:
        with refusals():
            asyncio.run(migrate(url, config.data_path, apply=False))
    except Failed as error:
        return [fail(name, error.message, "see to the database and to database.url")]
    kind = "PostgreSQL" if url.startswith("postgres") else str(config.data_path / SQLITE_FILE)
    return [ok(name, f"{kind} answers, and its schema is this version's")]


def clock(config: Config) -> list[Finding]:
    """Signatures are good for a quarter of an hour around our time, and message ids sort by it."""
    name, home = "clock", _nearest_existing(config.data_path)
    try:
        with tempfile.NamedTemporaryFile(dir=home, prefix=".doctor-") as file:
            apart_s = abs(os.stat(file.fileno()).st_mtime - time.time())
    except OSError:
        return []  # told by the data directory's check
    newest_s = max((path.stat().st_mtime for path in home.glob("posthouse.db*")), default=0.0)
    if apart_s > CLOCK_SLACK_S:
        return [warn(name, f"the file system's clock is {apart_s:.0f} s off", "let both follow the same time server")]
    if newest_s > time.time() + CLOCK_SLACK_S:
        ahead_s = newest_s - time.time()
        return [fail(name, f"the database was written {ahead_s:.0f} s in the future", "set the clock by a time server")]
    return [ok(name, f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, and the files agree")]


def ports(config: Config) -> list[Finding]:
    return [listener.examine() for listener in listeners(config)]


def certificates(config: Config) -> list[Finding]:
    found = []
    if config.http.tls_cert and config.http.tls_key:
        found.append(_certificate("http certificate", Path(config.http.tls_cert), Path(config.http.tls_key)))
    if config.smtp.tls_cert and config.smtp.tls_key:
        found.append(_certificate("smtp certificate", Path(config.smtp.tls_cert), Path(config.smtp.tls_key)))
    elif (own := config.data_path / "tls" / FILE_NAME).exists():
        found.append(_certificate("smtp certificate", own, own))
    else:
        found.append(ok("smtp certificate", "none configured: a self-signed one is made at the first start"))
    return found


def _certificate(name: str, certificate: Path, key: Path) -> Finding:
    from cryptography.x509 import load_pem_x509_certificates

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        ends = load_pem_x509_certificates(certificate.read_bytes())[0].not_valid_after_utc
    except (OSError, ValueError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        return fail(name, f"{certificate} cannot be used: {reason}", "give a PEM chain with its matching key")
    left = (ends - datetime.now(UTC)).days
    text = f"{certificate} is valid until {ends:%Y-%m-%d}"
    if left < 0:
        return fail(name, f"{certificate} expired on {ends:%Y-%m-%d}", "renew it, then restart posthouse")
    if left < EXPIRES_SOON_DAYS:
        return warn(name, text, "renew it, then restart posthouse")
    return ok(name, text)
