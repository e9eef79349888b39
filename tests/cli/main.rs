//! The built program from outside: exit codes, words, files.

mod inspection;
mod program;
mod runs;
mod specs;
mod tables;
mod usage;
