//! What is wrong with the host is said, with the resource and the host; nothing is half done, and when it is mended the
//! next apply does the rest.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use provision_tests::cutting::{Side, Then, Wrappers};
use provision_tests::{Error, Host, Seed, Testbed};

use crate::support::{Plan, Ran};

const ROOT: &str = "/srv/faults/root";

/// A host of one case, with a plan.
struct Case {
    bed: &'static Testbed,
    host: Host,
}

impl Case {
    fn new(name: &str) -> Result<Self, Error> {
        let bed = Testbed::shared()?;
        let host = bed.fresh_host(name)?;
        host.sh(&format!("mkdir -p {ROOT}"))?.ok()?;
        Ok(Self { bed, host })
    }

    /// `word` decides on every content; the large file has three million bytes.
    fn plan(&self, word: &str) -> Result<Plan, Error> {
        let plan = Plan::new("tests/real_host/plans/faults.toml");
        Ok(plan.variable("address", self.host.ipv4).variable("word", word).variable("big", self.big(word)?.display()))
    }

    fn big(&self, word: &str) -> Result<PathBuf, Error> {
        let file = self.bed.directory().join(format!("{}-{word}", self.host.name));
        let mut seed = Seed::new(word.len() as u64);
        let bytes: Vec<u8> = (0..3_000_000).map(|_| u8::try_from(seed.below(256)).unwrap_or(0)).collect();
        fs::write(&file, bytes).map_err(Error::Run)?;
        Ok(file)
    }

    fn has_big(&self, word: &str) -> Result<bool, Error> {
        Ok(self.host.read(&format!("{ROOT}/big"))? == fs::read(self.big(word)?).map_err(Error::Run)?)
    }

    /// Expects the apply to fail, with all of these words in what it says, and nothing to be half done.
    fn fails(&self, word: &str, parts: &[&str]) -> Result<Ran, Error> {
        let ran = self.plan(word)?.run(self.bed, "apply", &["--yes"])?;
        assert_eq!(ran.code, Some(1), "{ran:#?}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in\n{said}");
        }
        // The host by the name that the plan has for it, or by its address.
        assert!(
            said.contains("host h") || said.contains("on h") || said.contains(&self.host.ipv4.to_string()),
            "{said}"
        );
        self.tidy()?;
        Ok(ran)
    }

    /// Nobody is at it, and nothing of an attempt is left.
    fn tidy(&self) -> Result<(), Error> {
        let left = self.host.sh(
            "find /srv /etc /var/lib/provision -name '*.provision-new' 2>/dev/null; ls /var/lib/provision/*/lock 2>/dev/null",
        )?;
        assert_eq!(left.stdout, "", "left on the host");
        assert_eq!(self.host.login_processes()?, [""; 0]);
        Ok(())
    }

    /// The fault is gone: one apply does what is left, and after it all is as it should be.
    fn converges(&self, word: &str) -> Result<(), Error> {
        self.plan(word)?.applied_twice(self.bed, &self.host)?;
        self.tidy()?;
        assert!(self.has_big(word)?, "the large file is not as wanted");
        let same =
            format!("cmp {ROOT}/config /run/faults.seen && cmp {ROOT}/config /srv/faults/made && cat {ROOT}/config");
        assert_eq!(self.host.sh(&same)?.ok()?, word);
        assert_eq!(self.host.sh("ls -A /var/lib/provision/faults/owed 2>/dev/null; true")?.ok()?, "");
        Ok(())
    }

    fn sh(&self, script: &str) -> Result<(), Error> {
        self.host.sh(script)?.ok().map(drop)
    }
}

/// Keeps it from being changed; tmpfs has the flag as well as ext4, and goes with the host.
fn immutable(host: &Host, path: &str, flag: &str) -> Result<(), Error> {
    // The hosts have no chattr.
    let file = host.root()?.join(path.trim_start_matches('/'));
    let output = Command::new("chattr").arg(flag).arg(file).output().map_err(Error::Run)?;
    assert!(output.status.success(), "this kernel does not make a file of tmpfs immutable: {output:?}");
    Ok(())
}

#[test]
fn a_full_disk_is_said_and_the_old_file_stays() -> Result<(), Error> {
    let case = Case::new("faultfull")?;
    case.sh(&format!("mount -t tmpfs -o size=1m,mode=0755 tmpfs {ROOT}"))?;
    case.fails("first", &["file.big", "No space left on device", &format!("{ROOT}/big")])?;
    assert!(!case.host.sh(&format!("test -e {ROOT}/big"))?.success(), "there is a piece of it");
    // Room for one, and not for the next beside it.
    case.sh(&format!("mount -o remount,size=5m {ROOT}"))?;
    case.converges("first")?;
    case.fails("second", &["file.big", "No space left on device"])?;
    assert!(case.has_big("first")?, "the old file is not whole");
    case.sh(&format!("mount -o remount,size=16m {ROOT}"))?;
    case.converges("second")
}

#[test]
fn what_cannot_be_kept_is_not_replaced() -> Result<(), Error> {
    let case = Case::new("faultkeep")?;
    case.host.copy_in(&format!("{ROOT}/big"), &fs::read(case.big("foreign")?).map_err(Error::Run)?)?;
    case.sh("mkdir -p /var/lib/provision && mount -t tmpfs -o size=1m,mode=0700 tmpfs /var/lib/provision")?;
    case.fails("first", &["file.big", "No space left on device"])?;
    assert!(case.has_big("foreign")?, "it was replaced though it could not be kept");
    case.sh("mount -o remount,size=16m /var/lib/provision")?;
    case.converges("first")?;
    let destroyed = case.plan("first")?.run(case.bed, "destroy", &["--yes"])?;
    assert_eq!(destroyed.code, Some(0), "{destroyed:#?}");
    assert!(case.has_big("foreign")?, "what was there before did not come back");
    Ok(())
}

#[test]
fn without_room_for_the_journal_nothing_is_begun() -> Result<(), Error> {
    let case = Case::new("faultjournal")?;
    case.sh("mkdir -p /var/lib/provision && mount -t tmpfs -o size=1m,nr_inodes=2,mode=0700 tmpfs /var/lib/provision")?;
    case.fails("first", &["No space left on device"])?;
    assert!(!case.host.sh("test -e /srv/faults/before.conf")?.success(), "something was begun");
    case.sh("mount -o remount,nr_inodes=1000,size=16m /var/lib/provision")?;
    case.converges("first")
}

#[test]
fn a_read_only_file_system_is_said() -> Result<(), Error> {
    let case = Case::new("faultread")?;
    case.sh(&format!("mount --bind {ROOT} {ROOT} && mount -o remount,bind,ro {ROOT}"))?;
    case.fails("first", &["file.big", "Read-only file system"])?;
    case.sh(&format!("mount -o remount,bind,rw {ROOT}"))?;
    case.converges("first")?;
    case.sh("mount --bind /var/lib/provision /var/lib/provision && mount -o remount,bind,ro /var/lib/provision")?;
    case.fails("second", &["Read-only file system", "/var/lib/provision"])?;
    assert!(case.has_big("first")?, "something was begun");
    case.sh("mount -o remount,bind,rw /var/lib/provision")?;
    case.converges("second")
}

#[test]
fn an_immutable_file_is_said_and_stays() -> Result<(), Error> {
    let case = Case::new("faultimmutable")?;
    case.sh(&format!("mount -t tmpfs -o mode=0755 tmpfs {ROOT}"))?;
    case.converges("first")?;
    immutable(&case.host, &format!("{ROOT}/big"), "+i")?;
    case.fails("second", &["file.big", "Operation not permitted", &format!("{ROOT}/big")])?;
    assert!(case.has_big("first")?, "the old file is not whole");
    immutable(&case.host, &format!("{ROOT}/big"), "-i")?;
    case.converges("second")
}

/// Takes a tool away and gives it back.
fn missing(tool: &str) -> Result<(), Error> {
    let case = Case::new(&format!("faultno{tool}"))?;
    case.converges("first")?;
    case.sh(&format!("mv /usr/bin/{tool} /usr/bin/{tool}.away"))?;
    case.fails("second", &[tool])?;
    // By copying, since mv may be what is missing.
    case.sh(&format!("cp -a /usr/bin/{tool}.away /usr/bin/{tool} && rm /usr/bin/{tool}.away"))?;
    case.converges("second")
}

#[test]
fn a_missing_sha256sum_is_named() -> Result<(), Error> {
    missing("sha256sum")
}

#[test]
fn a_missing_systemctl_is_named() -> Result<(), Error> {
    missing("systemctl")
}

#[test]
fn a_missing_flock_is_named() -> Result<(), Error> {
    missing("flock")
}

#[test]
fn a_missing_mv_is_named() -> Result<(), Error> {
    missing("mv")
}

#[test]
fn a_step_that_was_killed_is_said_and_still_owed() -> Result<(), Error> {
    let case = Case::new("faultkill")?;
    case.converges("first")?;
    case.sh("touch /srv/faults/kill")?;
    case.fails("second", &["command.made", "Killed"])?;
    case.sh("rm /srv/faults/kill")?;
    assert_eq!(
        case.plan("second")?.diff(case.bed)?.ok().changes(),
        [("command.made".to_owned(), "run".to_owned())].into(),
        "what is left"
    );
    case.converges("second")
}

/// What tells a program another time, as the kernel would after settimeofday(2); tests/run installs it.
fn faketime() -> Result<PathBuf, Error> {
    let directories = fs::read_dir("/usr/lib").map_err(Error::Run)?.filter_map(Result::ok);
    let mut files = directories.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    files.find(|file| file.exists()).ok_or_else(|| Error::Bed("faketime is not installed (tests/run does)".to_owned()))
}

/// The hosts share this machine's clock, and a time namespace does not cover it. So programs are told another time: the
/// command here, and whatever it runs on the host; and what was written before is from the future.
#[test]
fn a_clock_that_was_set_back_by_a_day_changes_nothing() -> Result<(), Error> {
    #[expect(clippy::disallowed_methods, reason = "how tests/run says what it left out")]
    if std::env::var_os("PROVISION_WITHOUT_FAKETIME").is_some() {
        return Ok(());
    }
    let case = Case::new("faultclock")?;
    Wrappers::prepare(&case.host)?;
    case.converges("first")?;
    // One that was cut leaves a lock and an apply without a result. At which call is found by going there and back.
    let wrappers = Wrappers::install(&case.host)?;
    wrappers.arm(0, Side::Before, Then::Pass)?;
    case.converges("second")?;
    wrappers.disarm()?;
    let calls = wrappers.calls()?;
    let at = calls.iter().position(|call| call.starts_with("mv ") && call.ends_with("/big")).unwrap_or_default() + 1;
    case.converges("first")?;
    wrappers.arm(u32::try_from(at).unwrap_or_default(), Side::Before, Then::Hold)?;
    let mut command = case.plan("second")?.command(case.bed, "apply", &["--yes"])?;
    let mut cut = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(Error::Run)?;
    let Some(reached) = wrappers.wait(&mut cut)? else { panic!("it ended before call {at}") };
    cut.kill().map_err(Error::Run)?;
    cut.wait().map_err(Error::Run)?;
    wrappers.disarm()?;
    wrappers.release(&reached)?;
    let newest = newest(&case.host)?;

    let faketime = faketime()?;
    let library = fs::read(&faketime).map_err(Error::Run)?;
    case.host.copy_in("/usr/local/lib/libfaketime.so.1", &library)?;
    case.sh(
        "find /var/lib/provision /srv/faults -exec touch -h -d '+1 day' {} + && rm /etc/ssh/sshd_config.d/cuts.conf && \
         echo 'SetEnv LD_PRELOAD=/usr/local/lib/libfaketime.so.1 FAKETIME=-1d FAKETIME_DONT_FAKE_MONOTONIC=1' \
         >/etc/ssh/sshd_config.d/clock.conf && systemctl reload ssh",
    )?;
    let yesterday = case.host.login("root", "date +%s")?.ok()?.parse::<i64>().unwrap_or(0);
    let now = case.host.sh("date +%s")?.ok()?.parse::<i64>().unwrap_or(0);
    assert!((now - 86_400 - yesterday).abs() < 60, "{now} and {yesterday}");

    let back = |verb: &str, word: &str| -> Result<Ran, Error> {
        let mut command = case.plan(word)?.command(case.bed, verb, &["--yes"])?;
        command.env("LD_PRELOAD", &faketime).env("FAKETIME", "-1d").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let output = command.output().map_err(Error::Run)?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) })
    };
    back("apply", "second")?.ok();
    assert!(case.has_big("second")?);
    case.tidy()?;
    // The newest apply is the one of the highest number, whatever the clock says.
    assert!(self::newest(&case.host)? > newest);
    back("apply", "third")?.ok();
    back("rollback", "third")?.ok();
    assert!(case.has_big("second")?);
    case.tidy()?;
    back("destroy", "third")?.ok();
    assert_eq!(case.host.sh("ls /var/lib/provision /srv/faults/before.conf 2>/dev/null; true")?.ok()?, "");
    Ok(())
}

fn newest(host: &Host) -> Result<u32, Error> {
    Ok(host.sh("ls /var/lib/provision/faults/history | sort -n | tail -n 1")?.ok()?.trim().parse().unwrap_or(0))
}
