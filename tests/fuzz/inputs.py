"""How many inputs a fuzz test makes: one variable for all of them, as `make fuzz INPUTS=1000000` sets it."""

import os


def inputs(usual: int) -> int:
    """POSTHOUSE_FUZZ_INPUTS for each test where it is set; else `usual`, which takes a few seconds."""
    return int(os.environ.get("POSTHOUSE_FUZZ_INPUTS", usual))
