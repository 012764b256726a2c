//! The papers' learning rate: constant, then linear down to the averaging rate, then constant.

use super::TrainingOptions;

/// Learning rate of `epoch`, counted from 1.
///
/// With t = (epoch − 1) / `swa_start`: constant until t = 0.5, linear down to the averaging rate at t = 0.9, then
/// constant. Without averaging, t = (epoch − 1) / `epochs` and the rate ends at a hundredth of its start. Epochs beyond
/// the main phase have the rate of SGD from the average.
pub fn learning_rate(options: &TrainingOptions, epoch: usize) -> f64 {
    if epoch > options.epochs {
        return options.sgd_learning_rate;
    }
    let (length, last) = if options.averages() {
        (options.swa_start, options.swa_learning_rate)
    } else {
        (options.epochs, options.learning_rate / 100.0)
    };
    let t = (epoch - 1) as f64 / length as f64;
    let share = ((t - 0.5) / 0.4).clamp(0.0, 1.0);
    options.learning_rate + share * (last - options.learning_rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_published_one() {
        // 225 epochs, averaging from 126 at 0.05: t passes 0.5 at epoch index 63 and 0.9 at 113.4.
        let options = TrainingOptions {
            epochs: 225,
            swa_start: 126,
            ..TrainingOptions::default()
        };
        assert_eq!(learning_rate(&options, 1), 0.1);
        assert_eq!(learning_rate(&options, 64), 0.1);
        let t: f64 = 88.0 / 126.0;
        assert!((learning_rate(&options, 89) - (0.1 - 0.05 * (t - 0.5) / 0.4)).abs() < 1e-12);
        assert!((learning_rate(&options, 115) - 0.05).abs() < 1e-12);
        assert!((learning_rate(&options, 225) - 0.05).abs() < 1e-12);
        assert_eq!(learning_rate(&options, 226), options.sgd_learning_rate);
    }
}
