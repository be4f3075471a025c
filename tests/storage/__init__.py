import pytest

pytest.register_assert_rewrite("tests.storage.contract", "tests.storage.s3.metadata.manifests_contract")
