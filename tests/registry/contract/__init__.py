"""What every registry, every set of leases and every news channel promises, tested against the Protocols.

An implementation gets the tests of a suite with a subclass of it and one fixture.
"""

import pytest

pytest.register_assert_rewrite(
    "tests.registry.contract.leases", "tests.registry.contract.news", "tests.registry.contract.registry"
)
