"""Behind a balancer: the client's address from the PROXY header decides policies and stands in what is kept."""

import json
import smtplib
import socket
from typing import Any

import pytest
from tests.support.sdk import ses_client
from tests.support.server import ACCESS_KEY, SECRET_KEY, Server

from posthouse.wire.smtp_password import smtp_password

POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "ses:SendRawEmail",
            "Resource": "arn:aws:ses:us-east-1:123456789012:identity/example.com",
            "Condition": {"NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24", "2001:db8::/32"]}},
        }
    ],
}
MAIL = "From: ann@example.com\r\nTo: bob@example.net\r\nSubject: by proxy\r\n\r\nhi\r\n"


class Proxied(smtplib.SMTP):
    """Says first whom it speaks for."""

    def __init__(self, client_ip: str, port: int) -> None:
        self._header = f"PROXY TCP{6 if ':' in client_ip else 4} {client_ip} {client_ip} 1 25\r\n"
        super().__init__("127.0.0.1", port, timeout=10)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connected = socket.create_connection((host, port), timeout)
        connected.sendall(self._header.encode())
        return connected


def test_the_address_of_the_client_counts_and_not_the_balancers() -> None:
    with Server({"smtp.proxy_protocol": True, "auth.mode": "strict"}) as server:
        ses = ses_client(server.url)
        ses.verify_domain_identity(Domain="example.com")
        ses.put_identity_policy(Identity="example.com", PolicyName="office", Policy=json.dumps(POLICY))

        def send(client_ip: str) -> Any:
            with Proxied(client_ip, server.submission) as client:
                client.login(ACCESS_KEY, smtp_password(SECRET_KEY, "us-east-1"))
                client.sendmail("ann@example.com", ["bob@example.net"], MAIL)

        with pytest.raises(smtplib.SMTPDataError, match="Access denied: User `arn:aws:iam::123456789012:user/"):
            send("198.51.100.7")
        send("192.0.2.7")
        send("2001:db8::7")
        listed = server.admin("/messages?subject=by%20proxy")["messages"]
        shown = [server.admin(f"/messages/{each['message_id']}") for each in listed]
    assert {each["source_ip"] for each in shown} == {"192.0.2.7", "2001:db8::7"}
