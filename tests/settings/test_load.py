"""The settings: where a value comes from, how each kind is read, and what is refused, by name and source."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from urllib.parse import urlsplit

import pytest

from incoming.core.errors import BadSetting
from incoming.settings.load import SETTINGS, Setting, resolve, unknown_variables, without_passwords
from incoming.settings.table import Settings

BY_NAME = {setting.name: setting for setting in SETTINGS}


def from_toml(**toml: object) -> Settings:
    return resolve(toml, {}, {})


def refusal_of(name: str, raw: object) -> str:
    """What is said about a bad value in the TOML file; it has to name the setting and the source."""
    with pytest.raises(BadSetting) as refusal:
        from_toml(**{name: raw})
    said = str(refusal.value)
    assert said.startswith(f"{name} (configuration file): ")
    return said


# --- the table -----------------------------------------------------------------------------------------


def test_every_setting_is_in_the_table_once_and_in_order() -> None:
    assert [setting.name for setting in SETTINGS] == [field.name for field in fields(Settings)]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_explained_and_has_a_valid_default(setting: Setting) -> None:
    assert setting.unit
    assert re.fullmatch(r"[A-Z].{15,}[.]", setting.help), "help is a sentence"
    assert setting.validate(setting.default, "default") == setting.default


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_unit_in_the_name_is_the_unit_of_the_table(setting: Setting) -> None:
    units = {"_s": "seconds", "_mib": "MiB", "_kib": "KiB", "_bytes": "bytes"}
    expected = [unit for ending, unit in units.items() if setting.name.endswith(ending)]
    assert expected in ([], [setting.unit])


def test_an_option_and_a_variable_are_made_from_the_name() -> None:
    assert BY_NAME["storage_dir"].option == "--storage-dir"
    assert BY_NAME["storage_dir"].variable == "INCOMING_STORAGE_DIR"


def test_the_defaults_are_the_published_ones() -> None:
    settings = resolve({}, {}, {})
    assert settings == Settings()
    assert (settings.host, settings.port, settings.storage_dir) == ("0.0.0.0", 4000, "incoming-storage")
    assert (settings.chunk_size_kib, settings.send_ahead, settings.max_upload_bytes) == (512, 8, 0)
    assert (settings.idle_timeout_s, settings.connection_timeout_s) == (3 * 86400, 10)
    assert (settings.max_chunk_kib, settings.max_window_mib) == (4096, 64)
    assert (settings.handover_connect_timeout_s, settings.handover_answer_timeout_s) == (5, 600)
    assert (settings.handover_retry_first_s, settings.handover_retry_max_s) == (1, 300)
    assert (settings.handover_retry_for_s, settings.handover_wait_timeout_s) == (86400, 43200)
    assert (settings.handover_wait_asks, settings.result_retention_s) == (3, 86400)
    assert (settings.failed_retention_s, settings.stop_timeout_s) == (7 * 86400, 5)
    assert (settings.reserve_ahead_mib, settings.min_free_mib) == (256, 256)
    assert settings.reservation_idle_s == 3600
    assert (settings.fsync, settings.wait_for_storage, settings.log_level) == (True, False, "info")
    assert (settings.allowed_backends, settings.handover_hosts, settings.backend_token) == ((), (), "")


def test_the_chunk_size_is_known_in_bytes_too() -> None:
    assert from_toml(chunk_size_kib=3).chunk_size_bytes == 3072


# --- where a value comes from ----------------------------------------------------------------------------


def test_a_file_beats_the_default_the_environment_the_file_and_an_option_all() -> None:
    toml = {"port": 1, "send_ahead": 2, "log_level": "debug"}
    environment = {"INCOMING_PORT": "11", "INCOMING_SEND_AHEAD": "12"}
    options = {"port": 21}
    assert resolve(toml, environment, options) == replace(
        Settings(), port=21, send_ahead=12, log_level="debug"
    )


def test_the_environment_is_read_by_exact_names_only() -> None:
    others = {"PORT": "1", "port": "2", "incoming_port": "3", "INCOMING_port": "4", "INCOMING_": "5"}
    assert resolve({}, others | {"HOME": "/home/app", "INCOMING_PORTS": "6"}, {}) == Settings()


def test_a_name_that_is_not_a_setting_is_refused_in_a_file_and_as_an_option() -> None:
    with pytest.raises(BadSetting, match=r"^prot \(configuration file\): this setting does not exist"):
        resolve({"prot": 4000}, {}, {})
    with pytest.raises(BadSetting, match=r"^prot \(option\): this setting does not exist"):
        resolve({}, {}, {"prot": 4000})


def test_variables_that_are_no_settings_are_listed_for_a_warning() -> None:
    environment = {
        "INCOMING_PORT": "1",
        "INCOMING_SERVICE_HOST": "10.0.0.1",
        "INCOMING_PROT": "1",
        "PORT": "1",
    }
    environment["INCOMING_CONFIG"] = "/etc/incoming.toml"  # it names the file
    assert unknown_variables(environment) == ["INCOMING_PROT", "INCOMING_SERVICE_HOST"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (({"port": "x"}, {}, {}), "port (configuration file): 'x' is not a whole number"),
        (({}, {"INCOMING_PORT": "x"}, {}), "port (INCOMING_PORT): 'x' is not a whole number"),
        (({}, {}, {"port": "x"}), "port (--port): 'x' is not a whole number"),
        (({"port": 70000}, {}, {}), "port (configuration file): must be from 0 to 65535, not 70000"),
    ],
)
def test_a_bad_value_is_refused_with_the_name_the_source_and_why(
    source: tuple[dict[str, object], dict[str, str], dict[str, object]], said: str
) -> None:
    with pytest.raises(BadSetting) as refusal:
        resolve(*source)
    assert str(refusal.value) == said
    assert refusal.value.name == said.partition(": ")[0]


def test_a_bad_value_is_refused_even_where_a_better_source_overrules_it() -> None:
    with pytest.raises(BadSetting):
        resolve({"port": "x"}, {"INCOMING_PORT": "1"}, {"port": 2})


def test_the_first_delay_may_be_as_long_as_the_longest_and_no_longer() -> None:
    assert from_toml(handover_retry_first_s=300).handover_retry_first_s == 300
    with pytest.raises(BadSetting, match=r"^handover_retry_max_s: must be at least handover_retry_first_s"):
        from_toml(handover_retry_first_s=301)


# --- how each kind is read ---------------------------------------------------------------------------------

GOOD: list[tuple[str, object, object]] = [
    ("storage_dir", "/data", "/data"),
    ("backend_token", "", ""),
    ("port", 0, 0),
    ("port", "65535", 65535),
    ("port", " 80 ", 80),
    ("fsync", True, True),
    ("fsync", False, False),
    *(("fsync", word, True) for word in ("yes", "Yes", "true", "TRUE", "on", "1", " yes ", 1)),
    *(("fsync", word, False) for word in ("no", "No", "false", "FALSE", "off", "0", 0)),
    ("idle_timeout_s", 90, 90.0),
    ("idle_timeout_s", 0.5, 0.5),
    ("idle_timeout_s", "1e3", 1000.0),
    ("stop_timeout_s", 0, 0.0),
    ("connection_timeout_s", 1, 1.0),
    ("allowed_backends", "", ()),
    ("allowed_backends", "10.0.0.1", ("10.0.0.1",)),
    ("allowed_backends", " 10.0.0.0/8 ,, ::1, ", ("10.0.0.0/8", "::1")),
    ("allowed_backends", ["10.0.0.7/8", "fd00::/8"], ("10.0.0.7/8", "fd00::/8")),
    ("handover_hosts", "app.example.org,localhost", ("app.example.org", "localhost")),
    ("handover_hosts", ["10.0.0.1"], ("10.0.0.1",)),
    ("handover_hosts", "App.Example.org", ("app.example.org",)),
    ("s3_destination_prefixes", "Inbox/, videos/Ä/", ("Inbox/", "videos/Ä/")),
    ("s3_destination_prefixes", ["Inbox/"], ("Inbox/",)),
    ("log_level", "error", "error"),
    ("public_url", "", ""),
    ("public_url", "https://uploads.example.org", "https://uploads.example.org"),
    ("public_url", "http://[::1]:4000/behind/a/path/", "http://[::1]:4000/behind/a/path/"),
    ("chunk_size_kib", 1, 1),
    ("chunk_size_kib", 16384, 16384),
    ("send_ahead", 1, 1),
    ("send_ahead", 1024, 1024),
    ("max_upload_bytes", 2**60, 2**60),
    ("handover_wait_asks", 1, 1),
    ("reserve_ahead_mib", 0, 0),
    ("min_free_mib", 0, 0),
]


@pytest.mark.parametrize(("name", "raw", "value"), GOOD)
def test_a_value_is_read_from_text_and_from_toml(name: str, raw: object, value: object) -> None:
    read = getattr(from_toml(**{name: raw}), name)
    assert read == value
    assert type(read) is type(value)


POSITIVE = [
    *("reservation_idle_s", "idle_timeout_s", "handover_connect_timeout_s", "handover_answer_timeout_s"),
    *("handover_retry_first_s", "handover_retry_max_s", "handover_retry_for_s", "handover_wait_timeout_s"),
    *("result_retention_s", "failed_retention_s"),
]
BAD: list[tuple[str, object, str]] = [
    *((name, raw, "must be more than 0") for name in POSITIVE for raw in (0, -1.5)),
    ("storage_dir", 5, "is not a text"),
    ("storage_dir", " ", "must not be empty"),
    ("host", "", "must not be empty"),
    ("host", ["0.0.0.0"], "is not a text"),
    *(("port", raw, "is not a whole number") for raw in ("", "4e3", "80.0", 80.0, True, None, [80])),
    *(("port", raw, "must be from 0 to 65535") for raw in (-1, 65536)),
    *(("chunk_size_kib", raw, "must be from 1 to 16384") for raw in (0, 16385)),
    *(("send_ahead", raw, "must be from 1 to 1024") for raw in (0, 1025)),
    ("max_upload_bytes", -1, "must be at least 0"),
    ("reserve_ahead_mib", -1, "must be at least 0"),
    ("min_free_mib", -1, "must be at least 0"),
    ("stop_timeout_s", -0.1, "must be at least 0"),
    ("connection_timeout_s", 0.9, "must be at least 1"),
    ("handover_wait_asks", 0, "must be at least 1"),
    *(("fsync", raw, "is not yes or no") for raw in ("", "maybe", "2", 2, None, [True])),
    *(("idle_timeout_s", raw, "is not a number") for raw in ("", "soon", True, None, [1])),
    *(
        ("idle_timeout_s", raw, "is not a number")
        for raw in ("nan", "inf", "-inf", 1e15, -1e15, float("nan"))
    ),
    *(("allowed_backends", raw, "is not a list of texts") for raw in (5, [5], {"a": 1}, None)),
    *(
        ("allowed_backends", raw, "is not an IP address or network")
        for raw in ("app", "10.0.0.0/33", "::1,1.2")
    ),
    *(("handover_hosts", raw, "is not a host name") for raw in ("http://app", "app/x", "app,:80")),
    *(
        ("public_url", raw, "must be an absolute http or https URL")
        for raw in ("uploads.example.org", "//x", "ftp://x", "http://", "http://x/?a=b", "http://x/#a")
    ),
    *(
        ("public_url", raw, "must be an absolute http or https URL")
        for raw in ("http://user@x", "http://x:66000", "http://[x", "http://x/ y", "http://x\\y", "https:x")
    ),
    ("public_url", 5, "is not a text"),
    *(("log_level", raw, "must be one of debug, info, warning, error") for raw in ("", "INFO", "loud")),
]


@pytest.mark.parametrize(("name", "raw", "why"), BAD)
def test_a_value_that_makes_no_sense_is_refused(name: str, raw: object, why: str) -> None:
    assert why in refusal_of(name, raw)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://:pa/ss@HOST/0", "redis://:(set)@HOST/0"),
        ("rediss://me:pass@word@HOST", "rediss://me:(set)@HOST"),
        ("redis://pass@HOST", "redis://(set)@HOST"),
        ("redis+sentinel://a,b/n?sentinel_password=pass&x=1", "redis+sentinel://a,b/n?sentinel_password=(set)&x=1"),
        ("redis+sentinel://a,b/n?sentinel_password=pa@ss", "redis+sentinel://a,b/n?sentinel_password=(set)"),
        ("unix:///run/redis@1.sock?db=2", "unix:///run/redis@1.sock?db=2"),
        ("unix://:pass@/run/redis.sock", "unix://:(set)@/run/redis.sock"),
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("", ""),
    ],
)  # fmt: skip
def test_an_address_is_shown_without_its_passwords(address: str, shown: str) -> None:
    assert without_passwords(address) == shown


@pytest.mark.parametrize(
    "raw", ["http://me:sesame@HOST", "redis//me:sesame@HOST", "htp://sesame@HOST", "me:sesame@HOST"]
)
def test_a_refused_address_is_told_without_its_password(raw: str) -> None:
    assert "sesame" not in refusal_of("registry", raw)


def test_a_host_with_half_a_bracket_is_refused_by_name() -> None:
    refusal_of("handover_hosts", "[bad")


def test_a_whole_number_beyond_all_floats_is_refused_by_name() -> None:
    refusal_of("idle_timeout_s", 10**400)


@pytest.mark.parametrize("host", ["App.Example.org", "app:8080", "[::1]", "user@app", "app?x"])
def test_a_host_is_refused_unless_a_url_can_have_it(host: str) -> None:
    try:
        hosts = from_toml(handover_hosts=host).handover_hosts
    except BadSetting:
        return
    assert hosts == (urlsplit(f"http://{host}/").hostname,)
