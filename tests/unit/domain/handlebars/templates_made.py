"""Makes templates and data for them, from a seed: every construct within every other, white space of every kind.

The maker knows what the context is where it writes, so that few templates run into a missing attribute.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SCALARS = ("word", "", "two words", "a\nb", 0, 1, -7, 1.0, 2.5, 1e21, 1.5e-7, 12345678901234567890, True, False)
TEXTS = (
    *("x", "Hi ", " ", "\n", "\n\n", "  \n", "\n  ", "\t", "\r\n", " \r\n ", "a\n", "\nb", "a b\n  c", "<&>\"'`="),
    *(
        " } ",
        "{ .",
        "\\ ",
        r"\{{text}}",
        r"\{{a}} \{{b}}",
        r"\{{{text}}}",
        r"x\\{{@root.text}}",
        "\r",
        "\u00a0\n",
        "\ufeff",
    ),
)
COMMENTS = ("{{! note }}", "{{!-- a }} b --}}", "{{~! x ~}}", "{{!--\nlines\n--~}}", "{{!}}", "{{!---}}", "{{!----}}")
ANYWHERE = (
    "this",
    ".",
    "@root.one",
    "@root.text",
    "@root.objects.0.text",
    "@root.list",
    "@root.box.nothing",
    "@root.s.yes",
)
IN_OBJECTS = (
    *(
        "one",
        "list",
        "yes",
        "no",
        "zero",
        "text",
        "big",
        "small",
        "this.one",
        "./float",
        "this/text",
        "[text]",
        "empty",
    ),
    *("list.0", "list.[1]", "list.length", "[two words]", '"two words"', "mixed", "nested", "as", "this.else", "./if"),
    *(
        "[this]",
        "lookup this 'text'",
        "lookup list 0",
        "lookup . (lookup this 'name')",
        "lookup list 99",
        "[a\\]b]",
        "12",
    ),
)
DEEPER = ("s.one", "s.text", "s/list.[0]", "objects.0.one", "objects.[1].text", "s", "lookup s 'one'", "this.s.big")
AROUND = ("../one", "../text", "../list", "../[two words]", "../list.0", "..")
CONDITIONS = (
    *("true", "false", "0", "1", '""', "'x'", "null", "undefined", "absent", "absent.more", "@root.yes", "@root.no"),
    *(
        "@root.zero",
        "@root.text",
        "@root.empty",
        "@root.list",
        "@root.s",
        "@first",
        "@absent",
        "../absent",
        "../../yes",
    ),
    *("(lookup @root 'yes')", "(lookup @root (lookup absent 'x'))", "this", "this.yes"),
)
VALUE = None
"""The context is no object."""


class Maker:
    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._pick = self._chance.choice
        self._partials: list[str] = []
        self._params: list[str] = []
        self._loops = 0
        self._contexts: list[int | None] = [3]
        """How deep the objects of the context, and of those around it, have further ones in them."""

    def _often(self, probability: float) -> bool:
        return self._chance.random() < probability

    # -- data

    def data(self, depth: int = 3) -> dict[str, Any]:
        made: dict[str, Any] = {
            # First, since JavaScript puts it there.
            "12": "twelve",
            "one": 1, "yes": True, "no": False, "zero": 0, "text": self._pick(("word", "two words", "a\nb")),
            "big": self._pick((1e21, 12345678901234567890, 123456.789, 1e300)),
            "small": self._pick((1.5e-7, 0.000001, -0.25)), "float": self._pick((1.0, 2.5, 100.0)),
            "list": [self._pick(SCALARS) for _ in range(self._pick((2, 2, 3, 4)))], "empty": [],
            "two words": self._pick(SCALARS), "mixed": self._pick((*SCALARS, [], [[1, [None, 2]], []])),
            "nested": [[1, 2], [], [3]], "as": "as", "else": "else", "if": "if", "this": "own", "name": "text",
            "a]b": "bracket",
        }  # fmt: skip
        if depth:
            made["s"] = self.data(depth - 1)
            made["objects"] = [self.data(depth - 1) for _ in range(2)]
        if depth == 3:
            # Not deeper: where a context is null, handlebars.js puts an empty object in its place, but not always.
            made["box"] = {"nothing": None}
        return made

    # -- templates

    def template(self) -> str:
        return "".join([*(self._inline(2) for _ in range(self._pick((0, 0, 1, 2)))), self._content(3)])

    def _content(self, depth: int) -> str:
        return "".join(self._piece(depth) for _ in range(self._pick((1, 2, 3, 4))))

    def _piece(self, depth: int) -> str:
        kinds = [self._text, self._text, self._value, self._value, self._value, self._comment, self._partial]
        if depth:
            kinds += [self._if, self._each, self._with, self._plain, self._inverted, self._partial_block, self._scope]
            kinds += [self._if, self._each]
        return self._pick(kinds)(depth)

    def _text(self, depth: int) -> str:
        return self._pick(TEXTS)

    def _comment(self, depth: int) -> str:
        return self._around(self._pick(COMMENTS))

    def _tilde(self) -> str:
        return "~" if self._often(0.1) else ""

    def _tag(self, inner: str, sign: str = "") -> str:
        space = "" if inner == "^" else self._pick(("", "", "", " ", "\n"))
        return f"{{{{{self._tilde()}{sign}{space}{inner}{space}{self._tilde()}}}}}"

    def _around(self, tag: str) -> str:
        """Often on a line of its own."""
        before, after = self._pick((("", ""), ("\n", "\n"), ("\n  ", "\n"), ("\r\n", " \r\n"), ("  ", "\n")))
        return f"{before}{tag}{after}"

    @contextmanager
    def _inside(self, *contexts: int | None, params: tuple[str, ...] = (), loop: bool = False) -> Iterator[None]:
        self._contexts += contexts
        self._params += params
        self._loops += loop
        yield
        self._loops -= loop
        del self._params[len(self._params) - len(params) :]
        del self._contexts[len(self._contexts) - len(contexts) :]

    def _value(self, depth: int) -> str:
        if self._often(0.1):
            # No numbers: side by side, handlebars.js would add them up.
            return self._pick(("{{{@root.text}}}", "{{&@root.text}}", "{{~{@root.s.text}~}}"))
        known = list(ANYWHERE)
        if (here := self._contexts[-1]) is not VALUE:
            known += IN_OBJECTS * 2 + DEEPER * (here > 0)
        if len(self._contexts) > 1 and self._contexts[-2] is not VALUE:
            known += AROUND
        if self._loops:
            known += ("@index", "@key", "@first", "@last") * 3
        known += self._params * 5
        return self._tag(self._pick(known))

    # -- blocks

    def _condition(self) -> str:
        return self._pick((*CONDITIONS, *self._params))

    def _otherwise(self, depth: int) -> str:
        made = ""
        while self._often(0.25):
            made += self._around(self._tag(f"else {self._pick(('if', 'unless'))} {self._condition()}"))
            made += self._content(depth - 1)
        if self._often(0.5):
            made += self._around(self._tag(self._pick(("else", "^")))) + self._content(depth - 1)
        return made

    def _block(self, opening: str, name: str, inner: str, depth: int) -> str:
        start, end = self._around(self._tag(opening, "#")), self._around(self._tag(name, "/"))
        return start + inner + self._otherwise(depth) + end

    def _if(self, depth: int) -> str:
        kind = self._pick(("if", "if", "unless"))
        zero = f" includeZero={self._pick(('true', 'false', '@root.yes'))}" if self._often(0.1) else ""
        return self._block(f"{kind} {self._condition()}{zero}", kind, self._content(depth - 1), depth)

    def _target(self) -> tuple[str, int | None, int | None]:
        """Something to go into: what, the context it gives, and the one that each of its items gives."""
        here = self._contexts[-1]
        found: list[tuple[str, int | None, int | None]] = [
            ("@root.s", 2, VALUE), ("@root.objects", 0, 2), ("@root.list", VALUE, VALUE), ("absent", VALUE, VALUE),
            ("@root.text", VALUE, VALUE), ("@root.zero", VALUE, VALUE), ("@root.empty", VALUE, VALUE),
            ("@root.no", VALUE, VALUE), ("@root.box.nothing", VALUE, VALUE), ("@root.nested", VALUE, VALUE),
        ]  # fmt: skip
        if here is not VALUE:
            found += [("list", VALUE, VALUE), ("nested", VALUE, VALUE), ("this", here, VALUE), ("yes", VALUE, VALUE)]
        if here:
            found += [("s", here - 1, VALUE), ("objects", VALUE, here - 1), ("objects.0", here - 1, VALUE)] * 3
        return self._pick(found)

    def _named(self, *names: str) -> tuple[str, tuple[str, ...]]:
        if self._often(0.7):
            return "", ()
        chosen = tuple(f"{name}{len(self._params)}" for name in names)
        return f" as |{' '.join(chosen)}|", chosen

    def _each(self, depth: int) -> str:
        written, params = self._named("item", "at")
        what, _, item = self._target()
        with self._inside(item, params=params, loop=True):
            inner = self._content(depth - 1)
        return self._block(f"each {what}{written}", "each", inner, depth)

    def _with(self, depth: int) -> str:
        written, params = self._named("held")
        what, context, _ = self._target()
        # The same context again counts no level for "../".
        with self._inside(*(() if what == "this" else (context,)), params=params):
            inner = self._content(depth - 1)
        return self._block(f"with {what}{written}", "with", inner, depth)

    def _plain(self, depth: int) -> str:
        what, context, item = self._target()
        if what.startswith("@") or what == "this":
            return self._value(depth)
        # For a list it is each.
        with self._inside(item if what in ("objects", "list", "nested") else context):
            inner = self._content(depth - 1)
        return self._block(what, what, inner, depth)

    def _inverted(self, depth: int) -> str:
        what = self._pick(("no", "yes", "empty", "absent", "if @root.no", "unless @root.yes"))
        other = ""
        if self._often(0.4):
            with self._inside(VALUE):
                other = self._tag(self._pick(("else", "^"))) + self._content(depth - 1)
        opening, closing = self._tag(what, "^"), self._tag(what.split()[0], "/")
        return self._around(opening) + self._content(depth - 1) + other + self._around(closing)

    # -- partials

    def _inline(self, depth: int) -> str:
        name = f"p{len(self._partials)}"
        # No parameters of blocks around it: handlebars.js looks for those one block too far out.
        kept = self._params, self._loops, self._contexts
        self._params, self._loops, self._contexts = [], 0, [0]
        inner = self._content(depth - 1)
        self._params, self._loops, self._contexts = kept
        self._partials.append(name)
        start = self._tag(f'inline "{name}"', self._pick(("#*", "#* ")))
        return self._around(start) + inner + self._around(self._tag("inline", "/"))

    def _scope(self, depth: int) -> str:
        """A block with an inline partial of its own."""
        kind, what, context = self._pick(
            (("if", "@root.yes", None), ("with", "@root.s", 2), ("each", "@root.objects", 2))
        )
        before = list(self._partials)
        with self._inside(*(() if kind == "if" else (context,)), loop=kind == "each"):
            inner = self._inline(1) + self._content(depth - 1)
        self._partials = before
        return f"{{{{#{kind} {what}}}}}{inner}{{{{/{kind}}}}}"

    def _call(self, name: str) -> str:
        withs = [
            " @root.s",
            " @root.objects.0",
            " @root.s text='given' float=@root.one",
            " @root (lookup @root 's')"[:6],
        ]
        if self._contexts[-1] is not VALUE:
            withs += ["", "", "", " this", " one=@root.list"]
        return name + self._pick(withs)

    def _partial(self, depth: int) -> str:
        if not self._partials:
            return self._value(depth)
        name = self._pick((self._pick(self._partials), f'(lookup @root "{self._pick(("absent", "text"))}")'))
        if name.startswith("("):
            return self._value(depth)
        return self._around(self._tag(self._call(name), ">"))

    def _partial_block(self, depth: int) -> str:
        name = self._pick([*self._partials, "none"])
        inner = self._content(depth - 1)
        return self._around(self._tag(self._call(name), "#>")) + inner + self._around(self._tag(name, "/"))
