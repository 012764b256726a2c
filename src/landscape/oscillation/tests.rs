use proptest::prelude::*;

use super::*;

fn simulate(settings: Settings) -> Oscillation {
    Oscillation::simulate(settings).unwrap()
}

#[test]
fn without_noise_the_period_is_c_and_one() {
    let settings = Settings {
        start: -0.0625,
        noise: 0.0,
        ..Settings::with([1.0, 4.0], 0.25, 24, 0)
    };
    let found = simulate(settings);
    assert_eq!(found.iterates[..6], [-0.0625, 0.9375, 0.6875, 0.4375, 0.1875, -0.0625]);
    // η·a₊·(c/2 − s) with s = 0.0625/(η·a₊), how deep on the sharp side the round before ended.
    let round = |start: usize| Round {
        start,
        end: start + 4,
        mean: 0.4375,
    };
    assert_eq!(found.rounds, [1, 6, 11, 16].map(round));
    assert_eq!((found.mean, found.bound), (0.4375, None));
}

#[test]
fn at_a_large_rate_rounds_lie_above_the_bound_and_at_a_small_one_there_are_none() {
    let large = simulate(Settings::large_rate(1));
    let bound = large.bound.unwrap();
    assert!(large.rounds.len() > 10 && large.rounds.iter().all(|round| round.mean > bound) && large.mean > bound);
    let flat = simulate(Settings::small_rate_from_flat(1));
    let sharp = simulate(Settings::small_rate_from_sharp(1));
    assert!(flat.rounds.is_empty() && flat.mean > 0.5 && sharp.mean < 0.0 && sharp.mean > -0.1);
    assert!(sharp.settings.unmet_condition().unwrap().contains("start"));
}

#[test]
fn two_flat_sides_keep_the_start_and_two_sharp_ones_have_their_mean_at_the_minimum() {
    let flat = simulate(Settings::symmetric_flat(1));
    assert!(flat.iterates.iter().all(|&w| w > 0.0) && flat.mean > 0.5);
    let settings = Settings {
        start: 0.0,
        steps: 20_000,
        ..Settings::symmetric_sharp(1)
    };
    // Five standard errors, from a hundred means of stretches far longer than the memory of the iterates.
    let means: Vec<f64> = simulate(settings).iterates[1..].chunks(200).map(mean).collect();
    let middle = mean(&means);
    let variance = means.iter().map(|m| (m - middle).powi(2)).sum::<f64>() / 99.0;
    assert!(
        means.len() == 100 && middle.abs() < 5.0 * (variance / 100.0).sqrt(),
        "{middle} {variance}"
    );
}

#[test]
fn what_cannot_be_simulated_is_told_in_a_sentence() {
    let usual = Settings::large_rate(1);
    assert_eq!(simulate(usual), simulate(usual));
    assert_ne!(simulate(usual).iterates, simulate(Settings::large_rate(2)).iterates);
    let rate = |learning_rate| Settings { learning_rate, ..usual };
    let valley = |flat, sharp| Settings::with([flat, sharp], 0.5, 10, 1);
    let wrong = [
        rate(0.0),
        rate(f64::NAN),
        rate(1e308),
        valley(0.0, 1.0),
        valley(1.0, 0.5),
        valley(1e-300, 1e300),
    ];
    let more = [
        (f64::INFINITY, 0.0, 1),
        (-1.0, 0.0, 1),
        (0.0, f64::NAN, 1),
        (0.0, 0.0, 0),
        (0.0, 0.0, usize::MAX),
    ];
    let more = more.map(|(noise, start, steps)| Settings {
        noise,
        start,
        steps,
        ..usual
    });
    for settings in wrong.into_iter().chain(more) {
        let message = Oscillation::simulate(settings).unwrap_err().to_string();
        assert!(message.contains("give") || message.contains("lower"), "{message}");
    }
}

proptest! {
    // The theorem bounds the expectation. From this much noise on the bound is so far down that single rounds keep to
    // it too, with room to spare.
    #[test]
    fn every_round_lies_above_the_bound(
        c in 14.0_f64..60.0, noise in 0.1_f64..1.0, flat in 0.01_f64..9.0, rate in 0.001_f64..1.0, seed in any::<u64>(),
    ) {
        let usual = Settings::with([flat, c * flat], rate, 2000, seed);
        let found = simulate(Settings { noise: noise * flat, start: rate * flat, ..usual });
        let bound = found.bound.unwrap();
        prop_assert!(bound > 0.0 && found.rounds.len() > 20);
        prop_assert!(found.rounds.iter().all(|round| round.mean >= bound), "{bound} {:?}", found.rounds);
    }

    // The iterates of a round are evenly spaced where there is no noise.
    #[test]
    fn without_noise_a_round_has_the_mean_of_its_ends(c in 1.5_f64..60.0, start in 0.0_f64..5.0) {
        let found = simulate(Settings { noise: 0.0, start, ..Settings::with([1.0, c], 1.0, 500, 0) });
        for Round { start, end, mean } in found.rounds {
            prop_assert!((mean - 0.5 * (found.iterates[start] + found.iterates[end])).abs() < 1e-9);
        }
    }
}
