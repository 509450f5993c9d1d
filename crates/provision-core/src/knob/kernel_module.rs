//! Modules of the kernel that runs, modprobe(8).

use super::KnobSort;

#[cfg(test)]
mod tests;

/// A module by its name, `br_netfilter`. Its text is `loaded`, `built-in` for one that is part of the kernel, or `absent`;
/// for one that the kernel does not have, `unknown`.
pub static KERNEL_MODULE: KnobSort = KnobSort {
    word: "kernel_module",
    noun: "the kernel module",
    functions: FUNCTIONS,
    show: KnobSort::as_it_is,
    settled: KnobSort::as_it_is,
    thing: false,
    may_cut_off: false,
    stays: Some("a module that is in use by then stays loaded until the next boot"),
    unset: super::ABSENT,
};

const FUNCTIONS: &str = r#"
prepare_kernel_module() { :; }
get_kernel_module() { # name
  got=absent
  # One that is loaded says how it came to be; what is built in has a directory only where it has parameters.
  if [ -e "/sys/module/$1/initstate" ]; then got=loaded; return 0; fi
  if [ -d "/sys/module/$1" ]; then got=built-in; return 0; fi
  m_path=/lib/modules/$(uname -r)
  if [ -r "$m_path/modules.builtin" ]; then
    while read -r m_file; do
      m_file=${m_file##*/}; m_file=${m_file%.ko*}
      # Their files may have dashes where the names have underscores.
      case $m_file in *-*) m_file=$(printf '%s' "$m_file" | tr - _) ;; esac
      if [ "$m_file" = "$1" ]; then got=built-in; return 0; fi
    done <"$m_path/modules.builtin"
  fi
  # As kmod and BusyBox both have it.
  command -v modprobe >/dev/null 2>&1 && modprobe -q -D "$1" >/dev/null 2>&1 </dev/null || got=unknown
}
set_kernel_module() { # name state limit
  case $2 in
    loaded)
      if ! command -v modprobe >/dev/null 2>&1; then echo 'the host has no modprobe (the package kmod)'; return 127; fi
      limited "$3" modprobe "$1" </dev/null ;;
    absent|unknown)
      m_said=$(limited "$3" modprobe -r "$1" </dev/null 2>&1) && return
      kept="it cannot be unloaded until the next boot: $m_said" ;;
  esac
}
"#;
