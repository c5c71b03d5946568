import pytest

pytest.register_assert_rewrite("benchmark_conformance")
