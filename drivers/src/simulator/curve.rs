//! How much a home uses and its roof yields in any minute: a pure function of seed and time, in whole watts.

/// Typical load of a home at each full hour (UTC), in watts: a quiet night, a morning peak, a higher evening peak.
/// The mean is 340 W, about 3,000 kWh a year.
const DAY: [u32; 25] = [
    130, 110, 100, 100, 110, 180, 380, 520, 430, 300, 260, 280, 340, 320, 270, 260, 310, 480, 720, 850, 760, 560, 360,
    210, 130,
];

/// Minutes of a day.
const MINUTES: i64 = 1440;

/// What a home is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Home {
    pub seed: u64,
    /// Of the whole street: neighbours share their clouds.
    pub street: u64,
    /// Peak of the roof in watts.
    pub pv_peak: u32,
    /// Size of the load, 1000 = the typical home.
    pub scale: u32,
}

/// Consumption, and generation that nobody holds back, in watts, during a whole minute (counted from 1970).
pub(super) fn parts(home: &Home, minute: i64) -> (i64, i64) {
    (i64::from(load(home, minute)), i64::from(sun(home, minute)))
}

/// A well-mixed number from a seed and two counters (the finaliser of SplitMix64).
pub(super) fn mix(seed: u64, a: i64, b: u64) -> u64 {
    let mut x = seed ^ a.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ b.wrapping_mul(0xD1B5_4A32_D192_ED03);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A number from `least` to `least + span - 1`.
pub(super) fn pick(random: u64, least: u32, span: u32) -> u32 {
    least + u32::try_from(random % u64::from(span.max(1))).unwrap_or(0)
}

fn minute_of_day(minute: i64) -> u32 {
    u32::try_from(minute.rem_euclid(MINUTES)).unwrap_or(0)
}

fn load(home: &Home, minute: i64) -> u32 {
    let now = minute_of_day(minute);
    let (hour, part) = (usize::try_from(now / 60).unwrap_or(0), now % 60);
    let typical = (DAY[hour] * (60 - part) + DAY[hour + 1] * part) / 60;
    let flicker = pick(mix(home.seed, minute, 1), 850, 301);
    let mut watts = typical * flicker / 1000;
    // A fridge: 15 minutes of 45, each home's at its own time.
    if (u64::from(now) + mix(home.seed, 0, 2)) % 45 < 15 {
        watts += 90;
    }
    // Three times a day something heats: kettle, oven, washing machine.
    let day = minute.div_euclid(MINUTES);
    for (meal, from) in [(3, 360), (4, 660), (5, 1020)] {
        let random = mix(home.seed, day, meal);
        let start = pick(random, from, 180);
        if (start..start + pick(random >> 16, 4, 50)).contains(&now) {
            watts += pick(random >> 32, 700, 1500);
        }
    }
    u32::try_from(u64::from(watts) * u64::from(home.scale) / 1000).unwrap_or(u32::MAX)
}

/// A bell from 6 to 18 h, dimmed by clouds that pass over the whole street.
fn sun(home: &Home, minute: i64) -> u32 {
    let now = minute_of_day(minute);
    let Some(since) = now.checked_sub(360).filter(|since| *since < 720) else { return 0 };
    let bell = since * (720 - since) / 130;
    let (slot, part) = (minute.div_euclid(12), u32::try_from(minute.rem_euclid(12)).unwrap_or(0));
    let sky = |slot| pick(mix(home.street, slot, 6), 300, 900).min(1000);
    let clear = (sky(slot) * (12 - part) + sky(slot + 1) * part) / 12;
    let watts = u64::from(home.pv_peak) * u64::from(bell.min(1000)) * u64::from(clear) / 1_000_000;
    u32::try_from(watts).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(home: &Home, minute: i64) -> i64 {
        let (load, sun) = parts(home, minute);
        load - sun
    }

    const HOME: Home = Home { seed: 1, street: 2, pv_peak: 5000, scale: 1000 };

    #[test]
    fn a_typical_home_uses_some_kilowatt_hours_a_day_and_its_roof_yields_by_day_only() {
        let home = Home { pv_peak: 0, ..HOME };
        let day: i64 = (0..MINUTES).map(|m| net(&home, m)).sum::<i64>() / 60;
        assert!((5_000..20_000).contains(&day), "{day} Wh");
        assert!((0..MINUTES).all(|m| net(&home, m) > 0));
        assert!((0..360).chain(1080..MINUTES).all(|m| sun(&HOME, m) == 0));
        let yielded: u32 = (0..MINUTES).map(|m| sun(&HOME, m)).sum::<u32>() / 60;
        assert!((10_000..40_000).contains(&yielded), "{yielded} Wh");
    }

    #[test]
    fn no_minute_and_no_size_overflows() {
        let huge = Home { pv_peak: u32::MAX, scale: u32::MAX, ..HOME };
        for minute in [i64::MIN, -1, 0, 720, i64::MAX - 1] {
            let _ = net(&huge, minute);
        }
    }
}
