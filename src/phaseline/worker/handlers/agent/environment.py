"""What an agent may see of its worker's environment."""

from __future__ import annotations

import os
from collections.abc import Sequence

from phaseline.worker.handlers.agent.adapter import Adapter
from phaseline.worker.handlers.agent.config import AgentConfig
from phaseline.worker.handlers.workdir import passed_on

#: What any program needs that calls services and keeps settings, besides what every program gets.
_HARMLESS = (
    "USER",
    "LOGNAME",
    "SHELL",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    *("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("all_proxy", "http_proxy", "https_proxy", "no_proxy"),
)


def variables_of_worker(
    adapter: Adapter, names: Sequence[str], config: AgentConfig
) -> dict[str, str]:
    """Return the environment of an agent, but for what it is told of its phase."""
    wanted = (*_HARMLESS, *adapter.environment, *names, *config.pass_env)
    prefixes = tuple(name.removesuffix("*") for name in wanted if name.endswith("*"))
    matching = [name for name in os.environ if prefixes and name.startswith(prefixes)]
    trusted = {} if config.cwd else adapter.in_own_directory
    return {**passed_on([*wanted, *matching]), **trusted, **config.variables}
