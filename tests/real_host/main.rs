//! What is proved on real hosts: systemd, podman, firewalld, haproxy and sshd, in network namespaces of their own.

mod bed;
mod cases;
mod concurrent;
mod cuts;
mod faults;
mod hosts;
mod kinds;
mod lockout;
mod ownership;
mod registry;
mod sealed;
mod shells;
mod support;
