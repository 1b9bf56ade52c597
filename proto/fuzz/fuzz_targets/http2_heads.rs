#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hatchway_wire::http2::check::heads(data));
