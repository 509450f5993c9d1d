#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| provision_core::fuzz::bundle(bytes));
