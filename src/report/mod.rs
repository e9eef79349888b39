//! Figures and summaries from the files of a run.
