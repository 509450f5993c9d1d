//! How another program uses provision: it builds a plan, looks at what would change, and applies it.
//!
//! `cargo run -p provision-example-embed -- /tmp/site` makes a small site on this machine; run it twice.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::error::Error;

use provision_core::connection::ShellConnection;
use provision_core::engine::{apply, observe};
use provision_core::event::Event;
use provision_core::plan::build::PlanBuilder;
use provision_core::shell::Become;
use provision_core::transport::local::Local;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args().nth(1).ok_or("give the folder to work in, as an absolute path")?;

    // The same fields, checks and references as in a plan file. `Plan::parse` reads one of those instead.
    let plan = PlanBuilder::new("site")
        .input("state", format!("{root}.state"))
        .input("root", root)
        // What the host remembers of the plan is beside the site, rather than in the usual place.
        .host(
            "here",
            toml::toml! {
                address = "local"
                state = "{{ input.state }}"
            },
        )
        .resource("directory", "root", toml::toml! { path = "{{ input.root }}" })
        .resource(
            "file",
            "index",
            toml::toml! {
                path = "{{ directory.root.path }}/index.html"
                content = "<h1>Hello</h1>\n"
            },
        )
        .resource(
            "link",
            "home",
            toml::toml! {
                path = "{{ directory.root.path }}/home.html"
                target = "index.html"
            },
        )
        .build()?;

    // This machine; `transport::ssh::Ssh` reaches another one. The host's limits come from the plan.
    for host in plan.hosts() {
        let connection = ShellConnection::new(Local, Become::No, host.silence).with_state(host.state.clone());
        let observed = observe(&plan, host, &connection).await?;

        // A value: it can be shown, kept, compared, or thrown away, and nothing has happened.
        #[expect(clippy::disallowed_methods, reason = "the library takes the time from the program that embeds it")]
        let changes = observed.diff(time::OffsetDateTime::now_utc());
        for (address, change) in changes.changed() {
            println!("{address}: {}", change.action.word());
        }
        if changes.is_empty() {
            println!("nothing to change");
        }

        // Exactly these changes, and no others. Events tell how far it is.
        let report = apply(changes, &connection, &|event| {
            if let Event::Finished { address, .. } = event {
                println!("done: {address}");
            }
        })
        .await?;
        if !report.succeeded() {
            return Err(format!("{report:#?}").into());
        }
    }
    Ok(())
}
