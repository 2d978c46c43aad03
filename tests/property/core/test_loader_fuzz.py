"""Does any description, however damaged, end in a spec or an error with a place?"""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.core.yamlio import dump_yaml, load_spec
from archsim.core.yamlread import read_text
from archsim.testing import fuzz
from archsim.testing.fuzz import SAMPLE_TEXT, SampleMachine

SAMPLE = read_text(SAMPLE_TEXT, "sample.yaml").data
few = settings(max_examples=300, deadline=None, derandomize=True)


def load_text(text, set_=()):
    return load_spec(read_text(text, "sample.yaml"), SampleMachine, set_=set_)


@few
@given(fuzz.damaged_text(SAMPLE_TEXT))
def test_damaged_text_is_loaded_or_refused_with_exit_code_3(text):
    error = fuzz.refusal(lambda: load_text(text))
    assert error is None or error.exit_code == 3


@few
@given(st.text())
def test_any_text_is_loaded_or_refused_with_exit_code_3(text):
    error = fuzz.refusal(lambda: load_text(text))
    assert error is None or error.exit_code == 3


@few
@given(fuzz.damaged_data(SAMPLE))
def test_damaged_data_is_loaded_or_refused_and_every_refusal_has_a_code(data):
    error = fuzz.refusal(lambda: load_spec(data, SampleMachine))
    assert error is None or all(d.code.startswith("E") for d in error.diagnostics)


@few
@given(fuzz.damaged_data(SAMPLE))
def test_damage_that_was_written_to_a_file_is_refused_at_a_line(data):
    try:
        text = dump_yaml(data)
        text.encode()
    except UnicodeEncodeError:
        return
    error = fuzz.refusal(lambda: load_text(text))
    assert error is None or all(d.line for d in error.diagnostics)


@few
@given(st.lists(fuzz.settings(SAMPLE), min_size=1, max_size=3))
def test_any_setting_is_applied_or_refused(set_):
    error = fuzz.refusal(lambda: load_text(SAMPLE_TEXT, set_))
    assert error is None or error.exit_code == 3


@few
@given(fuzz.damaged_data(SAMPLE))
def test_what_is_accepted_writes_itself_as_data_that_loads_to_the_same(data):
    loaded = []
    error = fuzz.refusal(lambda: loaded.append(load_spec(data, SampleMachine)[0]))
    if error is None:
        again = loaded[0].to_data()
        assert load_spec(again, SampleMachine)[0] == loaded[0]
        assert json.loads(json.dumps(again)) == again
