#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::herd_ops::check(data));
