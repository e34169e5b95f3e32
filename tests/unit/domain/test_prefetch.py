"""Which openings and clicks are marked as a program's."""

import pytest

from posthouse.domain.prefetch import TOO_SOON_MS, Hit, sign_of_a_program

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0"


@pytest.mark.parametrize(
    "agent",
    [
        FIREFOX,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
        "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17531; Pro)",
        "Mozilla/5.0 (Linux; Android 12; CUBOT X50) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36",
        "curl/8.5.0",
        "python-requests/2.32.0",
    ],
)
def test_people_are_not_marked(agent: str) -> None:
    assert sign_of_a_program(Hit(agent, "", TOO_SOON_MS)) == ""


@pytest.mark.parametrize(
    ("agent", "purpose", "sign"),
    [
        (FIREFOX, "prefetch;prerender", "purpose header"),
        (FIREFOX, "Preview", "purpose header"),
        ("", "", "no user agent"),
        ("Mozilla/5.0", "", "privacy proxy"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "", "scanner"),
        ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "", "scanner"),
        ("BarracudaCentral/1.0", "", "scanner"),
        ("Mozilla/5.0 (X11) HeadlessChrome/120.0", "", "scanner"),
        ("SkypeUriPreview Preview/0.5", "", "scanner"),
    ],
)
def test_programs_are(agent: str, purpose: str, sign: str) -> None:
    assert sign_of_a_program(Hit(agent, purpose, 10**6)) == sign


def test_nobody_reads_before_a_mail_can_be_there() -> None:
    assert sign_of_a_program(Hit(FIREFOX, "", TOO_SOON_MS - 1)) == "too soon"
