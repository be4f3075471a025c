"""What all leases promise, tested against the Protocol `Leases` only."""

from __future__ import annotations

from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incoming.registry import Leases

ID: Final = "an upload"
OTHER: Final = "another one"
WORK: Final = "deliver/an upload"
ONE_TEST_FOR_ALL: Final = (HealthCheck.function_scoped_fixture, HealthCheck.differing_executors)


class LeasesContract:
    """Needs a fixture `leases`: the leases of a service in which no upload is held."""

    def test_the_newest_claim_holds_the_upload(self, leases: Leases) -> None:
        assert leases.holder(ID) is None
        assert leases.take(ID, "first") is None
        assert leases.take(ID, "second") == "first"
        assert leases.holder(ID) == "second"
        assert leases.holder(OTHER) is None

    def test_a_lease_ends_when_its_claim_releases_it(self, leases: Leases) -> None:
        leases.take(ID, "first")
        assert leases.release(ID, "first")
        assert leases.holder(ID) is None
        assert not leases.release(ID, "first")
        assert leases.take(ID, "second") is None

    def test_a_claim_can_not_release_or_renew_the_lease_of_another(self, leases: Leases) -> None:
        leases.take(ID, "first", 10.0)
        leases.take(ID, "second", 20.0)
        assert not leases.release(ID, "first")
        assert not leases.renew(ID, "first", 99.0)
        assert leases.holder(ID) == "second"
        assert dict(leases.expired(20.0)) == {ID: "second"}

    def test_a_lease_without_a_deadline_never_expires(self, leases: Leases) -> None:
        leases.take(ID, "first")
        assert leases.renew(ID, "first", 10.0)
        assert dict(leases.expired(1e12)) == {}
        assert not leases.release(ID, "first", expired_at_s=1e12)
        assert leases.holder(ID) == "first"

    def test_a_lease_expires_at_its_deadline_and_is_held_until_it_is_released(self, leases: Leases) -> None:
        leases.take(ID, "first", 10.0)
        leases.take(OTHER, "second", 11.0)
        assert dict(leases.expired(9.9)) == {}
        assert not leases.release(ID, "first", expired_at_s=9.9)
        for _ in range(2):
            assert dict(leases.expired(10.0)) == {ID: "first"}
        assert leases.holder(ID) == "first"
        assert leases.release(ID, "first", expired_at_s=10.0)
        assert dict(leases.expired(11.0)) == {OTHER: "second"}

    def test_renewing_a_lease_never_moves_its_deadline_back(self, leases: Leases) -> None:
        leases.take(ID, "first", 10.0)
        assert leases.renew(ID, "first", 20.0)
        assert leases.renew(ID, "first", 15.0)
        assert dict(leases.expired(19.9)) == {}
        assert not leases.release(ID, "first", expired_at_s=19.9)
        assert dict(leases.expired(20.0)) == {ID: "first"}

    def test_a_lease_that_expired_may_still_be_renewed_or_taken(self, leases: Leases) -> None:
        leases.take(ID, "first", 10.0)
        assert dict(leases.expired(10.0)) == {ID: "first"}
        assert leases.renew(ID, "first", 20.0)
        assert dict(leases.expired(19.0)) == {}
        assert leases.take(ID, "second") == "first"
        assert dict(leases.expired(99.0)) == {}

    # --- work that one process does at a time ------------------------------------------------------------

    def test_work_that_was_acquired_is_nobody_elses_until_its_deadline(self, leases: Leases) -> None:
        assert leases.acquire(WORK, "first", 10.0, now_s=0.0)
        assert not leases.acquire(WORK, "second", 20.0, now_s=9.9)
        assert leases.acquire(OTHER, "second", 20.0, now_s=9.9)
        assert leases.holder(WORK) == "first"
        assert leases.acquire(WORK, "second", 20.0, now_s=10.0)
        assert not leases.acquire(WORK, "first", 30.0, now_s=10.0)
        assert leases.holder(WORK) == "second"

    def test_the_holder_of_work_may_acquire_it_again_and_renew_it(self, leases: Leases) -> None:
        assert leases.acquire(WORK, "first", 10.0, now_s=0.0)
        assert leases.acquire(WORK, "first", 20.0, now_s=5.0)
        assert leases.renew(WORK, "first", 30.0)
        assert leases.renew(WORK, "first", 25.0)
        assert not leases.renew(WORK, "second", 99.0)
        assert not leases.acquire(WORK, "second", 40.0, now_s=29.9)
        assert leases.acquire(WORK, "second", 40.0, now_s=30.0)
        assert not leases.renew(WORK, "first", 50.0)

    def test_released_work_can_be_acquired_by_another_owner(self, leases: Leases) -> None:
        assert leases.acquire(WORK, "first", 10.0, now_s=0.0)
        assert not leases.release(WORK, "second")
        assert not leases.release(WORK, "first", expired_at_s=9.9)
        assert leases.release(WORK, "first")
        assert leases.holder(WORK) is None
        assert not leases.release(WORK, "first")
        assert leases.acquire(WORK, "second", 10.0, now_s=0.0)

    def test_work_ends_by_itself_so_it_is_not_among_what_has_expired(self, leases: Leases) -> None:
        leases.take(ID, "first", 10.0)
        assert leases.acquire(WORK, "first", 10.0, now_s=0.0)
        assert dict(leases.expired(10.0)) == {ID: "first"}
        assert leases.acquire(WORK, "second", 20.0, now_s=10.0)

    # --- any order of calls --------------------------------------------------------------------------------

    @settings(derandomize=True, deadline=None, suppress_health_check=ONE_TEST_FOR_ALL)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["take", "renew", "release", "expire", "look"]),
                st.sampled_from("ab"),
                st.sampled_from("xyz"),
                st.none() | st.integers(0, 9),
                st.integers(0, 9),
            ),
            max_size=40,
        )
    )
    def test_any_order_of_calls_does_what_one_dict_does(
        self, leases: Leases, calls: list[tuple[str, str, str, int | None, int]]
    ) -> None:
        for ticket_id in "ab":
            leases.release(ticket_id, leases.holder(ticket_id) or "")
        model: dict[str, tuple[str, float | None]] = {}
        for what, ticket_id, token, until, now in calls:
            held, until_s = model.get(ticket_id, ("", None))
            mine, is_over = held == token, until_s is not None and until_s <= now
            match what:
                case "take":
                    assert leases.take(ticket_id, token, until) == (held or None)
                    model[ticket_id] = token, until
                case "renew":
                    assert leases.renew(ticket_id, token, now) is mine
                    if mine and until_s is not None:
                        model[ticket_id] = token, max(until_s, now)
                case "release":
                    assert leases.release(ticket_id, token) is mine
                    if mine:
                        del model[ticket_id]
                case "expire":
                    assert leases.release(ticket_id, token, expired_at_s=now) is (mine and is_over)
                    if mine and is_over:
                        del model[ticket_id]
                case _:
                    over = {key: of for key, (of, at) in model.items() if at is not None and at <= now}
                    assert dict(leases.expired(now)) == over
            for key in "ab":
                assert leases.holder(key) == (model[key][0] if key in model else None)
