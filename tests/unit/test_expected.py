"""The independent computation is itself pinned to what is published about the data set."""

import pandas as pd

from support import expected


def test_the_year_has_the_published_figures_and_a_natural_key():
    year = expected.flights("2013-01-01", "2013-12-31")
    assert (len(year), int(year["cancelled"].sum()), int(year["tailnum"].isna().sum())) == (336_776, 8_255, 2_512)
    assert not year.duplicated(expected.FLIGHT_KEY).any()
    assert expected.daily_delays("2013-01-01", "2013-12-31")["flights"].sum() == 336_776


def test_departure_instants_agree_with_the_utc_hours_of_the_data():
    ours = expected.flights("2013-01-01", "2013-12-31")["sched_dep_utc"].dt.floor("h")
    theirs = pd.to_datetime(expected.raw("flights.csv.zip")["time_hour"], utc=True)
    assert list(ours) == list(theirs.sort_values())


def test_scheduled_arrivals_leave_time_to_fly():
    year = expected.flights("2013-01-01", "2013-12-31")
    assert set(year.loc[year["sched_arr_utc"].isna(), "dest"]) == {"BQN", "PSE", "SJU", "STT"}
    scheduled = (year["sched_arr_utc"] - year["sched_dep_utc"]).dt.total_seconds() / 60
    assert scheduled.dropna().between(50, 700).all()


def test_the_flight_to_honolulu_lands_on_the_day_it_leaves():
    day = expected.flights("2013-06-13", "2013-06-13")
    [honolulu] = day[(day["dest"] == "HNL") & (day["origin"] == "JFK")].to_dict("records")
    assert honolulu["carrier"] == "HA"
    assert honolulu["sched_dep_utc"] == pd.Timestamp("2013-06-13 10:00", tz="America/New_York")
    assert honolulu["sched_arr_utc"].tz_convert("Pacific/Honolulu").date() == pd.Timestamp("2013-06-13").date()
