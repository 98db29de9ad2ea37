"""A cron in words."""

from __future__ import annotations

import pytest
from hypothesis import given

from airflow_provider_mics.api.cron_syntax import cron_problem, read_cron
from airflow_provider_mics.core.planning.cron_words import cron_in_words
from tests.core.planning.cron_spellings import AMBIGUOUS, SPELLINGS

WORDS = {
    "* * * * *": "every minute",
    "*/2 * * * *": "every 2 minutes",
    "0-59/15 * * * *": "every 15 minutes",
    "5 * * * *": "every hour at :05",
    "0 * * * *": "every hour at :00",
    "5,20,35 * * * *": "every hour at :05, :20 and :35",
    "3-50 * * * *": "48 times an hour from :03 to :50",
    "0 */4 * * *": "every 4 hours",
    "7 */3 * * *": "every 3 hours at :07",
    "15 3 * * *": "every day at 03:15",
    "0 9,17 * * *": "every day at 09:00 and 17:00",
    "30 5 * * 1,6": "at 05:30 on Monday and Saturday",
    "30 5 * * mon-fri": "at 05:30 from Monday to Friday",
    "30 5 * * 6,7": "at 05:30 on Saturday and Sunday",
    "0 2 1 * *": "at 02:00 on day 1 of the month",
    "0 0 1,15 jan,jul *": "at 00:00 on days 1 and 15 of the month in January and July",
    "0 0 1-20 * *": "at 00:00 on 20 days of the month (1-20)",
    "1 2 3 4 5": "at 02:01 on day 3 of the month or on Friday in April",
    "*/5 8-17 * * 1-5": "every 5 minutes from 08:00 to 17:55 from Monday to Friday",
    "0 9-12,14 * * *": "5 times a day from 09:00 to 14:00",
    "* * * 7 *": "every minute in July",
}


@pytest.mark.parametrize(("cron", "words"), WORDS.items())
def test_a_cron_in_words(cron: str, words: str) -> None:
    assert cron_in_words(cron) == words


@pytest.mark.parametrize("cron", AMBIGUOUS)
def test_a_cron_that_cannot_be_scheduled_has_no_words(cron: str) -> None:
    assert cron_in_words(cron) is None


@given(SPELLINGS, SPELLINGS)
def test_the_words_depend_on_what_a_cron_matches_and_not_on_its_spelling(one: str, other: str) -> None:
    for cron in (one, other):
        assert (cron_in_words(cron) is None) == (cron_problem(cron) is not None)
    if (
        cron_in_words(one) is not None
        and cron_in_words(other) is not None
        and read_cron(one) == read_cron(other)
    ):
        assert cron_in_words(one) == cron_in_words(other)
