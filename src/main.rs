//! The `valleyscope` program.

fn main() -> std::process::ExitCode {
    valleyscope::cli::main()
}
