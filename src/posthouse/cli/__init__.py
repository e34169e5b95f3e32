"""The command line: `posthouse VERB`, for operators and scripts; works beside a running server.

Follows contract section 2: exit status 0 done, 1 what was asked for failed, 2 bad usage or configuration; every listing
has `--json` in the shapes of the admin API. Trouble that an operator can end is one line on standard error, never a
traceback.
Flow: entry.main -> the module named like the verb, imported when it is asked for -> session.run -> operations, stores.
May import: everything; nobody imports it.   Not here: rules of any kind, SQL, the wiring (assembly/).
To add a verb: a module with a click command named `command`, one line in entry.VERBS, a paragraph in
docs/reference/command-line.md.
"""

from posthouse.cli.entry import main

__all__ = ["main"]
