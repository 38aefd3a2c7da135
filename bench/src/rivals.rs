//! The rules that others ship, re-implemented in our own words from their descriptions.
