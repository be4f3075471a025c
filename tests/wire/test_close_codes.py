"""Which close codes a frame may carry (RFC 6455 section 7.4.2). Each code is tried in test_frames."""

from __future__ import annotations

import pytest

from incoming.wire import close_codes

CODES = {name: code for name, code in vars(close_codes).items() if name.isupper() and isinstance(code, int)}


def test_no_two_close_codes_have_one_number() -> None:
    assert len(set(CODES.values())) == len(CODES)


@pytest.mark.parametrize("name", CODES)
def test_every_code_but_the_two_stand_ins_may_be_sent(name: str) -> None:
    assert close_codes.may_be_sent(CODES[name]) == (name not in ("NO_CODE", "ABNORMAL"))
