"""Which pages there are, in groups: each has a name that its template says, and one place to be found at."""

from typing import NamedTuple


class Entry(NamedTuple):
    name: str
    """What a template calls its section."""
    label: str
    path: str


class Group(NamedTuple):
    label: str
    entries: tuple[Entry, ...]


GROUPS = (
    Group("Mail", (Entry("inbox", "Inbox", "/console/"), Entry("queue", "Queue", "/console/queue"))),
    Group(
        "Sending",
        (
            Entry("identities", "Identities", "/console/identities"),
            Entry("sets", "Configuration sets", "/console/sets"),
            Entry("templates", "Templates", "/console/templates"),
            Entry("suppression", "Suppression list", "/console/suppression"),
        ),
    ),
    Group(
        "Receiving",
        (
            Entry("rules", "Rule sets", "/console/rules"),
            Entry("filters", "IP filters", "/console/filters"),
            Entry("trial", "Try a mail", "/console/trial"),
        ),
    ),
    Group(
        "Events",
        (
            Entry("events", "Event log", "/console/events"),
            Entry("destinations", "Destinations", "/console/destinations"),
            Entry("topics", "Topics", "/console/topics"),
            Entry("metrics", "Metrics", "/console/metrics"),
        ),
    ),
    Group(
        "Account",
        (
            Entry("statistics", "Statistics", "/console/statistics"),
            Entry("accounts", "Accounts and keys", "/console/accounts"),
        ),
    ),
)


def group_of(section: str) -> Group | None:
    """The group whose page is open."""
    return next((group for group in GROUPS if any(entry.name == section for entry in group.entries)), None)
