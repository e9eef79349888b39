//! The built program from outside: exit codes, words, files.

mod again;
mod extend;
mod inputs;
mod inspection;
mod networks;
mod outside;
mod page;
mod preflight;
mod program;
mod runs;
mod specs;
mod study;
mod tables;
mod usage;
mod verify;
mod watch;
