//! One file a task.
