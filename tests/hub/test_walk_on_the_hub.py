"""What docs/hub.md says about the Hub, taken word for word."""

import pytest
from walk_on_the_hub import walk


@pytest.mark.slow
def test_the_pages_commands_lead_to_the_hub_and_back(hub, tmp_path):
    walk(hub, tmp_path / "user")
