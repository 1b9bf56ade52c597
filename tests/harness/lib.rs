//! Starts the real programs on free ports and ends them.
