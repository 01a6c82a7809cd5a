//! Draws what a simulation answered: a page that needs nothing else, and the formats other tools read.
