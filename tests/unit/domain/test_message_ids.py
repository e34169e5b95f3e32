"""Message ids: SES's form, in order of time."""

import re

from posthouse.domain.message_ids import incoming_id, outgoing_id, region_prefix


def test_an_outgoing_id_has_the_form_of_ses() -> None:
    made = outgoing_id("us-east-1", 0x18F01234567, bytes(range(16)))
    assert re.fullmatch(r"[0-9a-f]{16}-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}-000000", made)
    assert made.startswith("0100018f01234567-")
    assert len(made) == 60


def test_ids_sort_by_time() -> None:
    early, late = (outgoing_id("eu-west-1", at, bytes(16)) for at in (1_700_000_000_000, 1_700_000_000_001))
    assert early < late
    early, late = (
        incoming_id(at, bytes([255 - i] * 20)) for i, at in enumerate((1_700_000_000_000, 1_700_000_000_001))
    )
    assert early < late


def test_an_incoming_id_is_forty_characters() -> None:
    assert re.fullmatch(r"[0-9a-v]{40}", incoming_id(1_700_000_000_000, bytes(range(20))))


def test_regions_have_the_observed_prefixes_and_others_a_stable_one() -> None:
    assert region_prefix("eu-west-1") == "0102"
    assert region_prefix("xx-test-9") == region_prefix("xx-test-9")
    assert re.fullmatch(r"01[89a-f][0-9a-f]", region_prefix("xx-test-9"))
