"""Resource quantities. The expected values are those of appc's Go package."""

from __future__ import annotations

import pytest

from carob.errors import InvalidInput
from carob.spec.appc import Quantity


@pytest.mark.parametrize(
    ("text", "canonical", "units", "milli_units"),
    [
        ("0", "0", 0, 0),
        ("0Ki", "0", 0, 0),
        ("1", "1", 1, 1000),
        ("+1", "1", 1, 1000),
        ("007", "7", 7, 7000),
        ("250m", "250m", 1, 250),
        (".5", "500m", 1, 500),
        ("1.", "1", 1, 1000),
        ("1.5", "1500m", 2, 1500),
        ("1000", "1k", 1000, 1000000),
        ("1.5Gi", "1536Mi", 1610612736, 1610612736000),
        ("1024Ki", "1Mi", 1048576, 1048576000),
        ("1025Ki", "1025Ki", 1049600, 1049600000),
        ("0.5Ki", "512", 512, 512000),
        ("0.0001Ki", "102400u", 1, 103),
        ("12e6", "12e6", 12000000, 12000000000),
        ("1e-5", "10e-6", 1, 1),
        ("10E", "10E", 10 * 10**18, 10 * 10**21),
        ("0.1n", "1n", 1, 1),
        ("1e-12", "1e-9", 1, 1),
        ("9Ei", "9223372036854775807", 2**63 - 1, (2**63 - 1) * 1000),
        ("k", "0", 0, 0),
        (".", "0", 0, 0),
        ("-1.5Gi", "-1536Mi", -1610612736, -1610612736000),
    ],
)
def test_amounts(text: str, canonical: str, units: int, milli_units: int) -> None:
    quantity = Quantity(text)
    assert quantity == text
    assert quantity.canonical == canonical
    assert (quantity.units, quantity.milli_units) == (units, milli_units)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "1Z",
        "1ki",
        "1i",
        "1..2",
        "1 ",
        " 1",
        "1e",
        "1E+",
        "1e3k",
        "1e9999999999",
        "--1",
        "Ei",
        "e-20",
        "1_0",
    ],
)
def test_what_is_not_a_quantity(text: str) -> None:
    with pytest.raises(InvalidInput):
        Quantity(text)


def test_a_huge_exponent_is_not_computed_when_it_is_read() -> None:
    assert Quantity("1e2147483647") == "1e2147483647"
    assert Quantity("1e-2147483647").canonical == "1e-9"
    with pytest.raises(InvalidInput, match="too large"):
        _ = Quantity("1e2147483647").units
