"""Programs that people have sending mail point them here: each finds TLS, logs in, its mail arrives as it wrote it, and
when it is refused its user reads our words.

Mail goes on to a next hop; what arrived there is read by Python's own parser.
"""

import email
import email.policy
import json
import os
import smtplib
import ssl
import subprocess
import textwrap
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from tests.support.javascript import run_node
from tests.support.needs import need
from tests.support.postfix import Postfix
from tests.support.processes import free_ports
from tests.support.sdk import ses_client
from tests.support.server import ACCESS_KEY, SECRET_KEY, Server
from tests.support.sink import Sink

from posthouse.wire.smtp_password import smtp_password

NAME = "mx.posthouse.test"
PASSWORD = smtp_password(SECRET_KEY, "eu-central-1")
SENDER, STRANGER = "anne@example.com", "stranger@elsewhere.example"
TEXT = "Grüße!\n.\n..zwei Punkte\n" + "lang " * 40 + "\nEnde"
ATTACHMENT = bytes(range(256)) * 40
UNVERIFIED = (
    "554 Message rejected: Email address is not verified. "
    "The following identities failed the check in region EU-CENTRAL-1: "
)


class Post:
    """A server as an operator would set it up, three doors for submission, and what came of it."""

    def __init__(self) -> None:
        self.sink = Sink()
        self.doors = free_ports(3)
        self.sink.__enter__()
        try:
            self.server = Server(self._settings())
            self.server.start()
        except BaseException:
            self.sink.__exit__(None, None, None)
            raise
        ses = ses_client(self.server.url, "eu-central-1")
        ses.verify_domain_identity(Domain="example.com")
        self.certificate = self.server.data_dir / "tls" / "smtp-self-signed.pem"

    def _settings(self) -> dict[str, object]:
        first, second, implicit = self.doors
        return {
            "profile": "production",
            "auth.access_key": ACCESS_KEY,
            "auth.secret_key": SECRET_KEY,
            "accounts.sandbox": False,
            "accounts.max_send_rate": -1,
            "accounts.api_rate_limit": 0,
            "identities.auto_verify": True,
            "delivery.routes": {"*": f"127.0.0.1:{self.sink.port}"},
            "smtp.submission_listen": [f"127.0.0.1:{first}", f"127.0.0.1:{second}"],
            "smtp.submission_tls_listen": [f"127.0.0.1:{implicit}"],
            "smtp.hostname": NAME,
        }

    @property
    def port(self) -> int:
        return self.doors[0]

    def close(self) -> None:
        self.server.close()
        self.sink.__exit__(None, None, None)

    def context(self) -> ssl.SSLContext:
        """Trusts the server's own certificate, and nothing else."""
        return ssl.create_default_context(cafile=self.certificate)

    def arrived(self, test_id: str, timeout_s: float = 15) -> EmailMessage:
        """The mail with ``id=...`` in its subject (some clients encode all of it), as the next hop got it."""
        ends = time.monotonic() + timeout_s
        while True:
            for arrival in self.sink.arrivals:
                content = arrival.content.replace(b"\r\n..", b"\r\n.")
                mail = email.message_from_bytes(content, policy=email.policy.default)
                assert isinstance(mail, EmailMessage)
                if mail["Subject"] is not None and mail["Subject"].startswith(f"id={test_id} "):
                    return mail
            assert time.monotonic() < ends, f"{test_id} did not arrive"
            time.sleep(0.02)


@pytest.fixture(scope="module")
def post() -> Iterator[Post]:
    made = Post()
    yield made
    made.close()


def composed(test_id: str, sender: str = SENDER) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = f"Änne <{sender}>", "bob@example.net", f"id={test_id} für Böb"
    message.set_content(TEXT)
    message.add_attachment(ATTACHMENT, maintype="image", subtype="x-all", filename="alle Bytes ä.bin")
    return message


def assert_unharmed(mail: EmailMessage, sender: str = SENDER) -> None:
    assert mail["From"].addresses[0].addr_spec == sender
    assert mail["From"].addresses[0].display_name == "Änne"
    assert "für Böb" in mail["Subject"]
    text = mail.get_body(("plain",))
    assert text is not None
    assert text.get_content().replace("\r\n", "\n").rstrip("\n") == TEXT
    (attachment,) = mail.iter_attachments()
    assert attachment.get_content() == ATTACHMENT
    assert attachment.get_filename() == "alle Bytes ä.bin"


def run(*words: str | Path, expect: int | None = 0, text: str = "", **environment: str) -> str:
    """Runs a program; all that it says."""
    done = subprocess.run(
        words,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert (done.returncode == 0) is (expect == 0), done.stdout
    return done.stdout


@pytest.mark.parametrize("door", [0, 1, 2])
def test_smtplib_by_every_door(post: Post, door: int) -> None:
    client: smtplib.SMTP
    if door == 2:
        context = post.context()
        context.check_hostname = False  # the library would look for 127.0.0.1
        client = smtplib.SMTP_SSL("127.0.0.1", post.doors[door], context=context, timeout=10)
    else:
        client = smtplib.SMTP("127.0.0.1", post.doors[door], timeout=10)
        client.ehlo()
        assert not client.has_extn("auth")
        assert client.docmd("AUTH", "PLAIN AAAA") == (530, b"Must issue a STARTTLS command first")
        assert client.mail(SENDER) == (530, b"Must issue a STARTTLS command first")
        client._host = NAME  # type: ignore[attr-defined]
        client.starttls(context=post.context())
    with client:
        client.login(ACCESS_KEY, PASSWORD)
        client.send_message(composed(f"smtplib-{door}"))
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.send_message(composed("no", STRANGER))
        said = f"{refused.value.smtp_code} {refused.value.smtp_error.decode()}"  # type: ignore[union-attr]
        assert said == UNVERIFIED + f"=?UTF-8?B?w4RubmU=?= <{STRANGER}>, {STRANGER}"
    assert_unharmed(post.arrived(f"smtplib-{door}"))


def logged_in(post: Post, password: str = PASSWORD) -> smtplib.SMTP:
    context = post.context()
    context.check_hostname = False
    client = smtplib.SMTP_SSL("127.0.0.1", post.doors[2], context=context, timeout=10)
    client.login(ACCESS_KEY, password)
    return client


def test_replies_are_those_of_ses(post: Post) -> None:
    header = f"From: {SENDER}\r\nTo: b@example.net\r\n"
    many = [f"r{number}@example.net" for number in range(51)]
    with logged_in(post) as client:

        def answer(*recipients: str, text: str = header + "\r\nx", sender: str = SENDER) -> str:
            client.mail(sender)
            for recipient in recipients or ("b@example.net",):
                client.rcpt(recipient)
            code, said = client.data(text)
            return f"{code} {said.decode()}"

        assert answer(*many) == "554 Transaction failed: Recipient count exceeds 50."
        assert answer(text="To: b@example.net\r\n\r\nx") == "554 Transaction failed: Missing required header 'From'."
        assert answer(text=header + "To: nobody\r\n\r\nx") == "554 Transaction failed: Missing final '@domain'"
        assert answer(text=header + "Subject: a\r\nSubject: b\r\n\r\n") == (
            "554 Transaction failed: Duplicate header 'Subject'."
        )
        assert answer(text=header + "X-SES-MESSAGE-TAGS: a b=c\r\n\r\n").startswith(
            "554 Transaction failed: Invalid tag name <a b>: "
        )
        arn = "arn:aws:ses:eu-central-1:999988887777:identity/example.com"
        assert answer(text=f"X-SES-SOURCE-ARN: {arn}\r\n{header}\r\n") == (
            f"554 Access denied: User `arn:aws:iam::123456789012:user/{ACCESS_KEY}' is not authorized to perform "
            f"`ses:SendRawEmail' on resource `{arn}'"
        )
        assert answer(text=header + "\r\n" + "x" * 10_485_760) == "552 Message is too long."
        assert client.mail(SENDER, ["SIZE=10485761"]) == (552, b"Message is too long.")
        for sender in ("AKIAUSER", ""):
            assert client.docmd(f"MAIL FROM:<{sender}>") == (501, b"Invalid MAIL FROM address provided")
        assert client.mail(SENDER, ["RET=FULL"])[0] == 555
        client.mail(SENDER)
        assert client.docmd("RCPT TO:<bob>") == (501, b"Invalid RCPT TO address provided")
        assert client.rcpt("b@example.net", ["NOTIFY=NEVER"])[0] == 555
        client.rset()
        assert answer()[:7] == "250 Ok "


def test_a_stopped_or_paused_account_is_told_so(post: Post) -> None:
    ses = ses_client(post.server.url, "eu-west-1")  # an account of its own in this region
    ses.verify_domain_identity(Domain="example.com")
    with logged_in(post, smtp_password(SECRET_KEY, "eu-west-1")) as client:

        def refusal() -> tuple[int, bytes | str]:
            with pytest.raises(smtplib.SMTPDataError) as refused:
                client.sendmail(SENDER, ["b@example.net"], f"From: {SENDER}\r\nTo: b@example.net\r\n\r\nx")
            return refused.value.smtp_code, refused.value.smtp_error

        ses.update_account_sending_enabled(Enabled=False)
        assert refusal() == (554, b"Transaction failed: Account sending is disabled.")
        ses.update_account_sending_enabled(Enabled=True)
        account = ("account", "set", "--region", "eu-west-1")
        assert post.server.cli(*account, "--pause").returncode == 0
        assert refusal()[1].startswith(b"Message rejected: Sending paused for this account. ")  # type: ignore[arg-type]
        assert post.server.cli(*account, "--resume", "--rate", "0.001").returncode == 0
        client.sendmail(SENDER, ["b@example.net"], f"From: {SENDER}\r\nTo: b@example.net\r\n\r\nx")
        assert refusal() == (454, b"Throttling failure: Maximum sending rate exceeded")
        assert post.server.cli(*account, "--quota", "1").returncode == 0
        assert refusal() == (454, b"Throttling failure: Daily message quota exceeded")


NODEMAILER = """
import nodemailer from "nodemailer";
import { readFileSync } from "node:fs";
const [port, implicit, user, pass, ca] = process.argv.slice(2);
const transport = nodemailer.createTransport({
  host: "127.0.0.1", port: Number(port), secure: Number(port) === Number(implicit), requireTLS: true, pool: true,
  auth: { user, pass }, tls: { ca: readFileSync(ca), servername: "mx.posthouse.test" },
});
const mail = (id, address) => ({
  from: { name: "Änne", address }, to: "bob@example.net", subject: `id=${id} für Böb`,
  text: JSON.parse(process.env.TEXT),
  attachments: [{ filename: "alle Bytes ä.bin", content: Buffer.from(process.env.BYTES, "base64") }],
});
await transport.verify();
const sent = await transport.sendMail(mail(process.env.ID, "anne@example.com"));
let refused;
try { await transport.sendMail(mail("no", "stranger@elsewhere.example")); } catch (error) { refused = error; }
transport.close();
console.log(JSON.stringify({ response: sent.response, refused: refused.response, code: refused.responseCode }));
"""


@pytest.mark.parametrize("door", [0, 2])
def test_nodemailer_by_smtp(post: Post, door: int, monkeypatch: pytest.MonkeyPatch) -> None:
    give_mail(monkeypatch, f"nodemailer-{door}")
    words = (str(post.doors[door]), str(post.doors[2]), ACCESS_KEY, PASSWORD, str(post.certificate))
    told = json.loads(run_node(NODEMAILER, *words))
    assert told["response"].startswith("250 Ok 0107")
    assert told["code"] == 554
    assert told["refused"].startswith(UNVERIFIED)
    assert_unharmed(post.arrived(f"nodemailer-{door}"))


SES_TRANSPORT = """
import nodemailer from "nodemailer";
import * as aws from "@aws-sdk/client-ses";
const [endpoint, accessKeyId, secretAccessKey] = process.argv.slice(2);
const credentials = { accessKeyId, secretAccessKey };
const ses = new aws.SES({ endpoint, region: "eu-central-1", credentials, maxAttempts: 1 });
const transport = nodemailer.createTransport({ SES: { ses, aws } });
const mail = (id, address, more) => ({
  from: { name: "Änne", address }, to: "bob@example.net", subject: `id=${id} für Böb`,
  text: JSON.parse(process.env.TEXT),
  attachments: [{ filename: "alle Bytes ä.bin", content: Buffer.from(process.env.BYTES, "base64") }], ...more,
});
const verified = await transport.verify();
const tags = { ses: { Tags: [{ Name: "campaign", Value: "spring" }] } };
const sent = await transport.sendMail(mail(process.env.ID, "anne@example.com", tags));
let refused;
try { await transport.sendMail(mail("no", "stranger@elsewhere.example")); } catch (error) { refused = error; }
console.log(JSON.stringify({ verified, id: sent.response, refused: refused.name, text: refused.message }));
"""


def test_nodemailer_by_the_api(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    give_mail(monkeypatch, "ses-transport")
    told = json.loads(run_node(SES_TRANSPORT, post.server.url, ACCESS_KEY, SECRET_KEY))
    assert told["verified"] is True
    assert told["id"].startswith("0107")
    assert told["refused"] == "MessageRejected"
    assert STRANGER in told["text"]
    assert_unharmed(post.arrived("ses-transport"))


def give_mail(monkeypatch: pytest.MonkeyPatch, test_id: str) -> None:
    import base64

    monkeypatch.setenv("ID", test_id)
    monkeypatch.setenv("TEXT", json.dumps(TEXT))
    monkeypatch.setenv("BYTES", base64.b64encode(ATTACHMENT).decode())


def test_the_aws_command_line_sends_raw_mail(post: Post, tmp_path: Path) -> None:
    need("aws")
    raw = tmp_path / "mail"
    raw.write_text(json.dumps({"Data": composed("aws-cli").as_bytes(policy=email.policy.SMTP).decode()}))
    words = ("aws", "ses", "--endpoint-url", post.server.url, "--region", "eu-central-1", "send-raw-email")
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_MAX_ATTEMPTS": "1"}
    # Version 2 wants binary values in base64 unless told otherwise; version 1 does not know the option.
    version = ["--cli-binary-format", "raw-in-base64-out"] if " 1." not in aws_version() else []
    told = run(*words, "--raw-message", f"file://{raw}", *version, **keys)
    assert json.loads(told)["MessageId"].startswith("0107")
    assert_unharmed(post.arrived("aws-cli"))
    raw.write_text(json.dumps({"Data": composed("no", STRANGER).as_bytes(policy=email.policy.SMTP).decode()}))
    told = run(*words, "--raw-message", f"file://{raw}", *version, expect=254, **keys)
    assert "(MessageRejected)" in told
    assert STRANGER in told


def aws_version() -> str:
    return run("aws", "--version").replace("aws-cli/", " ")


PHP = r"""
require "/usr/share/php/libphp-phpmailer/autoload.php";
[, $port, $secure, $user, $password, $sender, $id] = $argv;
$mail = new PHPMailer\PHPMailer\PHPMailer(true);
$mail->isSMTP();
$mail->Host = "127.0.0.1"; $mail->Port = (int) $port; $mail->SMTPSecure = $secure; $mail->SMTPAuth = true;
$mail->Username = $user; $mail->Password = $password; $mail->CharSet = "UTF-8";
$mail->SMTPOptions = ["ssl" => ["verify_peer" => false, "verify_peer_name" => false]];
$mail->setFrom($sender, "Änne"); $mail->addAddress("bob@example.net");
$mail->Subject = "id=$id für Böb"; $mail->Body = json_decode(getenv("TEXT"));
$mail->addStringAttachment(base64_decode(getenv("BYTES")), "alle Bytes ä.bin");
try { $mail->send(); echo "sent"; } catch (Exception $error) { echo $error->getMessage(), $mail->ErrorInfo; }
"""


@pytest.mark.parametrize(("door", "secure"), [(1, "tls"), (2, "ssl")])
def test_phpmailer(post: Post, door: int, secure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    need("php")
    give_mail(monkeypatch, "")
    words = ("php", "-r", PHP, "--", str(post.doors[door]), secure, ACCESS_KEY)
    assert run(*words, PASSWORD, SENDER, f"php-{secure}") == "sent"
    assert_unharmed(post.arrived(f"php-{secure}"))
    told = run(*words, PASSWORD, STRANGER, "no")
    assert "Email address is not verified. The following identities failed the check in region EU-CENTRAL-1" in told
    assert "Could not authenticate" in run(*words, "wrong", SENDER, "no")


def test_swaks_over_tls(post: Post, tmp_path: Path) -> None:
    need("swaks")
    mail = tmp_path / "mail"
    mail.write_bytes(composed("swaks").as_bytes(policy=email.policy.SMTP))
    words = ("swaks", "--server", f"127.0.0.1:{post.port}", "--to", "bob@example.net", "--timeout", "10")
    words += ("--tls", "--auth", "LOGIN", "--auth-user", ACCESS_KEY, "--data", f"@{mail}")
    told = run(*words, "--from", SENDER, "--auth-password", PASSWORD)
    assert " 250 Ok 0107" in told
    assert_unharmed(post.arrived("swaks"))
    told = run(*words, "--from", SENDER, "--auth-password", "wrong", expect=28)
    assert "535 Authentication Credentials Invalid" in told


def test_curl(post: Post, tmp_path: Path) -> None:
    need("curl")
    mail = tmp_path / "mail"
    mail.write_bytes(composed("curl").as_bytes(policy=email.policy.SMTP))
    words: tuple[str | Path, ...] = ("curl", "-v", "--ssl-reqd", "--url", f"smtp://{NAME}:{post.port}/client.example")
    words += ("--resolve", f"{NAME}:{post.port}:127.0.0.1", "--cacert", post.certificate, "--upload-file", mail)
    words += ("--user", f"{ACCESS_KEY}:{PASSWORD}", "--mail-rcpt", "bob@example.net", "--mail-from")
    run(*words, SENDER)
    assert_unharmed(post.arrived("curl"))
    mail.write_bytes(composed("no", STRANGER).as_bytes(policy=email.policy.SMTP))
    assert f"< {UNVERIFIED}" in run(*words, SENDER, expect=8)


def test_msmtp(post: Post, tmp_path: Path) -> None:
    need("msmtp")
    settings = tmp_path / "msmtprc"
    settings.write_text(
        textwrap.dedent(f"""\
        defaults
        auth on
        tls on
        tls_trust_file {post.certificate}
        account ours
        host 127.0.0.1
        tls_host_override {NAME}
        port {post.port}
        from {SENDER}
        user {ACCESS_KEY}
        password {PASSWORD}
        """)
    )
    settings.chmod(0o600)
    words = ("msmtp", "--file", str(settings), "--account=ours", "bob@example.net")
    run(*words, text=composed("msmtp").as_string())
    assert_unharmed(post.arrived("msmtp"))
    told = run(*words, expect=69, text=composed("no", STRANGER).as_string())
    assert "Email address is not verified" in told


def test_postfix_relays_through_us(post: Post) -> None:
    relay = f"[127.0.0.1]:{post.port}"
    more = textwrap.dedent(f"""\
        relayhost = {relay}
        smtp_sasl_auth_enable = yes
        smtp_sasl_password_maps = inline:{{{{{relay} = {ACCESS_KEY}:{PASSWORD}}}}}
        smtp_sasl_tls_security_options = noanonymous
        smtp_tls_security_level = encrypt
        smtpd_relay_restrictions = permit_mynetworks, reject
        smtpd_recipient_restrictions = permit_mynetworks, reject
        """)
    with Postfix(more=more) as postfix:
        with smtplib.SMTP("127.0.0.1", postfix.port) as client:
            client.send_message(composed("postfix"), to_addrs=["bob@away.example"])
            client.send_message(composed("no", STRANGER), to_addrs=["bob@away.example"])
        assert_unharmed(post.arrived("postfix"))
        ends = time.monotonic() + 15
        # The bounce for the stranger has the null sender, which cannot be relayed through SES either.
        for told in ("status=bounced", UNVERIFIED.partition(": ")[2][:30], "501 Invalid MAIL FROM address provided"):
            while told not in postfix.log:
                assert time.monotonic() < ends, postfix.log
                time.sleep(0.05)
