//! Downloads from a server of our own on this machine: good ones, broken ones, and those that are not what they claim.

mod archives;
mod command;
mod fetching;
mod server;
mod sets;
