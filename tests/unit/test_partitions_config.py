"""The document of question 3: what is refused, how it is said, and which version stays in force."""

import contextlib
import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.chunks import config as shape
from include.chunks.config import ConfigInvalid, parse_config
from support.chunk_document import GOOD, changed

WRONG = [
    # path to change, value, where the error must be, what it must say
    ("version", ..., "$.version", "missing"),
    ("version", 2, "$.version", "should be 1, given 2"),
    ("version", "1", "$.version", "should be 1"),
    ("version", True, "$.version", "should be 1"),
    ("version", None, "$.version", "should be 1"),
    ("airports", ..., "$.airports", "missing"),
    ("airports", [], "$.airports", "at least 1 item"),
    ("airports", "EWR", "$.airports", "valid list"),
    ("airports", ["EWR", "SFO"], "$.airports[1]", "'EWR', 'JFK' or 'LGA', given \"SFO\""),
    ("airports", ["EWR", "EWR"], "$.airports", "contains EWR twice"),
    ("airports", [7], "$.airports[0]", "given 7"),
    ("airports", {"EWR": 1}, "$.airports", "valid list"),
    ("carriers", [], "$.carriers", "at least 1 item"),
    ("carriers", ["ua"], "$.carriers[0]", "pattern"),
    ("carriers", ["UAL"], "$.carriers[0]", "pattern"),
    ("carriers", ["UA", "UA"], "$.carriers", "contains UA twice"),
    ("carriers", [1], "$.carriers[0]", "valid string"),
    ("carriers", [f"{n:02}" for n in range(41)], "$.carriers", "at most 40"),
    ("thresholds", ..., "$.thresholds", "missing"),
    ("thresholds", 30, "$.thresholds", "given 30"),
    ("thresholds.skip_up_to_rows", ..., "$.thresholds.skip_up_to_rows", "missing"),
    ("thresholds.skip_up_to_rows", -1, "$.thresholds.skip_up_to_rows", "greater than or equal to 0"),
    ("thresholds.skip_up_to_rows", 1.5, "$.thresholds.skip_up_to_rows", "valid integer"),
    ("thresholds.skip_up_to_rows", False, "$.thresholds.skip_up_to_rows", "valid integer"),
    ("thresholds.spark_from_rows", ..., "$.thresholds.spark_from_rows", "missing"),
    ("thresholds.spark_from_rows", "many", "$.thresholds.spark_from_rows", 'valid integer, given "many"'),
    ("thresholds.spark_from_rows", None, "$.thresholds.spark_from_rows", "valid integer, given null"),
    ("thresholds.spark_from_rows", 10**7, "$.thresholds.spark_from_rows", "less than or equal to 1000000"),
    ("thresholds.spark_from_rows", 30, "$.thresholds", "skip_up_to_rows must be less than spark_from_rows"),
    ("thresholds.sparc", 1, "$.thresholds.sparc", "unknown key (known: skip_up_to_rows, spark_from_rows)"),
    ("overrides", [], "$.overrides", "dictionary"),
    ("overrides.SFO", GOOD["thresholds"], "$.overrides.SFO", "'EWR', 'JFK' or 'LGA'"),
    ("overrides.JFK", {"skip_up_to_rows": 1}, "$.overrides.JFK.spark_from_rows", "missing"),
    ("layers", ..., "$.layers", "missing"),
    ("layers", [], "$.layers", "at least 1 item"),
    ("layers", ["delay_features"], "$.layers[0]", "'flights' or 'daily_delays'"),
    ("layers", ["flights", "flights"], "$.layers", "contains flights twice"),
    ("layer", ["flights"], "$.layer", "unknown key (known: $schema, version, airports"),
    ("odd key", 1, "$['odd key']", "unknown key"),
]


@pytest.mark.claim("3.4")
@pytest.mark.parametrize(("path", "value", "where", "says"), WRONG, ids=[f"{w[0]}={w[1]!r:.30}" for w in WRONG])
def test_every_wrong_field_is_named_by_its_json_path(path, value, where, says):
    document = changed(path, value)
    with pytest.raises(ConfigInvalid) as caught:
        parse_config(json.dumps(document).encode(), "s3://config/q03.json")
    text = str(caught.value)
    assert text.startswith("s3://config/q03.json has ")
    (line,) = [line for line in text.splitlines() if line.startswith(f"  {where}: ")]
    assert says in line
    assert text.splitlines()[-1] == "Mend it; config.schema.json beside the code describes the document."
    cross_field = path == "thresholds.spark_from_rows" and value == 30
    assert cross_field or list(jsonschema.Draft202012Validator(shape.json_schema()).iter_errors(document))


@pytest.mark.claim("3.4")
def test_all_errors_are_reported_at_once():
    document = changed("version", 3) | {"layers": ["x"], "airports": []}
    with pytest.raises(ConfigInvalid, match="has 3 errors") as caught:
        parse_config(json.dumps(document).encode(), "file:///q03.json")
    assert [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:4]] == [
        "$.version",
        "$.airports",
        "$.layers[0]",
    ]


GARBLED = {
    "empty": (b"", "empty: is it being written?"),
    "blank": (b" \n", "empty"),
    "half-written": (json.dumps(GOOD).encode()[:60], "cut off, or is it being written?"),
    "trailing comma": (b'{"version": 1,}', "line 1, column 15: not JSON"),
    "two documents": (b"{}\n{}", "line 2, column 1: not JSON: Extra data"),
    "UTF-16": (json.dumps(GOOD).encode("utf-16"), "not UTF-8: byte 0xff at offset 0"),
    "Latin-1": (b'{"version": "\xe9"}', "not UTF-8: byte 0xe9 at offset 13"),
    "huge": (b" " * (shape.LARGEST_DOCUMENT + 1), "larger than 16384 bytes"),
    "NaN": (b'{"version": NaN}', "NaN is no number in JSON"),
    "deep": (b"[" * 9000, "nested too deeply"),
    "deep inside a field": (b'{"version": ' + b"[" * 700 + b"]" * 700 + b"}", "has an error"),
    "thousands of digits": (b'{"version": ' + b"9" * 5000 + b"}", "4300"),
    "key twice": (b'{"version": 1, "version": 1}', "$.version: given twice, keep one"),
    "key twice inside": (b'{"a": [{"b": 1, "b": 2}]}', "$.a[0].b: given twice, keep one"),
    "a list": (b"[]", "$: input should be a valid dictionary"),
    "null": (b"null", "$: input should be a valid dictionary"),
}


@pytest.mark.claim("3.4")
@pytest.mark.parametrize(("data", "says"), GARBLED.values(), ids=GARBLED)
def test_what_is_no_document_is_refused_with_its_reason(data, says):
    with pytest.raises(ConfigInvalid) as caught:
        parse_config(data, "file:///q03.json")
    assert says in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "x"]), inner, max_size=4),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_a_document_or_a_clear_error(data):
    with contextlib.suppress(ConfigInvalid):
        assert parse_config(data, "somewhere").airports


@pytest.mark.claim("3.4")
def test_the_published_schema_is_that_of_the_model_and_a_valid_one():
    assert shape.SCHEMA.read_text() == shape.schema_text(), "run: python -m include.chunks.config"
    jsonschema.Draft202012Validator.check_schema(shape.json_schema())


@pytest.mark.parametrize("document", [GOOD, json.loads(shape.DEFAULT.read_text())], ids=["good", "default"])
def test_a_good_document_keeps_schema_and_model(document):
    jsonschema.validate(document, shape.json_schema())
    found = parse_config(json.dumps(document).encode(), "x")
    assert found.airports == document["airports"]
    assert found.thresholds_of("EWR").spark_from_rows == document["thresholds"]["spark_from_rows"]


def test_an_override_holds_at_its_airport_alone():
    found = parse_config(json.dumps(GOOD).encode(), "x")
    assert (found.thresholds_of("JFK").spark_from_rows, found.thresholds_of("EWR").spark_from_rows) == (1, 130)
