//! A host over SSH. The only file that names russh.
