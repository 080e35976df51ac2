//! The tus dialect (docs/tus.md).

mod broken;
mod concat;
mod core;
mod creation;
mod heads;
mod limits;
mod mixed;
