"""A Hub for the clients of this very process, which read their settings once, when imported."""

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
from huggingface_hub import HfFileSystem, close_session

from .local import Hub


class LocalHub(Hub):
    """A Hub that huggingface_hub, transformers and datasets of this process talk to."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self.waits: list[float] = []
        """Seconds that huggingface_hub would have slept before trying again; it does not."""
        self._monkeypatch = monkeypatch

    def __enter__(self) -> Self:
        super().__enter__()
        clock = SimpleNamespace(**vars(time))
        clock.sleep = self.waits.append
        self._monkeypatch.setattr("huggingface_hub.utils._http.time", clock)
        self._monkeypatch.setattr("huggingface_hub.file_download.time", clock)
        self.use()
        return self

    def __exit__(self, *exception: object) -> None:
        forget_connections()
        super().__exit__(*exception)

    def use(self, **options: Any) -> None:
        """Point this process's clients here, with the options of `environment`."""
        environment = self.environment(**options)
        for name in os.environ.keys() - environment.keys():
            self._monkeypatch.delenv(name)
        for name, value in environment.items():
            self._monkeypatch.setenv(name, value)
        for name, value in client_settings(environment).items():
            self._monkeypatch.setattr(name, value)
        forget_connections()


def client_settings(environment: dict[str, str]) -> dict[str, Any]:
    """Every name under which the clients keep what they read from `environment` when imported."""
    endpoint, home = environment["HF_ENDPOINT"], Path(environment["HF_HOME"])
    offline = "HF_HUB_OFFLINE" in environment
    downloads = home / "datasets" / "downloads"
    modules = {
        "huggingface_hub.constants": {
            "ENDPOINT": endpoint,
            "HUGGINGFACE_CO_URL_TEMPLATE": endpoint + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_OFFLINE": offline,
            "HF_HOME": str(home),
            "HF_HUB_CACHE": str(home / "hub"),
            "HUGGINGFACE_HUB_CACHE": str(home / "hub"),
            "HF_TOKEN_PATH": str(home / "token"),
            "HF_STORED_TOKENS_PATH": str(home / "stored_tokens"),
            "AGENT_HARNESSES_PATH": str(home / ".agent_harnesses.json"),
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_DISABLE_TELEMETRY": True,
        },
        "huggingface_hub.hf_api.api": {"endpoint": endpoint},
        "huggingface_hub.utils._cache_manager": {"HF_HUB_CACHE": str(home / "hub")},
        "transformers.utils.hub": {"_hf_api": None, "HF_MODULES_CACHE": str(home / "modules")},
        "transformers.dynamic_module_utils": {"HF_MODULES_CACHE": str(home / "modules")},
        "datasets.config": {
            "HF_ENDPOINT": endpoint,
            "HUB_DATASETS_URL": endpoint + "/datasets/{repo_id}/resolve/{revision}/{path}",
            "HF_HUB_OFFLINE": offline,
            "HF_DATASETS_OFFLINE": offline,
            "HF_UPDATE_DOWNLOAD_COUNTS": False,
            "HF_CACHE_HOME": str(home),
            "HF_DATASETS_CACHE": home / "datasets",
            "HF_MODULES_CACHE": home / "modules",
            "DOWNLOADED_DATASETS_PATH": downloads,
            "EXTRACTED_DATASETS_PATH": downloads / "extracted",
            "STREAMING_OPEN_RETRY_INTERVAL": 0,
            "STREAMING_READ_RETRY_INTERVAL": 0,
            "STREAMING_READ_RATE_LIMIT_RETRY_INTERVAL": 0,
            "STREAMING_READ_SERVER_UNAVAILABLE_RETRY_INTERVAL": 0,
        },
    }
    return {
        f"{module}.{name}": value
        for module, names in modules.items()
        for name, value in names.items()
    }


def forget_connections() -> None:
    """Drop open connections, and the file systems that remember listings and who asked."""
    close_session()
    HfFileSystem.clear_instance_cache()
