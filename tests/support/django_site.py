"""A Django site with the webhook views of django-ses and django-anymail, as their manuals set them up.

    python -m tests.support.django_site PORT EVENTS_FILE CERTIFICATE_DOMAIN API_URL

What their signals tell is appended to EVENTS_FILE, a JSON line each.
"""

import json
import os
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

PORT, EVENTS, CERTIFICATES, API = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
SECRET = "ann:s3cret"


def told(library: str, kind: str, recipient: str, message: Any) -> None:
    """`message`: SES's own, whole."""
    form = "event" if "eventType" in message else "notification"
    about = {"form": form, "message_id": message["mail"]["messageId"]}
    line = json.dumps({"library": library, "kind": kind, "recipient": recipient, **about}) + "\n"
    with EVENTS.open("a") as file:
        file.write(line)


def configure() -> None:
    import django
    from django.conf import settings

    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="tests",
        INSTALLED_APPS=["anymail"],
        USE_TZ=True,
        AWS_SNS_EVENT_CERT_TRUSTED_DOMAINS=[CERTIFICATES],
        ANYMAIL={
            "WEBHOOK_SECRET": SECRET,
            "AMAZON_SES_CLIENT_PARAMS": {
                "endpoint_url": API,
                "region_name": "us-east-1",
                "aws_access_key_id": "posthouse",
                "aws_secret_access_key": "posthouse-secret",
            },
        },
    )
    django.setup()


configure()

from anymail.signals import inbound, tracking  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from django_ses import signals  # noqa: E402
from django_ses.views import SESEventWebhookView  # noqa: E402

urlpatterns = [
    path("ses/events/", csrf_exempt(SESEventWebhookView.as_view())),
    path("anymail/", include("anymail.urls")),
]


KINDS = ("send", "delivery", "bounce", "complaint", "open", "click")


def on_django_ses(sender: Any, mail_obj: Any, raw_message: bytes, **given: Any) -> None:
    [kind] = [kind for kind in KINDS if f"{kind}_obj" in given]
    about = given[f"{kind}_obj"]
    listed = about.get("bouncedRecipients") or about.get("complainedRecipients")
    recipient = listed[0]["emailAddress"] if listed else about.get("recipients", mail_obj["destination"])[0]
    told("django-ses", kind, recipient, json.loads(json.loads(raw_message)["Message"]))


def on_tracking(sender: Any, event: Any, **_: Any) -> None:
    told("anymail", event.event_type, event.recipient, event.esp_event)


def on_inbound(sender: Any, event: Any, **_: Any) -> None:
    mail = event.message
    shown = f"{mail.envelope_recipient} {mail.from_email} {mail.subject} {(mail.text or '').strip()}"
    told("anymail", "inbound", shown, event.esp_event)


class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


if __name__ == "__main__":
    from django.core.wsgi import get_wsgi_application

    for kind in KINDS:
        getattr(signals, f"{kind}_received").connect(on_django_ses, weak=False)
    tracking.connect(on_tracking, weak=False)
    inbound.connect(on_inbound, weak=False)
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    make_server("127.0.0.1", PORT, get_wsgi_application(), Threads).serve_forever()
