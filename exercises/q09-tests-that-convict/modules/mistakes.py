"""Mistakes in the module, one thing each: name -> (what stands there, what stands there in its place)."""

MISTAKES = {
    "three hours exclusive": ("timedelta(minutes=flight.late) < LATE", "timedelta(minutes=flight.late) <= LATE"),
    "kilometres": ("STEPS = ((930, 250), (2170, 400))", "STEPS = ((1500, 250), (3500, 400))"),
    "notice in calendar days": (
        "flight.departs - flight.told >= IN_TIME",
        "(flight.departs.date() - flight.told.date()).days >= IN_TIME.days",
    ),
    "most a flight": ("left.get(day, MOST_A_DAY))", "MOST_A_DAY)"),
    "day of the machine": ("flight.departs.astimezone(NEW_YORK).date()", "flight.departs.astimezone().date()"),
    "exempt after the cap": (
        "left[day] = left.get(day, MOST_A_DAY) - paid[index]",
        "left[day] = left.get(day, MOST_A_DAY) - (paid[index] or FARTHER * (flight.cause in EXEMPT))",
    ),
}
