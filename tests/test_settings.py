"""A setting comes from the nearest source, and a wrong one is named with its source."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from phaseline import settings
from phaseline.settings import Settings, SettingsError


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty directory, without settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for variable in ("PHASELINE_CONFIG", "PHASELINE_LISTEN", "PHASELINE_DB", "PHASELINE_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.fixture
def file(directory: Path) -> Callable[[str], Path]:
    """Write phaseline.toml."""

    def write(text: str) -> Path:
        path = directory / "phaseline.toml"
        path.write_text(text)
        return path

    return write


def test_everything_has_a_default() -> None:
    loaded = settings.load()
    assert loaded.listen == "127.0.0.1:7171"
    assert loaded.limits.payload_size == 1 << 20
    assert loaded.limits.request_size == 16 << 20
    assert loaded.retention.purge_after is None
    assert loaded.worker.queues == ("default",)


def test_flags_win_over_the_environment_over_the_file(
    file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file('listen = "h:1"\ndb = "file"\nlog_level = "error"\n[worker]\nslots = 3\nqueues = ["f"]\n')
    monkeypatch.setenv("PHASELINE_LISTEN", "h:2")
    monkeypatch.setenv("PHASELINE_DB", "environment")
    monkeypatch.setenv("PHASELINE_WORKER_SLOTS", "5")
    loaded = settings.load(listen="h:3", worker={"slots": None, "modules": ("m",)})
    assert (loaded.listen, loaded.db, loaded.log_level) == ("h:3", "environment", "error")
    assert (loaded.worker.slots, loaded.worker.queues) == (5, ("f",))
    assert loaded.worker.modules == ("m",)


def test_a_flag_that_is_none_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHASELINE_LISTEN", "h:2")
    assert settings.load(listen=None).listen == "h:2"


def test_another_file_can_be_named(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "other.toml").write_text('db = "elsewhere"')
    monkeypatch.setenv("PHASELINE_CONFIG", "other.toml")
    assert settings.load().db == "elsewhere"


def test_a_named_file_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHASELINE_CONFIG", "missing.toml")
    with pytest.raises(SettingsError, match=r"names missing\.toml, and there is no such file"):
        settings.load()


def test_a_file_that_is_no_toml_is_refused(file: Callable[[str], Path]) -> None:
    file("listen =")
    with pytest.raises(SettingsError, match=r"phaseline\.toml is not TOML"):
        settings.load()


@pytest.mark.parametrize(
    ("text", "key"), [("lisen = 1", "lisen"), ("[limits]\npayloads = 1", r"limits\.payloads")]
)
def test_an_unknown_key_in_the_file_is_named(
    file: Callable[[str], Path], text: str, key: str
) -> None:
    file(text)
    with pytest.raises(SettingsError, match=rf"unknown setting '{key}' in phaseline\.toml"):
        settings.load()


def test_a_wrong_value_is_named_with_its_source(
    file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file('log_level = "loud"')
    monkeypatch.setenv("PHASELINE_DRAIN_TIMEOUT", "soon")
    with pytest.raises(SettingsError) as raised:
        settings.load(worker={"slots": 0})
    text = str(raised.value)
    assert "setting 'log_level' in phaseline.toml: must be 'debug'" in text
    assert "setting 'drain_timeout' from PHASELINE_DRAIN_TIMEOUT: must be a duration" in text
    assert "setting 'worker.slots' from the command line" in text


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("INSECURE", "maybe", "must be true or false"),
        ("LEASES_DURATION", "1s", "must be at least 5 seconds"),
        ("LEASES_DURATION", "1d", "must be at most 10 minutes"),
        ("LIMITS_REQUEST_SIZE", "much", 'must be a size such as "1 MiB"'),
        ("LIMITS_REQUEST_SIZE", "0", "must be more than 0"),
        ("PRICES", "x", "must be a table"),
        ("WORKER_SLOTS", "many", "must be a whole number"),
        ("OUTPUT", "xml", "must be 'table', 'json' or 'yaml'"),
        ("LISTEN", "here", 'must be "host:port" or "unix:path"'),
    ],
)
def test_what_was_wanted_is_said_in_plain_words(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, wanted: str
) -> None:
    monkeypatch.setenv(f"PHASELINE_{variable}", value)
    with pytest.raises(SettingsError) as raised:
        settings.load()
    assert str(raised.value).endswith(f": {wanted}")


@pytest.mark.parametrize("text", ["90s", "1m30s", "PT90S", "90"])
def test_durations_are_accepted_in_every_form(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PHASELINE_DRAIN_TIMEOUT", text)
    assert settings.load().drain_timeout == timedelta(seconds=90)


def test_a_duration_may_be_a_number_of_seconds_in_the_file(file: Callable[[str], Path]) -> None:
    file("drain_timeout = 90")
    assert settings.load().drain_timeout == timedelta(seconds=90)


@pytest.mark.parametrize("text", ["off", "never", ""])
def test_a_retention_can_be_switched_off(
    file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    file('[retention]\npurge_after = "30d"\nchanges_count = 5')
    assert settings.load().retention.purge_after == timedelta(days=30)
    monkeypatch.setenv("PHASELINE_RETENTION_PURGE_AFTER", text)
    monkeypatch.setenv("PHASELINE_RETENTION_CHANGES_COUNT", text)
    retention = settings.load().retention
    assert (retention.purge_after, retention.changes_count) == (None, None)


def test_request_ids_are_kept_as_long_as_the_contract_says() -> None:
    with pytest.raises(SettingsError, match=r"retention\.request_ids"):
        settings.load(retention={"request_ids": "1d"})


def test_sizes_have_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHASELINE_LIMITS_PAYLOAD_SIZE", "2 MiB")
    assert settings.load().limits.payload_size == 2 << 20


def test_lists_and_mappings_fit_into_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHASELINE_WORKER_QUEUES", "gpu, cpu")
    monkeypatch.setenv("PHASELINE_QUEUE_CONCURRENCY", "gpu=2,cpu=8")
    loaded = settings.load()
    assert loaded.worker.queues == ("gpu", "cpu")
    assert loaded.queue_concurrency == {"gpu": 2, "cpu": 8}


def test_prices_come_from_the_file(file: Callable[[str], Path]) -> None:
    file('[prices."my.model-1"]\ninput = "0.25"\noutput = 1\n')
    price = settings.load().prices["my.model-1"]
    assert price == settings.Price(input=Decimal("0.25"), output=Decimal(1))


@pytest.mark.parametrize("listen", ["localhost", "h:", "h:99999", "h:x"])
def test_an_address_to_listen_on_needs_a_port(listen: str) -> None:
    with pytest.raises(SettingsError, match='must be "host:port" or "unix:path"'):
        settings.load(listen=listen)


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::1]:7171", "unix:/tmp/phaseline.sock"])
def test_an_address_may_be_of_any_family(listen: str) -> None:
    assert settings.load(listen=listen).listen == listen


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(
        SettingsError, match=r"^tls_certificate and tls_key must be given together$"
    ):
        settings.load(tls_certificate="cert.pem")


def test_a_token_does_not_show() -> None:
    assert "sesame" not in repr(settings.load(token="sesame"))


@pytest.mark.parametrize(
    ("db", "url"),
    [
        ("/data/p.db", "sqlite:////data/p.db"),
        ("sqlite:////data/p.db", "sqlite:////data/p.db"),
        ("sqlite+aiosqlite:////data/p.db", "sqlite+aiosqlite:////data/p.db"),
        ("postgresql://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql+asyncpg://h/d", "postgresql+asyncpg://h/d"),
    ],
)
def test_a_database_is_a_path_or_a_url(db: str, url: str) -> None:
    assert settings.load(db=db).database_url == url


def test_the_database_is_in_the_users_data_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert settings.load().database_url == "sqlite:////data/phaseline/phaseline.db"


def test_the_table_has_every_setting_with_a_meaning() -> None:
    rows = [row.split(" | ") for row in settings.table().splitlines()[2:]]
    names = [row[0].strip("| `") for row in rows]
    sections = {"limits", "leases", "retention", "watch", "worker"}
    top = set(Settings.model_fields) - sections
    assert top | sections == {name.partition(".")[0] for name in names}
    assert all(len(row) == 4 and len(row[3]) > 5 for row in rows)


def test_the_table_shows_defaults_as_they_are_written() -> None:
    table = settings.table()
    assert "| `drain_timeout` | `PHASELINE_DRAIN_TIMEOUT` | `30s` |" in table
    assert "| `limits.payload_size` | `PHASELINE_LIMITS_PAYLOAD_SIZE` | `1 MiB` |" in table
    assert "| `retention.purge_after` | `PHASELINE_RETENTION_PURGE_AFTER` | off |" in table
    assert "| `insecure` | `PHASELINE_INSECURE` | `false` |" in table
    assert "/root" not in table


@pytest.mark.parametrize("db", ["mysql://h/d", "postgres://h/d", "sqlite://", "sqlite:///"])
def test_a_database_of_another_kind_is_refused(db: str) -> None:
    with pytest.raises(settings.SettingsError, match="'db'"):
        settings.load(db=db)
