//! What there is on the host of what the plan is about, and what may be there after a cut.

use std::collections::{BTreeMap, BTreeSet};

use provision_tests::{Error, Host};

use super::site::Told;

/// Lines of `WHAT NAME VALUE...`; names have no blanks.
const SCRIPT: &str = r#"
find /srv/cuts /etc/cuts.conf /etc/systemd/system/cuts-* /etc/systemd/system/*.wants/cuts-* \
  -printf 'file %p %y %m %U:%G %l\n' -type f -exec sha256sum {} + 2>/dev/null | sed 's/^\([0-9a-f]\{64\}\)  \(.*\)/digest \2 \1/'
cd /srv/cuts 2>/dev/null && for name in site server; do
  openssl x509 -in $name.crt -noout 2>/dev/null && echo "valid /srv/cuts/$name.crt"
  openssl pkey -in $name.key -noout 2>/dev/null && echo "valid /srv/cuts/$name.key"
  [ "$(openssl x509 -in $name.crt -noout -pubkey 2>/dev/null)" = "$(openssl pkey -in $name.key -pubout 2>/dev/null)" ] || echo "old $name"
done
for name in app web dropped fresh foreign; do echo "cuts-$name.service"; done |
  xargs systemctl show --property=Id,ActiveState,UnitFileState,NeedDaemonReload,InvocationID |
  awk -F= '$1 == "Id" { id = $2 } { value[$1] = $2 } !NF { show() } END { show() }
    function show() { if (id) { print "unit", id, value["ActiveState"] ":" value["UnitFileState"] ":" value["NeedDaemonReload"]
      print "invocation", id, value["InvocationID"] } id = ""; delete value }'
busctl call org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 org.fedoraproject.FirewallD1.zone getPorts s public |
  grep -o '"[0-9]*" "[a-z]*"' | sed 's/"\(.*\)" "\(.*\)"/port running:\1\/\2/'
sed -n 's/.*<port port="\([0-9]*\)" protocol="\([a-z]*\)".*/port permanent:\1\/\2/p' /etc/firewalld/zones/public.xml
seen() { # name unit-file files: whether the running service has read what is there now
  systemctl is-active --quiet "cuts-$1" || return 0
  n=$1; shift
  cat "$@" 2>/dev/null | cmp -s - "/run/cuts-$n.seen" || echo "old $n"
  grep -q "echo $(cat "/run/cuts-$n.unit") >" "/etc/systemd/system/cuts-$n.service" || echo "old $n"
}
seen app /srv/cuts/app.conf /srv/cuts/server.crt
seen web /srv/cuts/web.conf
[ ! -e /srv/cuts/app.conf ] || cmp -s /srv/cuts/app.conf /var/lib/cuts.built || echo "old built"
find /etc /srv /usr/local /var/lib/provision -name '*.provision-new' -printf 'temporary %p\n' 2>/dev/null
cd /var/lib/provision 2>/dev/null || exit 0
echo "remembers $(find . -type f ! -path "*/history/*" -exec sh -c 'for file; do echo "$file: $(head -n 1 "$file")"; done' sh {} + | tr "\n" ";" | cut -c 1-2000)"
cd cuts 2>/dev/null || exit 0
[ ! -e lock ] || echo "lock $(tr '\n' ' ' <lock)"
for file in owed/*; do [ ! -e "$file" ] || echo "owed ${file#owed/}"; done
for apply in history/*; do
  if [ -d "$apply" ]; then echo "apply ${apply#history/} $(cat "$apply/result" 2>/dev/null)"; fi
done
"#;

/// What a file, link or directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    kind: String,
    mode: String,
    owner: String,
    /// A link's target or a file's digest.
    content: String,
}

/// One look at a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    files: BTreeMap<String, Entry>,
    /// Certificates and keys that can be read as such.
    valid: BTreeSet<String>,
    units: BTreeMap<String, String>,
    invocations: BTreeMap<String, String>,
    ports: BTreeSet<String>,
    /// Services that run with something else than their files say, and other things made of files that have changed.
    old: BTreeSet<String>,
    temporary: BTreeSet<String>,
    lock: Option<String>,
    owed: BTreeSet<String>,
    /// By number, with its result.
    applies: BTreeMap<u32, String>,
    /// What is in /var/lib/provision, but for the history.
    remembers: Option<String>,
}

impl State {
    pub fn of(host: &Host) -> Result<Self, Error> {
        // The last of its lines is a test that may fail.
        Self::read(&host.sh(SCRIPT)?.stdout)
    }

    fn read(text: &str) -> Result<Self, Error> {
        let mut state = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["file", path, kind, mode, owner, target] => {
                    let [kind, mode, owner, content] = [kind, mode, owner, target].map(|text| (*text).to_owned());
                    state.files.insert((*path).to_owned(), Entry { kind, mode, owner, content });
                }
                ["digest", path, digest] => {
                    if let Some(entry) = state.files.get_mut(*path) {
                        entry.content = (*digest).to_owned();
                    }
                }
                ["valid", path] => drop(state.valid.insert((*path).to_owned())),
                ["unit", name, value] => drop(state.units.insert((*name).to_owned(), (*value).to_owned())),
                ["invocation", name, id] => drop(state.invocations.insert((*name).to_owned(), (*id).to_owned())),
                ["port", port] => drop(state.ports.insert((*port).to_owned())),
                ["old", name] => drop(state.old.insert((*name).to_owned())),
                ["temporary", path] => drop(state.temporary.insert((*path).to_owned())),
                ["lock", ..] => state.lock = Some(line.to_owned()),
                ["owed", name] => drop(state.owed.insert((*name).to_owned())),
                ["apply", number, result] => {
                    state.applies.insert(number.parse().unwrap_or(0), (*result).to_owned());
                }
                ["remembers", ..] => state.remembers = Some(line.to_owned()),
                _ => return Err(Error::Recording(line.to_owned())),
            }
        }
        Ok(state)
    }

    /// The newest apply that the host remembers.
    pub fn newest(&self) -> u32 {
        self.applies.keys().next_back().copied().unwrap_or(0)
    }

    /// What is not as in a state that was reached without a cut. Certificates and keys are others each time.
    pub fn unlike(&self, rest: &Self) -> Vec<String> {
        let mut found = differing(&self.masked(), &rest.masked());
        found.extend(self.unrest());
        if self.remembers.is_some() != rest.remembers.is_some() {
            found.push(format!("/var/lib/provision: {:?}", self.remembers));
        }
        found
    }

    /// What is not as it was: the same files, byte for byte, and units in the same state.
    pub fn unlike_before(&self, before: &Self) -> Vec<String> {
        let mut found = differing(&self.things(), &before.things());
        // What a command has made is not taken back.
        found.extend(self.unrest().into_iter().filter(|line| !line.contains("built")));
        found
    }

    /// What must not be there when nobody is at it and nothing has failed.
    fn unrest(&self) -> Vec<String> {
        let mut found: Vec<String> = self.temporary.iter().map(|path| format!("{path} was left")).collect();
        found.extend(self.lock.iter().map(|lock| format!("a lock was left: {lock}")));
        found.extend(self.owed.iter().map(|name| format!("{name} is still owed")));
        found.extend(self.old.iter().map(|name| format!("{name} is older than what it is made of")));
        found
    }

    /// What is neither old nor new, after a cut on the way from one state to the other.
    pub fn torn(&self, from: &Self, to: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let paths: BTreeSet<&String> = from.files.keys().chain(to.files.keys()).chain(self.files.keys()).collect();
        for path in paths.into_iter().filter(|path| !path.ends_with(".provision-new")) {
            let (old, new) = (from.files.get(path), to.files.get(path));
            let Some(now) = self.files.get(path) else {
                if old.is_some() && new.is_some() {
                    found.push(format!("{path} is gone"));
                }
                continue;
            };
            let known: Vec<&Entry> = old.into_iter().chain(new).collect();
            let either = |field: fn(&Entry) -> &str| known.iter().any(|entry| field(entry) == field(now));
            if !either(|entry| &entry.kind) {
                found.push(format!("{path} is neither old nor new: {now:?}, not one of {known:?}"));
            } else if now.kind != "d" {
                let whole = either(|entry| &entry.content) || self.valid.contains(path);
                if !(whole && either(|entry| &entry.mode) && either(|entry| &entry.owner)) {
                    found.push(format!("{path} is neither old nor new: {now:?}, not one of {known:?}"));
                }
            }
        }
        found
    }

    /// Restarts on the way from this state to a later one that nothing asked for, or that the report does not have.
    pub fn unasked(&self, later: &Self, report: &Told) -> Vec<String> {
        let mut found = Vec::new();
        for (unit, after) in &later.invocations {
            let runs = |state: &Self| state.units.get(unit).is_some_and(|value| value.starts_with("active:"));
            if !runs(later) {
                continue;
            }
            let again = self.invocations.get(unit) != Some(after);
            if report.left.contains(unit) {
                continue;
            }
            if again != report.started.contains(unit) {
                found.push(format!("{unit}: another invocation: {again}; the report: {report:?}"));
            }
            let name = unit.trim_start_matches("cuts-").trim_end_matches(".service");
            let inputs = USES.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, paths)| paths);
            let moved = |path: &&str| self.files.get(*path) != later.files.get(*path);
            let definition = format!("/etc/systemd/system/{unit}");
            // systemd itself says so: of all units when it has been cut between a unit that was disabled and its reading of that.
            let stale = self.units.get(unit).is_some_and(|value| value.ends_with(":yes"));
            let cause = !runs(self)
                || stale
                || self.old.contains(name)
                || self.owed.iter().any(|owed| owed.contains(name))
                || moved(&definition.as_str())
                || inputs.iter().any(moved);
            if again && !cause {
                found.push(format!("{unit} was started again, and nothing that it uses had changed"));
            }
        }
        found
    }

    fn things(&self) -> BTreeMap<String, String> {
        let files = self.files.iter().map(|(path, entry)| {
            let Entry { kind, mode, owner, content } = entry;
            (path.clone(), format!("{kind} {mode} {owner} {content}"))
        });
        let ports = self.ports.iter().map(|port| (port.clone(), "open".to_owned()));
        files.chain(self.units.clone()).chain(ports).filter(|(name, _)| !name.ends_with(".provision-new")).collect()
    }

    fn masked(&self) -> BTreeMap<String, String> {
        let mut things = self.things();
        for path in &self.valid {
            if let (Some(thing), Some(entry)) = (things.get_mut(path), self.files.get(path)) {
                *thing = format!("valid, mode {} {}", entry.mode, entry.owner);
            }
        }
        things
    }
}

/// What services read when they start.
const USES: &[(&str, &[&str])] = &[("app", &["/srv/cuts/app.conf", "/srv/cuts/server.crt"])];

fn differing(now: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> Vec<String> {
    let names: BTreeSet<&String> = now.keys().chain(wanted.keys()).collect();
    let text = |thing: Option<&String>| thing.map_or("absent", String::as_str).to_owned();
    names
        .into_iter()
        .filter(|name| now.get(*name) != wanted.get(*name))
        .map(|name| format!("{name}: {}, not {}", text(now.get(name)), text(wanted.get(name))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(text: &str) -> State {
        State::read(text).unwrap()
    }

    const OLD: &str = "file /srv/cuts/app.conf f 644 0:0 \ndigest /srv/cuts/app.conf aa\nunit cuts-app.service active:enabled:no\ninvocation cuts-app.service 1\n";
    const NEW: &str = "file /srv/cuts/app.conf f 600 0:0 \ndigest /srv/cuts/app.conf bb\nunit cuts-app.service active:enabled:no\ninvocation cuts-app.service 2\n";

    #[test]
    fn half_a_file_is_torn_and_so_is_a_strangers_mode() {
        let (old, new) = (state(OLD), state(NEW));
        assert_eq!(old.torn(&old, &new), [""; 0]);
        assert_eq!(new.torn(&old, &new), [""; 0]);
        assert_eq!(state("").torn(&State::default(), &new), [""; 0]);
        assert_eq!(state("").torn(&old, &new), ["/srv/cuts/app.conf is gone"]);
        for wrong in [OLD.replace("aa", "cc"), OLD.replace("644", "640"), OLD.replace("0:0", "0:1")] {
            assert_eq!(state(&wrong).torn(&old, &new).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn a_restart_needs_a_cause_and_a_report() {
        let reported = Told { started: BTreeSet::from(["cuts-app.service".to_owned()]), ..Told::default() };
        assert_eq!(state(OLD).unasked(&state(NEW), &reported), [""; 0]);
        assert_eq!(state(OLD).unasked(&state(NEW), &Told::default()).len(), 1);
        assert_eq!(state(OLD).unasked(&state(OLD), &reported).len(), 1);
        let again = state(&OLD.replace("service 1", "service 2"));
        assert_eq!(state(OLD).unasked(&again, &reported).len(), 1);
        let owed = state(&format!("{OLD}owed cuts-app.service\n"));
        assert_eq!(owed.unasked(&again, &reported), [""; 0]);
        let old = state(&format!("{OLD}old app\n"));
        assert_eq!(old.unasked(&again, &reported), [""; 0]);
        let stale = state(&OLD.replace(":no", ":yes"));
        assert_eq!(stale.unasked(&again, &reported), [""; 0]);
    }

    #[test]
    fn what_is_left_is_told() {
        let (rest, before) = (state(NEW), state(OLD));
        for left in ["temporary /srv/.a.provision-new", "lock 1 2 3", "owed cuts-app.service", "old app"] {
            let text = format!("{NEW}{left}\n");
            assert_eq!(state(&text).unlike(&rest).len(), 1, "{left}");
            assert_eq!(state(&format!("{OLD}{left}\n")).unlike_before(&before).len(), 1, "{left}");
        }
        assert_eq!(rest.unlike(&rest), [""; 0]);
        assert_eq!(rest.unlike_before(&before).len(), 1);
    }
}
