//! A run that is killed or interrupted at any write, rename or sync ends, after the same command, as one that never was;
//! and what is lost, torn or changed between two starts is noticed.

#![cfg(target_os = "linux")]

mod damage;
mod every_point;
mod limits;
mod program;
