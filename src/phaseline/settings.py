"""The settings: where each comes from, what it means and what it is by default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from phaseline.domain.duration import format_duration, parse_duration

DEFAULT_ADDRESS = "127.0.0.1:7171"
ENVIRONMENT_PREFIX = "PHASELINE_"
CONFIG_VARIABLE = "PHASELINE_CONFIG"
CONFIG_FILE = Path("phaseline.toml")

_DEFAULTS_IN_WORDS = {
    "db": "`phaseline.db` in `$XDG_DATA_HOME/phaseline`",
    "worker.worker_id": "host and process",
    "worker.work_root": "`phaseline/agents` in `$XDG_STATE_HOME`",
}
_POSTGRESQL = ("postgresql", "postgresql+asyncpg")
_SQLITE = ("sqlite", "sqlite+aiosqlite")
_ONLY_IN_THE_FILE = ("prices",)

#: What a value must be, by the type of pydantic's error.
_WANTED = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "byte_size": 'must be a size such as "1 MiB"',
    "byte_size_unit": 'must be a size such as "1 MiB"',
    "decimal_parsing": "must be a number",
    "dict_type": "must be a table",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "model_type": "must be a table",
    "path_type": "must be a path",
    "string_type": "must be text",
    "tuple_type": "must be a list",
}


class SettingsError(Exception):
    """A setting is unknown or has a value it cannot have; the text says which and where from."""


def _to_duration(value: object) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    return value


def _off(value: object) -> object:
    return None if value is False or value in ("", "off", "never") else value


def _to_names(value: object) -> object:
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return value


def _to_counts(value: object) -> object:
    """Read "gpu=2,cpu=8", as an environment variable or a flag has it."""
    if not isinstance(value, str):
        return value
    pairs = (pair.partition("=") for pair in value.split(",") if pair.strip())
    return {name.strip(): count for name, _, count in pairs}


Duration = Annotated[timedelta, BeforeValidator(_to_duration), Field(ge=timedelta())]
OptionalDuration = Annotated[Duration | None, BeforeValidator(_off)]
Names = Annotated[tuple[str, ...], BeforeValidator(_to_names)]
Count = Annotated[int, Field(ge=1)]
OptionalCount = Annotated[Count | None, BeforeValidator(_off)]


def _said(default: object, description: str, **rules: Any) -> Any:
    return Field(default, description=description, **rules)


class Section(BaseModel):
    """A table of the file, a prefix of the environment variables."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Limits(Section):
    """What a caller may ask for at most."""

    request_size: ByteSize = _said("16 MiB", "largest request", gt=0)
    payload_size: ByteSize = _said("1 MiB", "largest payload inline, output or artifact", gt=0)
    inputs_size: ByteSize = _said("256 KiB", "inputs of an execution together", gt=0)
    phases_per_workflow: Count = _said(100, "phases of a workflow")
    tree_depth: Count = _said(32, "levels of a tree of executions")
    tree_size: Count = _said(10_000, "executions in a tree")
    active_executions: Count = _said(100_000, "active executions in a workspace")
    batch_size: Count = _said(1_000, "executions started by one ExecuteBatch")
    watches_per_process: Count = _said(10_000, "watches open in one server process")
    watches_per_workspace: Count = _said(5_000, "watches of a workspace in one server process")


class Leases(Section):
    """What a worker gets that does not say."""

    duration: Duration = _said(
        "30s",
        "time to live of a lease; a worker that is silent as long has lost its phase",
        ge=timedelta(seconds=5),
        le=timedelta(minutes=10),
    )
    wait: Duration = _said(
        "30s", "longest wait of a poll that finds no phase", le=timedelta(seconds=60)
    )
    grace_period: Duration = _said(
        "30s", "how long workers may take to stop after a cancellation", le=timedelta(minutes=10)
    )


class Retention(Section):
    """How long things are kept."""

    changes: Duration = _said(
        "7d", "how long the change log is kept; a watch resumes from anywhere in it"
    )
    changes_count: OptionalCount = _said(None, "most changes kept; off sets no limit")
    request_ids: Duration = _said("7d", "how long a request_id is remembered", ge=timedelta(days=7))
    purge_after: OptionalDuration = _said(
        None, "erase the content of executions that ended so long ago; off keeps it"
    )
    delete_after: OptionalDuration = _said(
        None, "delete executions that ended so long ago; off keeps them"
    )


class Watch(Section):
    """How watches behave that do not say."""

    bookmark_interval: Duration = _said(
        "15s",
        "longest silence of a watch",
        ge=timedelta(seconds=1),
        le=timedelta(minutes=5),
    )
    max_age: Duration = _said(
        "30m", "the server closes a watch at this age; clients go on with a new one"
    )


class Worker(Section):
    """The worker of `phaseline worker` and the one inside `phaseline dev`."""

    slots: Count = _said(16, "phases it runs at the same time")
    queues: Names = _said(("default",), "queues it takes phases from")
    modules: Names = _said((), "Python modules with handlers, imported at start")
    worker_id: str = _said("", "its name, unique among those running")
    deployment_id: str = _said("", "code version that it announces")
    pass_environment: Names = _said(
        (), "variables of the worker that its programs and agents see besides the harmless ones"
    )
    work_root: Path | None = _said(None, "where agents work that are given no directory")


class Price(Section):
    """US dollars for a million tokens of a model."""

    input: Decimal = _said(Decimal(0), "input tokens", ge=0)
    output: Decimal = _said(Decimal(0), "output tokens", ge=0)
    cache_creation: Decimal = _said(Decimal(0), "input tokens written to a cache", ge=0)
    cache_read: Decimal = _said(Decimal(0), "input tokens read from a cache", ge=0)


class Settings(BaseSettings):
    """Every setting of the server, the worker and the client. Made by `load`."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="_",
        env_nested_max_split=1,
        enable_decoding=False,
    )

    listen: str = _said(DEFAULT_ADDRESS, "address that the server listens on")
    db: str = _said("", "path of a SQLite file, or URL of a SQLite or PostgreSQL database")
    db_pool_size: Count = _said(
        8, "connections to PostgreSQL for reads; a process has two more, to write and to listen"
    )
    db_listen: bool = _said(
        True, "hear of what others commit, on connections of its own; false behind a pooler"
    )
    db_prepare: bool = _said(
        True, "keep statements prepared; false behind a pooler that cannot pass them on"
    )
    credentials_file: Path | None = _said(None, "file of the bearer tokens that are accepted")
    insecure: bool = _said(
        False, "listen beyond this machine although there are no credentials or no TLS"
    )
    tls_certificate: Path | None = _said(None, "certificate chain of the server, PEM")
    tls_key: Path | None = _said(None, "private key of that certificate, PEM")
    drain_timeout: Duration = _said("30s", "how long a server or worker may take to stop")
    log_level: Literal["debug", "info", "warning", "error"] = _said("info", "least severe line")
    log_format: Literal["auto", "console", "json"] = _said(
        "auto", "form of a log line; auto is console on a terminal and json elsewhere"
    )
    queue_concurrency: Annotated[dict[str, Count], BeforeValidator(_to_counts)] = _said(
        {}, "most phases leased at the same time, by queue"
    )
    prices: dict[str, Price] = _said(
        {}, "US dollars for a million tokens, by model, before those that are built in"
    )
    limits: Limits = Limits()
    leases: Leases = Leases()
    retention: Retention = Retention()
    watch: Watch = Watch()
    worker: Worker = Worker()

    server: str = _said(DEFAULT_ADDRESS, "address of the server that commands and workers call")
    token: SecretStr | None = _said(None, "bearer token that they send")
    tls: bool = _said(False, "they use TLS, and trust the certificates of the system")
    ca: Path | None = _said(None, "certificates that they trust instead, PEM; implies tls")
    output: Literal["table", "json", "yaml"] = _said("table", "form in which commands print")

    @field_validator("listen")
    @classmethod
    def _has_a_port(cls, value: str) -> str:
        port = value.rpartition(":")[2]
        if not value.startswith("unix:") and not (port.isdecimal() and int(port) < 1 << 16):
            raise ValueError('must be "host:port" or "unix:path"')
        return value

    @field_validator("db")
    @classmethod
    def _is_a_database(cls, value: str) -> str:
        scheme, separator, path = value.partition("://")
        is_known = scheme in _POSTGRESQL or (scheme in _SQLITE and path.strip("/"))
        if separator and not is_known:
            raise ValueError('must be a path, "sqlite:///PATH" or "postgresql://HOST/DATABASE"')
        return value

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key must be given together")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = TomlConfigSettingsSource(settings_cls, config_file())
        return init_settings, env_settings, file

    @property
    def is_on_postgresql(self) -> bool:
        """Whether several servers may use the database at the same time."""
        return self.db.partition("://")[0] in _POSTGRESQL

    @property
    def database_url(self) -> str:
        """The URL of `db`; empty `db` is a file of this user's."""
        if "://" in self.db:
            return self.db
        path = Path(self.db).expanduser() if self.db else data_directory() / "phaseline.db"
        return f"sqlite:///{path.absolute()}"

    def make_data_directory(self) -> None:
        """Make the directory of the database if that is where it is by default. Blocks."""
        if not self.db:
            data_directory().mkdir(parents=True, exist_ok=True)


def load(**flags: Any) -> Settings:
    """
    Return the settings: *flags* over the environment over the file over the defaults.

    A flag that is `None` was not given; a section is a dict, `worker={"slots": 4}`. Raises
    `SettingsError`.
    """
    given = _given(flags)
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError("; ".join(_complaints(error, given))) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{config_file()} is not TOML: {error}") from None


def config_file() -> Path | None:
    """Return the file to read, if there is one; raise `SettingsError` if a named one is missing."""
    named = os.environ.get(CONFIG_VARIABLE)
    path = Path(named).expanduser() if named else CONFIG_FILE
    if path.is_file():
        return path
    if named:
        raise SettingsError(f"{CONFIG_VARIABLE} names {named}, and there is no such file")
    return None


def data_directory() -> Path:
    """Return where this user's data is kept; it may not exist yet."""
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "phaseline"


def table() -> str:
    """Return all settings as a Markdown table: key in the file, variable, default, meaning."""
    lines = ["| setting | environment | default | meaning |", "| --- | --- | --- | --- |"]
    for path, field in _fields():
        key = ".".join(path)
        variable = "" if key in _ONLY_IN_THE_FILE else f"`{_variable(path)}`"
        lines.append(f"| `{key}` | {variable} | {_shown(key, field)} | {field.description} |")
    return "\n".join(lines) + "\n"


def _given(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return *flags* without those that were not given, also inside sections."""
    nested = {k: _given(v) if isinstance(v, Mapping) else v for k, v in flags.items()}
    return {key: value for key, value in nested.items() if value is not None and value != {}}


def _fields() -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            for inner, inner_field in section.model_fields.items():
                yield (name, inner), inner_field
        else:
            yield (name,), field


def _variable(path: tuple[str, ...]) -> str:
    return ENVIRONMENT_PREFIX + "_".join(path).upper()


def _shown(key: str, field: FieldInfo) -> str:
    default = field.default
    if key in _DEFAULTS_IN_WORDS:
        return _DEFAULTS_IN_WORDS[key]
    if default is None:
        return "off" if key.startswith("retention.") else "none"
    if isinstance(default, timedelta):
        return f"`{format_duration(default)}`"
    if isinstance(default, bool):
        return f"`{default}`".lower()
    if isinstance(default, tuple):
        default = ",".join(default)
    return f"`{default}`" if default not in ("", {}) else "none"


def _complaints(error: ValidationError, flags: Mapping[str, Any]) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        path = tuple(str(part) for part in problem["loc"])
        key, source = ".".join(path), _source(path, flags)
        if problem["type"] == "extra_forbidden":
            yield f"unknown setting {key!r} {source}".rstrip()
        elif path:
            yield f"setting {key!r} {source}".rstrip() + f": {_reason(problem)}"
        else:
            yield _reason(problem)


def _reason(problem: ErrorDetails) -> str:
    """Say what was wanted in our own words, where those of pydantic are for programmers."""
    if wanted := _WANTED.get(problem["type"]):
        return wanted.format_map(problem.get("ctx", {})).replace(repr(timedelta()), "0")
    message = problem["msg"][:1].lower() + problem["msg"][1:]
    return message.removeprefix("value error, ").replace("input should", "must")


def _source(path: tuple[str, ...], flags: Mapping[str, Any]) -> str:
    """Say where the value at *path* came from, by the precedence of the sources."""
    if path and _holds(flags, path[:2]):
        return "from the command line"
    variables = {name.upper() for name in os.environ}
    if path and (variable := _variable(path[:2])) in variables:
        return f"from {variable}"
    if path and (file := config_file()):
        return f"in {file}"
    return ""


def _holds(flags: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    value: Any = flags
    for part in path:
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    return True
