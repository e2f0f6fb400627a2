from __future__ import annotations

import pytest

pytest.importorskip("taskiq", reason="the extra [workers] is not installed")
pytest.importorskip("taskiq_redis", reason="the extra [workers] is not installed")
pytest.importorskip("limits", reason="the extra [redis] is not installed")
