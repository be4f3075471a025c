import pytest

pytest.register_assert_rewrite("tests.storage.contract", "tests.storage.s3.notes.manifests_contract")
