//! Functions of the calendar, in UTC. A value is seconds since 1970; what is no moment gives no number.

use super::functions::Compute;

/// The function of a name.
pub(super) fn find(name: &str) -> Option<Compute> {
    Some(match name {
        "minute" => |it| part(it, |moment| moment.second_of_day / 60 % 60),
        "hour" => |it| part(it, |moment| moment.second_of_day / 3600),
        "day_of_week" => |it| part(it, |moment| (moment.day + 4).rem_euclid(7)),
        "day_of_month" => |it| part(it, |moment| moment.day_of_month),
        "day_of_year" => |it| part(it, |moment| moment.day - days_before(moment.year) + 1),
        "days_in_month" => |it| part(it, |moment| days_in_month(moment.year, moment.month)),
        "month" => |it| part(it, |moment| moment.month),
        "year" => |it| part(it, |moment| moment.year),
        _ => return None,
    })
}

struct Moment {
    /// Days since 1970.
    day: i64,
    second_of_day: i64,
    year: i64,
    month: i64,
    day_of_month: i64,
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be within an i64")]
#[expect(clippy::cast_precision_loss, reason = "parts of dates are small")]
fn part(seconds: f64, take: fn(&Moment) -> i64) -> f64 {
    /// Beyond this a year does not fit what the calendar computes with.
    const FARTHEST: f64 = 1e15;
    if seconds.is_nan() || FARTHEST < seconds.abs() {
        return f64::NAN;
    }
    take(&moment(seconds.trunc() as i64)) as f64
}

/// The date by the proleptic Gregorian calendar, whose pattern repeats every 400 years: years are counted
/// from March, so that the leap day is the last.
fn moment(seconds: i64) -> Moment {
    const DAYS_IN_ERA: i64 = 146_097;
    let day = seconds.div_euclid(86_400);
    let since_era = day + 719_468;
    let era = since_era.div_euclid(DAYS_IN_ERA);
    let day_of_era = since_era.rem_euclid(DAYS_IN_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    Moment {
        day,
        second_of_day: seconds.rem_euclid(86_400),
        year: era * 400 + year_of_era + i64::from(month <= 2),
        month,
        day_of_month: day_of_year - (153 * from_march + 2) / 5 + 1,
    }
}

/// Days between 1970 and the first of January of a year.
const fn days_before(year: i64) -> i64 {
    let past = year - 1;
    past * 365 + past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400) - 719_162
}

const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: f64, expected: [f64; 8]) {
        let names = [
            "year",
            "month",
            "day_of_month",
            "hour",
            "minute",
            "day_of_week",
            "day_of_year",
            "days_in_month",
        ];
        let found = names.map(|it| find(it).map_or(f64::NAN, |compute| compute(seconds)));
        assert_eq!(found.map(f64::to_bits), expected.map(f64::to_bits), "{found:?}");
    }

    #[test]
    fn moments_are_taken_apart() {
        check(0.0, [1970.0, 1.0, 1.0, 0.0, 0.0, 4.0, 1.0, 31.0]);
        check(951_827_696.5, [2000.0, 2.0, 29.0, 12.0, 34.0, 2.0, 60.0, 29.0]);
        check(-1.0, [1969.0, 12.0, 31.0, 23.0, 59.0, 3.0, 365.0, 31.0]);
        check(4_107_542_400.0, [2100.0, 3.0, 1.0, 0.0, 0.0, 1.0, 60.0, 31.0]);
    }
}
