//! Figures, not verdicts: what applying 102 resources over SSH costs, beside `ssh host true` in the same run.
//!
//! `tests/bench` builds everything for release and runs this. Every figure is the median of [`ROUNDS`]; the two ways to
//! the host take turns with `ssh`, so that a busy machine is busy for both.

#![expect(clippy::print_stdout, reason = "a benchmark talks to whoever runs it")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use provision_tests::{Error, Host, Testbed};

const ROUNDS: usize = 7;

/// 10 directories, 90 files, a unit and a service.
fn plan(address: &str, port: u16) -> String {
    let mut plan = format!("name = \"bench\"\n[host.bench]\naddress = \"{address}\"\nport = {port}\nuser = \"root\"\n");
    for directory in 0..10 {
        let _infallible = writeln!(plan, "[directory.d{directory}]\npath = \"/srv/bench/{directory}\"");
        for file in 0..9 {
            let _infallible = writeln!(
                plan,
                "[file.f{directory}_{file}]\npath = \"/srv/bench/{directory}/{file}.conf\"\n\
                 content = \"setting = {directory}{file}\\n{}\"",
                "# a line of comment, as configuration files have them\\n".repeat(20)
            );
        }
    }
    plan.push_str(
        "[unit.bench]\nunit = \"bench.service\"\ncontent = \"\"\"\n[Unit]\nDescription=Bench\n[Service]\n\
         ExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n\"\"\"\n\
         [service.bench]\nunit = \"bench.service\"\n",
    );
    plan
}

fn timed(command: &mut Command) -> Result<Duration, Error> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let output = command.output().map_err(Error::Run)?;
    let took = start.elapsed();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(took)
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
}

/// One line of the table: the floor, the first apply and the repeat, in seconds.
fn measure(bed: &Testbed, host: &Host, address: &str, port: u16, folder: &Path) -> Result<[f64; 3], Error> {
    let file = folder.join("plan.toml");
    fs::write(&file, plan(address, port)).map_err(Error::Run)?;
    let apply = || -> Result<Command, Error> {
        let mut command = bed.provision()?;
        command.args(["apply", "--yes", "--known-hosts"]).arg(bed.known_hosts());
        command.arg("--identity").arg(bed.ssh_key()).arg(&file);
        Ok(command)
    };
    let (mut floor, mut first, mut repeat) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        host.sh("systemctl disable --now --quiet bench 2>/dev/null; rm -rf /srv/bench /etc/systemd/system/bench.service; mkdir -p /srv/bench; systemctl daemon-reload")?.ok()?;
        first.push(timed(&mut apply()?)?);
        floor.push(timed(host.ssh("root").args(["-p", &port.to_string(), address, "true"]))?);
        repeat.push(timed(&mut apply()?)?);
    }
    Ok([median(floor), median(first), median(repeat)])
}

fn main() -> Result<(), Error> {
    let bed = Testbed::start()?;
    let host = bed.fresh_host("bench")?;
    // One login to warm what a first login makes, such as the user's session slice.
    host.login("root", "true")?.ok()?;
    println!("102 resources, median of {ROUNDS}, seconds:\n");
    println!("| round trip | `ssh host true` | first apply | repeat | repeat / ssh |");
    println!("|---|---|---|---|---|");
    let ipv4 = host.ipv4.to_string();
    let [floor, first, repeat] = measure(&bed, &host, &ipv4, 22, bed.directory())?;
    println!("| 0 ms | {floor:.2} | {first:.2} | {repeat:.2} | {:.2} |", repeat / floor);
    let far = bed.delayed(&host, Duration::from_millis(25))?;
    let address = far.address.ip().to_string();
    let [floor, first, repeat] = measure(&bed, &host, &address, far.address.port(), bed.directory())?;
    println!("| 50 ms | {floor:.2} | {first:.2} | {repeat:.2} | {:.2} |", repeat / floor);
    Ok(())
}
