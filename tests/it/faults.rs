//! What goes wrong below the server, and what it makes of that.

mod reboot;
