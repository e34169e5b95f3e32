"""The doors people and scripts use: console, admin API, the emulators' list of sent mail, verification links, tracked
links and pixels, health and metrics.

Follows RFC 9457 (problem documents), "Server-sent events" of the WHATWG HTML standard, RFC 7617 (Basic), and what
local emulators of SES made customary for ``/_aws/ses``.
Flow: app (probes; loads the rest on first use) -> tracking, or site (routes) -> guard (who may) -> admin_*, console* or
emulator -> reading, timeline, told, why, charts -> views.
May import: operations and below; in fact submission, ports, mail, domain.
Not here: the SES API (api/), what is kept (stores/), metrics themselves (observe). No script of ours runs on a mail's
page, and nothing of a mail is ever served as something a browser would run.
To add an admin endpoint: one handler in admin_*.py, one line in routes.ADMIN; the OpenAPI document follows by itself.
To add a page: one handler and one row of PAGES in console_*.py, a template, a line in navigation.GROUPS.
"""
