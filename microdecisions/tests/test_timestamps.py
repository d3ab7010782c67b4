"""Every form of time that Salesforce writes becomes one text that sorts like the instant."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microdecisions import timestamps

LAW = settings(deadline=None, derandomize=True)
DAY = timedelta(days=1)
instants = st.datetimes(timezones=st.just(UTC))
milliseconds = st.builds(lambda at, ms: at.replace(microsecond=ms * 1000), instants, st.integers(0, 999))
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@LAW
@given(milliseconds, offsets)
def test_all_forms_of_one_instant_give_the_same_text(at: datetime, zone: timezone) -> None:
    plain = f"{at.year:04}-{at.month:02}-{at.day:02}T{at.hour:02}:{at.minute:02}:{at.second:02}"
    fraction = f"{at.microsecond // 1000:03}"
    forms = [f"{plain}.{fraction}+0000", f"{plain}.{fraction}Z", f"{plain}.{fraction}000+00:00", at.isoformat()]
    if datetime.min.replace(tzinfo=UTC) + DAY < at < datetime.max.replace(tzinfo=UTC) - DAY:
        forms.append(at.astimezone(zone).isoformat())
    assert {timestamps.canonical(form) for form in forms} == {f"{plain}.{fraction}000Z"}


@LAW
@given(instants, instants)
def test_texts_sort_like_instants_and_are_of_one_width(one: datetime, other: datetime) -> None:
    first, second = timestamps.to_text(one), timestamps.to_text(other)
    assert (first < second, first == second) == (one < other, one == other)
    assert len(first) == len(second) == 27


@LAW
@given(instants)
def test_the_text_reads_back_as_the_instant_and_is_canonical_itself(at: datetime) -> None:
    text = timestamps.to_text(at)
    assert timestamps.parse(text) == at
    assert timestamps.canonical(text) == text


def test_early_years_keep_four_digits() -> None:
    assert timestamps.to_text(datetime(7, 1, 2, tzinfo=UTC)) == "0007-01-02T00:00:00.000000Z"
    assert timestamps.canonical("0999-12-31T23:59:59.000+0000") == "0999-12-31T23:59:59.000000Z"


@LAW
@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_milliseconds_lose_nothing(ms: int) -> None:
    assert (timestamps.from_epoch_ms(ms) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1) == ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2024-01-15",
        "2024-01-15T10:30:00",  # no offset
        "2024-01-15T10:30:00.000",
        "2024-13-15T10:30:00.000+0000",  # the shape of REST, but no such month, day or hour
        "2024-02-30T10:30:00.000Z",
        "2024-01-15T25:30:00.000+0000",
        "\uff12024-01-15T10:30:00.000+0000",
        "aaaa-bb-ccTdd:ee:ff.ggg+0000",
        "aaaa-bb-ccTdd:ee:ff.gggZ",
        "0001-01-01T00:00:00+05:00",  # before the calendar begins in UTC
        "9999-12-31T23:59:59-05:00",
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        timestamps.canonical(text)


rest_forms = st.datetimes().map(lambda at: at.strftime("2024-%m-%dT%H:%M:%S.000+0000"))
bulk_forms = rest_forms.map(lambda text: text.replace("+0000", "Z"))
other_forms = st.sampled_from(["2024-01-15T10:30:00Z", "2024-01-15T10:30:00.123456+05:30", "2024-W03-1T10:30:00.000Z"])


@LAW
@given(st.lists(rest_forms) | st.lists(bulk_forms) | st.lists(rest_forms | bulk_forms | other_forms))
def test_many_date_times_at_once_are_each_as_alone(texts: list[str]) -> None:
    assert timestamps.canonical_all(texts) == [timestamps.canonical(text) for text in texts]


@pytest.mark.parametrize("wrong", ["2024-13-15T10:30:00.000+0000", "aaaa-bb-ccTdd:ee:ff.ggg+0000", "", "2024-01-15"])
def test_one_wrong_date_time_among_many_is_refused(wrong: str) -> None:
    right = "2024-01-15T10:30:00.000+0000"
    with pytest.raises(ValueError, match=r".+"):
        timestamps.canonical_all([right, wrong, right])


def test_a_naive_date_time_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        timestamps.to_text(datetime(2024, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="offset"):
        timestamps.parse("2024-01-15T10:30:00")


@LAW
@given(st.dates())
def test_a_date_and_its_midnight_are_the_same_date(day: date) -> None:
    text = day.isoformat()
    assert timestamps.canonical_date(text) == text
    assert timestamps.canonical_date(f"{text}T00:00:00.000+0000") == text
    assert timestamps.canonical_date(f"{text}T00:00:00.000Z") == text


@pytest.mark.parametrize(
    "text", ["", "2024-02-30", "31.01.2024", "2024-01-15T", "2024-01-15Tea", "2024-01-15T10:30:00Z"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        timestamps.canonical_date(text)


def test_flooring_drops_only_what_is_below_the_second() -> None:
    at = datetime(2024, 1, 15, 10, 30, 59, 999_999, tzinfo=UTC)
    assert timestamps.floor_second(at) == datetime(2024, 1, 15, 10, 30, 59, tzinfo=UTC)
