from falsewitness.cli._prose import definitions, first_line, paragraphs, wrapped


class Told:
    """What ``it`` is.

    More of it, over
    two lines:

    * an item of
      two lines;
    * ``another``.
    """


class Untold:
    pass


def test_the_first_line_has_no_marks_and_may_be_missing() -> None:
    assert first_line(Told) == "What it is."
    assert first_line(Untold) == ""


def test_paragraphs_and_items_lose_their_line_breaks() -> None:
    assert paragraphs(Told) == [
        ["What it is."],
        ["More of it, over two lines:"],
        ["* an item of two lines;", "* another."],
    ]


def test_nothing_is_told_of_a_class_that_says_nothing() -> None:
    assert paragraphs(Untold) == [[]]


def test_lines_are_broken_between_words_only() -> None:
    assert wrapped("a well-known path/to/somewhere", 12, indent=2, hanging=2) == (
        "  a\n    well-known\n    path/to/somewhere"
    )


def test_meanings_stand_in_a_column_and_may_be_missing() -> None:
    assert definitions({"one": "its meaning", "another": ""}, 20) == "  one      its\n           meaning\n  another"
