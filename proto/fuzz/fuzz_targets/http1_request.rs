#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hatchway_proto::http1::check::request_head(data));
