//! What is proved on real hosts: systemd, podman, firewalld, haproxy and sshd, in network namespaces of their own.

mod bed;
mod cuts;
mod hosts;
mod kinds;
mod registry;
mod support;
