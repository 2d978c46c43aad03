"""Are the pieces that objects show in a notebook whole, and is text in them text?"""

from __future__ import annotations

from archsim.core import html


def test_text_is_escaped_wherever_it_stands() -> None:
    bad = '<b> & "c"'
    shown = html.joined(
        html.heading(bad, bad),
        html.table([(bad, 1)], (bad, "n")),
        html.folded(bad, html.lines(bad)),
    )
    assert "<b>" not in shown.replace("<div><b>", "")
    assert shown.count("&lt;b&gt; &amp; &quot;c&quot;") == 6


def test_numbers_stand_right_and_words_left() -> None:
    left, right = "text-align:left;vertical-align:top", "text-align:right;vertical-align:top"
    assert html.table([("a", 12)], ("name", "n")) == (
        f'<table><thead><tr><th style="{left}">name</th><th style="{left}">n</th></tr></thead>'
        f'<tr><td style="{left}">a</td><td style="{right}">12</td></tr></table>'
    )


def test_what_is_html_already_is_left_as_it_is() -> None:
    assert html.folded("more", html.lines("a\nb")) == (
        "<details><summary>more</summary>"
        '<pre style="text-align:left;vertical-align:top">a\nb</pre></details>'
    )
