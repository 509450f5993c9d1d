//! What is proved on real hosts: systemd, podman, firewalld, haproxy and sshd, in network namespaces of their own.

mod adopt;
mod bed;
mod cases;
mod concurrent;
mod cuts;
mod faults;
mod firewall;
mod hostile;
mod hosts;
mod kinds;
mod lockout;
mod mirror_registry;
mod oc_mirror;
mod ownership;
mod packages;
mod preflight;
mod quadlet;
mod quay;
mod registry;
mod rootless;
mod sealed;
mod secrets;
mod shells;
mod support;
mod transfer;
mod upgrade;
