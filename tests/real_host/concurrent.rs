//! Many applies of one plan at once.

use std::process::Stdio;
use std::thread;

use provision_tests::{Error, Testbed};

use crate::cuts::Crowd;
use crate::support::Ran;

/// As the issue asks for.
const APPLIES: usize = 10;

#[test]
fn of_ten_applies_at_once_one_does_the_work_and_all_say_what_happened() -> Result<(), Error> {
    let bed = Testbed::shared()?;
    let crowd = Crowd::new(bed, "crowd")?;
    let ran: Vec<Ran> = thread::scope(|scope| {
        let applies: Vec<_> = (0..APPLIES)
            .map(|_| {
                scope.spawn(|| -> Result<Ran, Error> {
                    let mut command =
                        crowd.plan().command(bed, "apply", &["--yes", "--json", "--lock-timeout", "120s"])?;
                    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(Error::Run)?;
                    let output = child.wait_with_output().map_err(Error::Run)?;
                    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                    Ok(Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) })
                })
            })
            .collect();
        let ended = applies.into_iter().map(|apply| apply.join().map_err(|_| Error::Bed("a thread ended".to_owned())));
        ended.map(|ran| ran.and_then(|ran| ran)).collect::<Result<_, _>>()
    })?;

    let (well, badly): (Vec<&Ran>, Vec<&Ran>) = ran.iter().partition(|ran| ran.code == Some(0));
    let worked = well.iter().filter(|ran| changed(ran)).count();
    assert_eq!(worked, 1, "{ran:#?}");
    for ran in badly {
        // It had looked before the other was done, and says that what it saw is no longer so.
        assert_eq!(ran.code, Some(1), "{ran:#?}");
        assert!(ran.stderr.contains("somebody else") || ran.stdout.contains("somebody else"), "{ran:#?}");
    }
    assert_eq!(crowd.applies()?, 1, "applies that the host remembers");
    for unit in ["cuts-app", "cuts-web", "cuts-dropped"] {
        let starts =
            crowd.host().sh(&format!("journalctl --no-pager --output=cat --unit={unit} | grep -c ^Started"))?;
        assert_eq!(starts.stdout.trim(), "1", "starts of {unit}");
    }
    assert_eq!(crowd.unlike_a_single_apply()?, [""; 0]);
    Ok(())
}

/// Whether a run says that it has changed something.
fn changed(ran: &Ran) -> bool {
    let json = ran.json();
    let results = json.pointer("/hosts/0/results").and_then(serde_json::Value::as_array);
    results.into_iter().flatten().any(|result| result.get("outcome").is_some_and(|outcome| outcome == "changed"))
}
