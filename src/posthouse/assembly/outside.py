"""The outside world: each service by its embedded stand-in or by its own protocol, as the configuration says."""

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from posthouse.adapters.local_topics import LocalTopics
from posthouse.assembly.parts import DEFAULT_REGION, SystemClock, key_for
from posthouse.config import Config
from posthouse.domain.routing import parse_relay
from posthouse.ports.clock import Clock
from posthouse.ports.data_keys import DataKeys
from posthouse.ports.functions import Functions
from posthouse.ports.http_calls import HttpCalls
from posthouse.ports.metric_sinks import MetricSinks
from posthouse.ports.objects import Objects
from posthouse.ports.receipt import ReceiptPorts
from posthouse.ports.stores import Stores
from posthouse.ports.streams import Streams
from posthouse.ports.topics import Topics

if TYPE_CHECKING:
    from posthouse.ports.mail_stores import MailStore
    from posthouse.ports.scanners import VirusScanner
    from posthouse.receiving.inspection import Inspection


def open_topics(config: Config, stores: Stores, clock: SystemClock) -> Topics:
    if config.sns.backend == "local":
        local = config.local
        return LocalTopics(stores.topics, clock, os.urandom, local.auto_create, local.topics)
    from posthouse.adapters.aws_session import AwsService, endpoint
    from posthouse.adapters.aws_sns import AwsTopics

    return AwsTopics(AwsService("sns", endpoint(config.aws, "sns")))


def open_streams(config: Config, clock: SystemClock) -> Streams:
    if config.firehose.backend == "local":
        from posthouse.adapters.local_streams import LocalStreams

        local = config.local
        return LocalStreams(config.data_path / "firehose", clock, os.urandom, local.auto_create, local.streams)
    from posthouse.adapters.aws_session import AwsService, Roles, endpoint
    from posthouse.adapters.aws_streams import AwsStreams

    return AwsStreams(AwsService("firehose", endpoint(config.aws, "firehose")), Roles(endpoint(config.aws, "sts")))


def open_metric_sinks(config: Config, stores: Stores) -> MetricSinks:
    if config.cloudwatch.backend == "local":
        from posthouse.adapters.local_metrics import LocalMetrics

        return LocalMetrics(stores.metric_series)
    from posthouse.adapters.aws_metrics import AwsMetrics
    from posthouse.adapters.aws_session import AwsService, endpoint

    return AwsMetrics(AwsService("cloudwatch", endpoint(config.aws, "cloudwatch")), config.cloudwatch.namespace)


def open_calls(config: Config, clock: Clock, *, allow_private: bool) -> HttpCalls:
    """A client for URLs: those of users may be kept from private addresses, the operator's own are not."""
    from posthouse.adapters.http_calls import AiohttpCalls
    from posthouse.adapters.resolver import DnsResolver

    return AiohttpCalls(DnsResolver(config.dns.resolvers, clock), allow_private=allow_private)


def open_receipt_ports(config: Config, calls: HttpCalls) -> ReceiptPorts:
    """What receipt rules act on; each by its own backend. `calls`: for functions, whose URLs the operator gave."""
    from posthouse.adapters.local_data_keys import LocalDataKeys
    from posthouse.adapters.local_functions import LocalFunctions
    from posthouse.adapters.local_objects import LocalObjects

    local = config.local
    return ReceiptPorts(
        objects=LocalObjects(config.data_path / "s3", os.urandom, local.auto_create, local.buckets)
        if config.s3.backend == "local"
        else _aws_objects(config),
        functions=LocalFunctions(config.lambda_.functions, local.auto_create, calls)
        if config.lambda_.backend == "local"
        else _aws_functions(config),
        data_keys=LocalDataKeys(lambda: key_for(config, b"data keys"), os.urandom)
        if config.kms.backend == "local"
        else _aws_data_keys(config),
    )


def _aws_objects(config: Config) -> Objects:
    from posthouse.adapters.aws_objects import AwsObjects, s3_service
    from posthouse.adapters.aws_session import Roles, endpoint

    return AwsObjects(s3_service(endpoint(config.aws, "s3")), Roles(endpoint(config.aws, "sts")), DEFAULT_REGION)


def _aws_functions(config: Config) -> Functions:
    from posthouse.adapters.aws_functions import AwsFunctions, lambda_service
    from posthouse.adapters.aws_session import endpoint

    return AwsFunctions(lambda_service(endpoint(config.aws, "lambda")))


def _aws_data_keys(config: Config) -> DataKeys:
    from posthouse.adapters.aws_data_keys import AwsDataKeys
    from posthouse.adapters.aws_session import AwsService, Roles, endpoint

    return AwsDataKeys(AwsService("kms", endpoint(config.aws, "kms")), Roles(endpoint(config.aws, "sts")))


def open_virus_scanner(config: Config) -> "VirusScanner | None":
    from posthouse.adapters.clamd import ClamdScanner

    scan = config.scan
    return ClamdScanner(scan.clamd, scan.timeout_seconds) if scan.clamd else None


def inspection_of(config: Config, clock: "Clock") -> "Inspection":
    """What finds out about mail that comes in; to be made inside the loop that uses it, and closed."""
    from posthouse.adapters.resolver import DnsResolver
    from posthouse.adapters.rspamd import RspamdScanner
    from posthouse.receiving.inspection import Inspection

    scan = config.scan
    spam = RspamdScanner(scan.rspamd_url, scan.timeout_seconds) if scan.rspamd_url else None
    resolver = DnsResolver(config.dns.resolvers, clock)
    return Inspection(resolver, clock, config.smtp.hostname, spam, open_virus_scanner(config))


def open_mail_store(config: Config, clock: Clock) -> "MailStore":
    """What WorkMail actions deliver to."""
    url = config.workmail.backend
    if url is None or url.startswith("file:"):
        from posthouse.adapters.maildir import Maildirs

        parts = urlsplit(url or "")
        return Maildirs(Path(unquote(parts.netloc + parts.path)) if url else config.data_path / "maildir")
    from posthouse.adapters.certificates import TrustStore
    from posthouse.adapters.mail_servers import MailServer
    from posthouse.adapters.network import SocketNetwork
    from posthouse.adapters.resolver import DnsResolver

    network, resolver = SocketNetwork(TrustStore().verify), DnsResolver(config.dns.resolvers, clock)
    return MailServer(network, resolver, parse_relay(url), config.smtp.hostname)
