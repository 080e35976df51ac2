//! What is done with the bytes of media, judged by the tools that read them.

mod privacy;
