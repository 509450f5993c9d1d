use super::*;
use crate::blob::sha256_hex;
use crate::testing::{Case, case};

const GIVEN: &str = "name = 'db'\ncontent = '{{ input.password }}'";
const KEPT: &str = "generate = { length = 40 }";

fn of(scope: &str) -> Knob {
    Knob::new(&SECRET, scope)
}

fn given() -> Case {
    case("secret", GIVEN).secret_input("password", "hunter22")
}

fn state(value: &str, labels: &str) -> String {
    let sha256 = Some(sha256_hex(value.as_bytes()));
    let labels = labels.split(',').filter(|label| !label.is_empty()).map(str::to_owned).collect();
    SecretState { driver: DRIVER.to_owned(), labels, sha256 }.text()
}

#[test]
fn a_secret_is_made_once_and_shown_to_nobody() {
    given().creates("content: (absent) -> (secret)").holds("knob secret db");
    given().wants("content: (secret)");
    given().steps("set podman's secret db").in_sync();
    case("secret", "content = 'x'\nscope = 'user:core'").holds("knob secret core/x");
}

#[test]
fn the_same_value_by_whomever_is_no_change_and_another_is() {
    given().given(|host| host.turn(&of("db"), &state("hunter22", ""))).in_sync();
    given().given(|host| host.turn(&of("db"), &state("other", ""))).updates("content: (secret) -> (secret)").mended();
    case("secret", "name = 'db'\ncontent = 'x'\nlabels = { b = 'c d', a = '' }")
        .given(|host| host.turn(&of("db"), &state("x", "z=1")))
        .updates("labels: z=1 -> a=, b=c d")
        .mended();
    // podman has the name and no value.
    given()
        .given(|host| host.turn(&of("db"), "driver file\nsha256 lost"))
        .updates("content: (secret) -> (secret)")
        .mended();
    case("secret", KEPT).given(|host| host.turn(&of("x"), "driver file\nsha256 lost")).mended();
}

#[test]
fn what_is_generated_is_made_up_once_and_kept() {
    let made = case("secret", KEPT)
        .because("a value of 40 characters is made up and kept")
        .creates("content: (absent) -> (secret)")
        .applied()
        .in_sync();
    let before = made.host().with(|host| host.knob(&of("x")));
    made.steps("");
    let labelled = case("secret", &format!("{KEPT}\nlabels = {{ a = 'b' }}"))
        .given(|host| host.turn(&of("x"), &before))
        .updates("labels: (absent) -> a=b")
        .mended();
    let after = labelled.host().with(|host| host.knob(&of("x")));
    assert_eq!(after, before.replace("\nsha", "\nlabel a=b\nsha"));
    // Two are never the same, and have what they may have.
    let [one, two] = [1, 2].map(|_| MadeUp { length: 64, alphabet: "abcdefghij".to_owned() }.value().unwrap());
    assert_ne!(one, two);
    assert!(one.len() == 64 && one.iter().all(|letter| (b'a'..=b'j').contains(letter)));
}

#[test]
fn whoever_uses_it_restarts_when_its_value_changes_and_only_then() {
    let users = "[container.y]\nimage = 'quay.io/a/b:1'\noptions.Secret = ['db,type=env,target=P', 'other']\n[service.y]\nunit = 'y.service'\n";
    let running = |value: &'static str, labels: &'static str| {
        given().plan(users).applied().given(move |host| host.turn(&of("db"), &state(value, labels)))
    };
    let restarts =
        |case: &Case| case.changes().changed().filter(|(_, change)| change.action == Action::Restart).count();
    assert_eq!(restarts(&running("hunter22", "")), 0);
    running("hunter22", "").in_sync();
    // A label is nothing that a container sees.
    assert_eq!(restarts(&running("hunter22", "a=b")), 0);
    let moved = running("by hand", "");
    assert_eq!(restarts(&moved), 1);
    moved.steps("set podman's secret db; restart y.service").in_sync();
    // Another manager's is another secret.
    let others = users
        .replace("[container.y]", "[container.y]\nscope = 'user:core'")
        .replace("'y.service'", "'y.service'\nscope = 'user:core'");
    let others = given().plan(&others).applied().given(|host| host.turn(&of("db"), &state("by hand", "")));
    assert_eq!(restarts(&others), 0);
}

#[test]
fn what_podman_cannot_keep_or_we_cannot_compare_is_said_beforehand() {
    given()
        .given(|host| host.turn(&of("db"), "driver pass"))
        .undecided("podman keeps the secret db with its driver pass, so that its value cannot be compared");
    given()
        .given(|host| host.podman = PodmanState::Absent)
        .undecided("there is no podman on this host, which keeps secrets");
    given().given(|host| host.podman = PodmanState::WithoutQuadlet(None)).mended();
}

#[test]
fn what_makes_no_sense_is_refused() {
    case("secret", "name = '-x'\ncontent = ''").refused(
        "3:8: \"-x\" does not fit `name` of secret.x (letters, digits, `-`, `_` and `.`, a letter or digit first and last, at most 64)\n\
         4:11: podman keeps no secret without a value (give it one, or `generate` it)",
    );
    case("secret", "name = '{{ input.s }}'\ncontent = 'x'").secret_input("s", "hunter22").refused(
        "3:8: a secret cannot go into `name` of secret.x: others could read it there \
         (secrets may stand in the content of a file and in the standard input of a command)",
    );
}
