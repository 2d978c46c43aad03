"""Do command traces take the cycles and commands that the AiM simulator prints?"""

import csv

from archsim.validation import validate
from archsim.validation.suite import HERE, read_table

ROWS = read_table(HERE / "tables" / "pim_reference.csv")


def test_every_row_is_exact_in_cycles_and_commands():
    result = validate("pim")
    assert result.passed, [c for c in result.cases if c.status != "pass"][:5]
    assert result.unsupported == 0
    for found in result.metrics().values():
        assert found["exact"] == found["n"] == len(ROWS) == 18


def rows_like(tmp_path, **changes):
    row = next(row for row in ROWS if row["trace"] == "wrgb64_x256_1ch") | changes
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as text:
        writer = csv.DictWriter(text, list(row))
        writer.writeheader()
        writer.writerow(row)
    return validate("pim", path)


def test_a_row_of_another_size_and_mask_follows_its_own_text(tmp_path):
    changes = {"cycles": str(33 + 2 * (2 * 64 - 1) + 4), "n_WRGB": str(4 * 64 * 2),
               "trace_definition": "WR_GB 64 x2", "channels": "4 channels"}  # fmt: skip
    assert rows_like(tmp_path, **changes).passed
    assert rows_like(tmp_path, **changes | {"channels": "mask 0xf0"}).passed


def test_rows_that_the_simulator_cannot_have_made_are_unsupported(tmp_path):
    for changes, reason in (
        ({"timing": "GDDR6_other"}, "is no preset of AiM"),
        ({"refresh": "AllBank, 7 issued"}, "the simulator issues none here"),
        ({"channels": "some"}, "are neither `32 channels` nor `mask 0xff`"),
        ({"trace_definition": "WR_BG 64"}, 'instruction "WR_BG" is not one of'),
    ):
        result = rows_like(tmp_path, **changes)
        assert result.unsupported == 1
        assert reason in (result.cases[0].reason or "")
