"""Spellings of crons: those that people write, and those on which programs disagree."""

from __future__ import annotations

from hypothesis import strategies as st

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
AMBIGUOUS = {
    "0 5 */5 * 1-5": "write 1,6,11,16,21,26,31",
    "0 5 1 * */2": "write 0,2,4,6",
    "0 5 */1 * 1": "write * for it",
    "0 5 1-31 * 1": "write * for it",
    "0 5 13 * 0-6": "write * for it",
    "0 5 13 * sun,mon,tue,wed,thu,fri,7,sat": "write * for it",
    "0 5 30 2 1": "write * for it",
    "*/60 */24 */31 */12 */7": "a star beside another day field",
    "0 5 05-5 * *": "write 05",
    "0 5 * jan-1 *": "write jan",
    "0 5 * * mon-1": "write mon",
    "0 5 * * 1-mon": "write 1",
    "0 5 5-05/2 * *": "write 5",
    "59/15 * * * *": "write 59",
    "0/15 * * * *": "write 0-59/15 or 0",
    "0 5/1 * * *": "write 5-23/1 or 5",
    "0 5 * * mon/2": "write mon-7/2 or mon",
    "0 5 * * 1,*": "write only the star",
    "*/5,* * * * *": "write only the star",
    "*,* * * * *": "write only the star",
    "*/7,3 * * * *": "write only the star",
    "0 5 1,* * *": "write only the star",
    "0 22-2 * * *": "(22-23,0-2)",
    "0 5 * nov-feb *": "(11-12,1-2)",
    "0 5 * * fri-sun": "(5-6,0)",
    "0 5 * * 5-0": "(5-6,0)",
    "0 5 * * 7-2": "(0-2)",
    "0 5 * * 7-0": "(0)",
    "0 5 ? * *": "standard Unix cron does not allow",
    "0 5 L * *": "standard Unix cron does not allow",
    "0 5 15W * *": "standard Unix cron does not allow",
    "0 5 * * 5#2": "standard Unix cron does not allow",
    "0 5 * * 5L": "standard Unix cron does not allow",
    "H 5 * * *": "standard Unix cron does not allow",
    "@daily": "has 1 field(s), not five",
    "@every 5m": "has 2 field(s), not five",
    "0 0 5 * * *": "has 6 field(s), not five",
    "0 5 * * * 2026": "has 6 field(s), not five",
    "0,,5 * * * *": "an empty part",
    ",5 * * * *": "an empty part",
    "5, * * * *": "an empty part",
    "0- 5 * * *": "cannot be read",
    "-5 5 * * *": "cannot be read",
    "*/ 5 * * *": "write only the star",
    "*5 5 * * *": "write only the star",
    "0 5 * * *\n": "standard Unix cron does not allow",
    "0\u00a05 * * *": "has 4 field(s), not five",
    "0 5 * *\u2003*": "has 4 field(s), not five",
    "0 5 \u0661 * *": "standard Unix cron does not allow",
    "\uff10 5 * * *": "standard Unix cron does not allow",
    "005 5 * * *": "cannot be read",
    "*/0 * * * *": "the step of its minutes is 0",
    "0-30/0 * * * *": "the step of its minutes is 0",
    "*/61 * * * *": "has the step 61",
    "60 * * * *": "'60' is none of its minutes",
    "0 24 * * *": "'24' is none of its hours",
    "0 5 0 * *": "'0' is none of its days",
    "0 5 * 13 *": "'13' is none of its months",
    "0 5 * * 8": "'8' is none of its days of the week",
    "0 5 * * monday": "cannot be read",
    "0 5 * sun *": "'sun' is none of its months",
    "0 5 30 2 *": "never fires",
    "0 5 31 feb,apr *": "never fires",
}
"""Crons that are not scheduled, with what their problem says."""
CLEAR = [
    "30 5 * * 1,6",
    "00 05 * * *",
    "05-10 5 * * *",
    "*/15 9-17 * * mon-fri",
    "0 5 * * MON",
    "0 5 */5 * *",
    "0 5 * * */2",
    "0 5 1-31 * *",
    "0 5 1,15 * 1",
    "0 5 13 * 5",
    "0 5 * * 5-7",
    "0 5 * * 1-7/2",
    "0 5 * * 0-7/3",
    "0 5 * * mon-7",
    "0 5 * * 0,7",
    "0 5 1-1 * *",
    "0 5 29 2 *",
    "10-50/20 * * * *",
    " 0  5\t* * * ",
    "*/60 */24 */31 */12 *",
    "*/60 */24 * */12 */7",
    "0 5 * jan-mar/2 *",
]


def _field(low: int, high: int, names: list[str]) -> st.SearchStrategy[str]:
    number = st.integers(low, high + 1).flatmap(
        lambda each: st.sampled_from([str(each), f"{each:02d}", str(each)])
    )
    value = st.one_of(number, number, st.sampled_from(names)) if names else number
    step = st.sampled_from(["1", "2", "3", "5", "7", "15", "04", "0", "60", str(high), str(high + 1)])
    span = st.builds("{}-{}".format, value, value)
    element = st.one_of(
        value,
        value,
        span,
        st.builds("{}/{}".format, span, step),
        st.builds("{}/{}".format, value, step),
        st.builds("*/{}".format, step),
        value.map(lambda each: f"{each}-{each}"),
        st.sampled_from(["*", "?", "L", "", f"{low}-{high}"]),
    )
    lists = st.lists(element, min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), st.builds("*/{}".format, step), value, span, lists)


SPELLINGS = st.tuples(
    _field(0, 59, []),
    _field(0, 23, []),
    _field(1, 31, []),
    _field(1, 12, MONTHS),
    _field(0, 7, WEEKDAYS),
    st.sampled_from([" ", " ", " ", "  ", "\t"]),
).map(lambda parts: parts[5].join(parts[:5]))
DAYS_ONLY = st.tuples(_field(1, 31, []), _field(1, 12, MONTHS), _field(0, 7, WEEKDAYS)).map(
    lambda parts: f"0 5 {parts[0]} {parts[1]} {parts[2]}"
)
