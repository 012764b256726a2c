//! Experiments made by the program from recipes that a test writes, into `out` of a folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use valleyscope::experiment::outcome::Made;
use valleyscope::experiment::recipe::Recipe;

use super::program::run;

const REPRODUCE: [&str; 6] = ["reproduce", "recipe.toml", "--out", "out", "--device", "cpu"];

/// Makes an experiment, and gives what it found.
pub fn make(text: &str, folder: &Path) -> Made {
    let recipe = Recipe::parse(text, Path::new("recipe.toml")).unwrap();
    let name = &recipe.name;
    std::fs::write(folder.join("recipe.toml"), text).unwrap();
    let (done, said, errors) = run(&REPRODUCE, folder);
    assert!(done, "{said}{errors}");
    let made = Made::read(&folder.join("out"), &recipe).unwrap();
    for figure in &made.outcome.figures {
        for ending in ["png", "svg", "csv"] {
            let file = folder.join(format!("out/{name}/{}.{ending}", figure.name));
            assert!(file.exists(), "{}", file.display());
        }
    }
    made
}

/// What is said of an experiment that cannot be made.
pub fn refused(text: &str, folder: &Path) -> String {
    std::fs::write(folder.join("recipe.toml"), text).unwrap();
    let (done, _, errors) = run(&REPRODUCE, folder);
    assert!(!done, "{text}");
    errors
}

/// When everything that is kept was written, by its name: weights as safetensors, and what was measured as JSON.
pub fn kept(folder: &Path) -> BTreeMap<String, SystemTime> {
    let entries = std::fs::read_dir(folder.join("out/lines")).unwrap();
    let files = entries.map(|entry| {
        let entry = entry.unwrap();
        let time = entry.metadata().unwrap().modified().unwrap();
        (entry.file_name().to_string_lossy().into_owned(), time)
    });
    files.collect()
}
