//! Architectures everybody knows, as applications and scenarios: to run, to simulate, to begin from.
