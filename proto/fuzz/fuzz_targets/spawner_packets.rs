#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hatchway_sandbox::check::spawner_packets(data));
