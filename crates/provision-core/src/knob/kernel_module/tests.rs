//! No host of the tests may load a module: here they are made up.

use std::fs;
use std::path::Path;

use super::*;
use crate::shell::LIMITED;
use crate::shell::trial::{run, shells, tool};

fn host() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    for directory in ["bin", "sys/module/loop", "sys/module/printk", "lib/modules/6.1"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    fs::write(at("sys/module/loop/initstate"), "live\n").unwrap();
    fs::write(at("lib/modules/6.1/modules.builtin"), "kernel/fs/ext4/ext4.ko\nkernel/net/nf-log.ko.xz\n").unwrap();
    tool(&at("bin"), "uname", "echo 6.1");
    tool(
        &at("bin"),
        "modprobe",
        "case \"$*\" in *nosuch|*busy) echo \"modprobe: $*\" >&2; exit 1 ;; *-D*) ;; *) echo \"modprobe $*\" ;; esac",
    );
    home
}

fn call(shell: &[&str], home: &Path, calls: &str) -> String {
    let home = home.to_str().unwrap();
    let functions =
        KERNEL_MODULE.functions.replace("/sys/", &format!("{home}/sys/")).replace("/lib/", &format!("{home}/lib/"));
    let program = format!("PATH={home}/bin:$PATH; kept=\n{LIMITED}\n{functions}\n{calls}");
    String::from_utf8(run(shell, &["-c", &program], b"")).unwrap()
}

#[test]
fn a_module_is_loaded_built_in_or_neither() {
    for shell in shells() {
        let host = host();
        for (name, state) in [
            ("loop", "loaded"),
            ("printk", "built-in"),
            ("ext4", "built-in"),
            ("nf_log", "built-in"),
            ("dummy", "absent"),
            ("nosuch", "unknown"),
        ] {
            let said = call(
                shell,
                host.path(),
                &format!("prepare_kernel_module {name}; get_kernel_module {name}; echo \"$got\""),
            );
            assert_eq!(said, format!("{state}\n"), "{name} {shell:?}");
        }
    }
}

#[test]
fn one_that_is_in_use_stays_and_says_so() {
    for shell in shells() {
        let host = host();
        let set = |name: &str, state: &str| {
            call(shell, host.path(), &format!("set_kernel_module {name} {state} 9 keep ''; echo \"$? $kept\""))
        };
        assert_eq!(set("dummy", "loaded"), "modprobe dummy\n0 \n", "{shell:?}");
        assert_eq!(set("dummy", "absent"), "0 \n", "{shell:?}");
        let why = "0 it cannot be unloaded until the next boot: modprobe: -r busy\n";
        assert_eq!(set("busy", "absent"), why, "{shell:?}");
    }
}
