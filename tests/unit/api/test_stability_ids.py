"""Ids as Stability's look."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from api.stability.ids import generation_id, job_of

job_ids = st.binary(min_size=16, max_size=16).map(lambda raw: str(ULID.from_bytes(raw)).lower())


@given(job_ids)
def test_an_id_leads_back_to_its_job(job_id: str) -> None:
    generation = generation_id(job_id)

    assert re.fullmatch("[0-9a-f]{64}", generation)
    assert job_of(generation) == job_id


@given(st.text("0123456789abcdef", min_size=64, max_size=64))
def test_an_id_of_stabilitys_own_is_nobodys(generation: str) -> None:
    assert job_of(generation) is None


@given(job_ids, st.integers(0, 63))
def test_a_mistyped_id_is_nobodys(job_id: str, place: int) -> None:
    good = generation_id(job_id)
    digit = "0" if good[place] != "0" else "1"

    assert job_of(good[:place] + digit + good[place + 1 :]) is None


@pytest.mark.parametrize("text", ["", "x" * 64, "A" * 64, "é" * 64, "٣" * 64, "0" * 63, "0" * 65])
def test_what_is_no_id_is_nobodys(text: str) -> None:
    assert job_of(text) is None
